/**
 * The effective labels of an event: a pure function of the event, its effective class and a versioned mapping, computed
 * alike live and in a backtest. What a producer says of itself is a claim: it can make a label graver and trust less,
 * never the other way round. Trust by host is capture's to say, since a result does not hold the arguments.
 */
import type { Event } from '../../schemas/event/v1.ts';
import { DATA_LABELS, TRUST_LEVELS, type DataLabel, type LabelMapping } from '../../schemas/labels/v1.ts';
import { hostsIn } from '../classify/dest-host.ts';
import { secretsInValue } from './body-secrets.ts';
import { ignoredKinds, kindLabels, labelledBy } from './labels.ts';
import { graverLabel, lessTrusted, NO_MAPPING, trustOf, type Trust } from './mapping.ts';

/** What is read: an event and what was computed about it. */
export interface EffectiveSource {
  readonly event: Partial<Event>;
  readonly toolClass: string;
  readonly labelMapping?: LabelMapping | undefined;
}

export interface EffectiveLabels {
  /** What capture has to say of the message, `secret:KIND` for what was found, then the gravest data label. */
  readonly labels: readonly string[];
  readonly data: DataLabel | undefined;
  /** Kinds of secrets, each once. */
  readonly secretKinds: readonly string[];
}

const isDataLabel = (label: string): label is DataLabel => (DATA_LABELS as readonly string[]).includes(label);
const RESULTS: ReadonlySet<string> = new Set(['call.result', 'mcp.result']);
const REQUESTS: ReadonlySet<string> = new Set(['call.intent', 'mcp.request']);

function claimedLabels({ labels }: Partial<Event>): readonly string[] {
  // The rules' own tests write a single one as a text.
  const claimed: unknown = labels;
  if (typeof claimed === 'string') return [claimed];
  return Array.isArray(claimed) ? claimed.filter((label) => typeof label === 'string') : [];
}

/** Labels of the body of the event: its arguments, or its result. */
export function effectiveLabels(source: EffectiveSource): EffectiveLabels {
  const { event, toolClass, labelMapping = NO_MAPPING } = source;
  const claimed = claimedLabels(event);
  const said = claimed.filter((label) => !isDataLabel(label));
  const claimedData = claimed.filter(isDataLabel).reduce<DataLabel | undefined>(graverLabel, undefined);
  const claimedKinds = (event.sensitive ?? []).map(({ kind }) => kind);
  const kind = event.kind ?? '';
  if (!RESULTS.has(kind) && !REQUESTS.has(kind)) {
    const data = claimedData === undefined ? [] : [claimedData];
    return { labels: [...said, ...data], data: claimedData, secretKinds: claimedKinds };
  }
  const of = RESULTS.has(kind) ? 'result' : 'args';
  const found = secretsInValue(event[of], { ignore: ignoredKinds(labelMapping) });
  const subject = { server: event.server, tool: event.tool, class: toolClass };
  const own =
    event[of] === undefined
      ? undefined
      : labelledBy(found, { of, ...subject, mapping: labelMapping }).labels[0];
  const data = graverLabel(claimedData, own);
  const kinds = kindLabels(found.secrets).filter((label) => !said.includes(label));
  return {
    labels: data === undefined ? said : [...said, ...kinds, data],
    data,
    secretKinds: [...new Set([...claimedKinds, ...found.secrets.map((secret) => secret.kind)])],
  };
}

/** Words of other producers for the same. */
const OTHER_WORDS: Readonly<Record<string, Trust['level']>> = {
  low: 'untrusted',
  external: 'untrusted',
  public: 'untrusted',
  none: 'untrusted',
};

/** The producer's word; undefined where it gives none, or one that is not known. */
export function claimedTrust(trust: Event['trust']): Trust | undefined {
  if (trust === undefined) return undefined;
  const { level, by } = typeof trust === 'string' ? { level: trust, by: undefined } : trust;
  const known =
    TRUST_LEVELS.find((name) => name === level) ??
    (Object.hasOwn(OTHER_WORDS, level) ? OTHER_WORDS[level] : undefined);
  return known === undefined ? undefined : { level: known, ...(by === undefined ? {} : { by }) };
}

/** Trust in the result of the event; undefined where the event is no result. */
export function effectiveTrust(source: EffectiveSource): Trust | undefined {
  const { event, toolClass, labelMapping = NO_MAPPING } = source;
  const claimed = claimedTrust(event.trust);
  if (!RESULTS.has(event.kind ?? '')) return claimed;
  const uri = event.mcp?.uri;
  const hosts = uri === undefined ? [] : hostsIn({ args: { uri } });
  const own = trustOf({ server: event.server, tool: event.tool, class: toolClass }, hosts, labelMapping);
  return claimed === undefined ? own : lessTrusted(own, claimed);
}

/**
 * The part of a body that carries label secret, for following values: the secrets that were found in it; all of it where
 * the operator or the class says that it is secret, or nothing was found; undefined where it does not carry the label.
 */
export function secretPart(source: EffectiveSource, value: unknown, effective: EffectiveLabels): unknown {
  if (effective.data !== 'secret') return undefined;
  const { event, toolClass, labelMapping = NO_MAPPING } = source;
  const of = RESULTS.has(event.kind ?? '') ? 'result' : 'args';
  const subject = {
    of,
    server: event.server,
    tool: event.tool,
    class: toolClass,
    mapping: labelMapping,
  } as const;
  if (labelledBy({ secrets: [], cut: false }, subject).labels[0] === 'secret') return value;
  // What capture has redacted is followed by its digests; of removed and masked values nothing can be.
  const texts: string[] = (event.redaction?.places ?? []).flatMap(({ text, digest }) =>
    text === undefined || digest === undefined ? [] : [digest],
  );
  secretsInValue(value, { ignore: ignoredKinds(labelMapping), taken: (text) => void texts.push(text) });
  return texts.length === 0 ? value : texts;
}
