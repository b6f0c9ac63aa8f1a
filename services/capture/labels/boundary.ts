/**
 * What crosses the boundary between a host and a server, and how it is labelled: data labels of arguments and results,
 * trust in results, and what the host wants done with both on the wire. Without a wish of the host no byte changes.
 */
import { hostsIn, UNSEEN_HOST } from '../../../detectors/classify/index.ts';
import {
  kindLabels,
  labelled,
  NO_MAPPING,
  readsHosts,
  trustOf,
  type Labelled,
  type Trust,
} from '../../../detectors/labels/index.ts';
import type { BoundaryConfig } from '../../../schemas/labels/v1.ts';
import type { DraftBody } from '../draft.ts';
import { given } from '../exchange-drafts.ts';
import type { Member, Span } from '../json-scan.ts';
import { valueAt } from '../message.ts';
import type { Sha256Hex } from '../registry.ts';
import { applySplices, type Splice } from '../trace-context.ts';
import { markInstructions, type Marking } from './marking.ts';
import { resultMetaSplices } from './result-meta.ts';

/** Bytes of a body that are looked at while its message waits; detection looks at more. */
export const MAX_LOOKED_AT_BYTES = 64 * 1024;
/** Arguments that are parsed to know the hosts in them. */
const MAX_HOSTS_BYTES = 256 * 1024;

export const NO_BOUNDARY: BoundaryConfig = { ...NO_MAPPING, resultMeta: false, instructions: 'off' };

export interface BoundarySubject {
  readonly tool?: string | undefined;
  readonly class?: string | undefined;
  /** Hosts that the arguments name; empty where no line of the mapping asks. */
  readonly hosts: readonly string[];
}

/** Fields of an event, and labels among those that it has already. */
export interface BoundaryFields {
  readonly labels: readonly string[];
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface AnswerFields extends BoundaryFields {
  readonly splices: readonly Splice[];
}

const NOTHING: BoundaryFields = { labels: [], fields: {} };
export const NO_ANSWER: AnswerFields = { ...NOTHING, splices: [] };
const NO_MARKING: Marking = { splices: [], texts: 0, cut: false };
const NO_HOSTS: readonly string[] = [];
/** Nobody looked, since no line of the mapping asked. One that has come since and asks must not take them for none. */
const UNREAD_HOSTS: readonly string[] = [];

export interface BoundaryOptions {
  readonly server: string;
  /** What is in force; asked at each message. */
  readonly config: () => BoundaryConfig;
  readonly sha256Hex: Sha256Hex;
  readonly randomHex: (bytes: number) => string;
}

export class Boundary {
  readonly #options: BoundaryOptions;

  constructor(options: BoundaryOptions) {
    this.#options = options;
  }

  get #config(): BoundaryConfig {
    return this.#options.config();
  }

  /** Hosts named in the arguments at `span`, for trust in what is answered. */
  hosts(bytes: Uint8Array, span: Span | undefined): readonly string[] {
    if (span === undefined) return NO_HOSTS;
    if (!readsHosts(this.#config)) return UNREAD_HOSTS;
    const args = valueAt(bytes, span, MAX_HOSTS_BYTES);
    return args === undefined ? [UNSEEN_HOST] : hostsIn({ args });
  }

  request(args: DraftBody | undefined, subject: BoundarySubject): BoundaryFields {
    return fieldsOf(this.#labelled(args, 'args', subject));
  }

  /** `members` of the result; `toClient`: it is the host who reads it. */
  answer(
    result: DraftBody | undefined,
    members: readonly Member[] | undefined,
    subject: BoundarySubject,
    toClient: boolean,
  ): AnswerFields {
    if (result === undefined) return NO_ANSWER;
    const found = this.#labelled(result, 'result', subject);
    const about = fieldsOf(found);
    if (!toClient) return { ...about, splices: [] };
    const { server } = this.#options;
    const trust = trustOf({ ...subject, server }, hostsKnown(subject.hosts), this.#config);
    const marking = this.#marking(result, members, trust);
    const splices = [...marking.splices, ...this.#meta(result, members, { found, trust, marking })];
    return {
      labels: [...about.labels, ...this.#markingLabels(marking)],
      fields: { trust, ...about.fields, ...this.#delivered(result, splices, marking) },
      splices,
    };
  }

  #labelled(body: DraftBody | undefined, of: 'args' | 'result', subject: BoundarySubject): Labelled {
    const { server } = this.#options;
    return labelled(body?.bytes.subarray(body.span.start, body.span.end), {
      of,
      server,
      tool: subject.tool,
      class: subject.class,
      mapping: this.#config,
      maxLookedAt: MAX_LOOKED_AT_BYTES,
    });
  }

  #marking({ bytes }: DraftBody, members: readonly Member[] | undefined, trust: Trust): Marking {
    const { randomHex } = this.#options;
    const mode = this.#config.instructions;
    if (mode === 'off' || trust.level === 'trusted' || members === undefined) return NO_MARKING;
    return markInstructions(bytes, members, { mode, nonce: randomHex(4) });
  }

  #markingLabels({ texts, cut }: Marking): readonly string[] {
    const done = this.#config.instructions === 'strip' ? 'instructions_stripped' : 'instructions_marked';
    return [...(texts > 0 ? [done] : []), ...(cut ? ['instructions_unchecked'] : [])];
  }

  #meta(
    { bytes, span }: DraftBody,
    members: readonly Member[] | undefined,
    said: { readonly found: Labelled; readonly trust: Trust; readonly marking: Marking },
  ): readonly Splice[] {
    const config = this.#config;
    if (!config.resultMeta) return [];
    const { found, trust, marking } = said;
    const value = {
      data: found.labels[0] ?? null,
      trust,
      ...(found.secrets.length === 0 ? {} : { sensitive: found.secrets }),
      ...(marking.texts === 0 ? {} : { instructions: { mode: config.instructions, texts: marking.texts } }),
    };
    return resultMetaSplices(bytes, span, members, value);
  }

  /** What the client gets where that is not what the server sent. */
  #delivered(
    { bytes, span }: DraftBody,
    splices: readonly Splice[],
    marking: Marking,
  ): Record<string, unknown> {
    if (splices.length === 0) return {};
    const own = splices.map((one) => ({ ...one, start: one.start - span.start, end: one.end - span.start }));
    const delivered = applySplices(bytes.subarray(span.start, span.end), own);
    const marked =
      marking.texts === 0 ? {} : { instructions: this.#config.instructions, texts: marking.texts };
    return { delivered: { hash: this.#options.sha256Hex(delivered), bytes: delivered.length, ...marked } };
  }
}

function hostsKnown(hosts: readonly string[]): readonly string[] {
  return hosts === UNREAD_HOSTS ? [UNSEEN_HOST] : hosts;
}

function fieldsOf({ labels, secrets, cut }: Labelled): BoundaryFields {
  if (labels.length === 0 && !cut) return NOTHING;
  return {
    labels: [...labels, ...kindLabels(secrets), ...(cut ? ['secrets_unchecked'] : [])],
    fields: given({ sensitive: secrets.length === 0 ? undefined : secrets }),
  };
}
