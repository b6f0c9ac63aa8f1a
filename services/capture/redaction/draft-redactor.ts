/**
 * The one place where drafts are redacted: between observer and recorder, before a line is made of them, hashed or spooled.
 * Everything that was decided about a message (labels, policy, schema) was decided on the original.
 */
import type { DraftBody, EventDraft } from '../draft.ts';
import { fitsInline } from '../encode.ts';
import type { Sha256Hex } from '../registry.ts';
import type { Keyed } from './key.ts';
import { KnownValues, type KnownValue } from './known-values.ts';
import { redactFields } from './fields.ts';
import {
  MAX_LISTED_PLACES,
  newBudget,
  redactBody,
  type FindKnown,
  type RedactedBody,
  type RedactedPlace,
} from './redact.ts';
import type { RedactionRules, RedactionSubject } from './rules.ts';
import type { SessionMemory } from './session-memory.ts';

/** What is in force: on stream.open, and with each event that something was replaced in. */
export interface RedactionIdentity {
  readonly id: string;
  readonly version: number;
  readonly hash: string;
  readonly keyId: string;
}

export interface DraftRedactorOptions {
  readonly rules: RedactionRules;
  readonly identity: RedactionIdentity;
  readonly keyed: Keyed;
  readonly session: string;
  /** Undefined: values are not looked for in later bodies. */
  readonly memory: SessionMemory | undefined;
  readonly server: string;
  readonly sha256Hex: Sha256Hex;
}

const encoder = new TextEncoder();
const NOTHING_KNOWN: FindKnown = () => [];

export class DraftRedactor {
  readonly #options: DraftRedactorOptions;

  constructor(options: DraftRedactorOptions) {
    this.#options = options;
  }

  get identity(): RedactionIdentity {
    return this.#options.identity;
  }

  /** The draft as it may go on record. */
  redact(draft: EventDraft): EventDraft {
    const subject = this.#subjectOf(draft);
    this.#options.memory?.refresh();
    const { body } = draft;
    const redacted = body === undefined ? undefined : this.#body(body, subject);
    const fields = redactFields(draft.fields, this.#context(subject), this.#own());
    const isKept = this.#remember([...(redacted?.own ?? []), ...fields.own]);
    const places = [...(redacted?.result.kind === 'changed' ? redacted.result.places : []), ...fields.places];
    const isLeftOut = redacted?.result.kind === 'left_out';
    const isLookalike =
      redacted !== undefined && redacted.result.kind !== 'left_out' && redacted.result.lookalike;
    if (places.length === 0 && !isLeftOut)
      return isLookalike ? { ...draft, fields: labelled(draft.fields, ['redaction_lookalike']) } : draft;
    const labels = [
      'redacted',
      ...(isLeftOut ? ['redaction_failed'] : []),
      ...(isKept ? [] : ['redaction_unfollowed']),
      ...(isLookalike ? ['redaction_lookalike'] : []),
    ];
    return this.#rebuilt(draft, {
      fields: labelled(fields.fields, labels),
      places,
      result: redacted?.result,
    });
  }

  /** What a person would be shown of arguments, and what binds an approval of them. */
  shown(args: DraftBody, tool: string): { readonly hash: string; readonly isShowable: boolean } {
    const subject = { server: this.#options.server, tool, method: undefined, of: args.of };
    this.#options.memory?.refresh();
    const { result } = this.#body(args, subject);
    switch (result.kind) {
      case 'same':
        return { hash: args.hash, isShowable: fitsInline(args) };
      case 'left_out':
        return { hash: args.hash, isShowable: false };
      case 'changed': {
        const body = this.#newBody(args, result.json);
        // Of what is removed or masked, another value would look the same.
        const isBound = result.places.every(({ action }) => action === 'digest');
        return { hash: body.hash, isShowable: isBound && fitsInline(body) };
      }
    }
  }

  #subjectOf({ kind, fields, body }: EventDraft): RedactionSubject {
    const text = (name: string): string | undefined =>
      typeof fields[name] === 'string' ? fields[name] : undefined;
    const of = body?.of ?? (kind.endsWith('.result') ? 'result' : 'args');
    return { server: this.#options.server, tool: text('tool'), method: text('method'), of };
  }

  #own(): KnownValues {
    return new KnownValues(this.#options.keyed, this.#options.session);
  }

  #context(subject: RedactionSubject): Parameters<typeof redactBody>[1] {
    const { rules, keyed, memory } = this.#options;
    const budget = newBudget();
    const known: FindKnown = memory === undefined ? NOTHING_KNOWN : (text) => memory.find(text, budget);
    return { selected: rules.select(subject), keyed, known };
  }

  #body(
    { bytes, span }: DraftBody,
    subject: RedactionSubject,
  ): { readonly result: RedactedBody; readonly own: readonly KnownValue[] } {
    const own = this.#own();
    const result = redactBody(bytes.subarray(span.start, span.end), this.#context(subject), own);
    return { result, own: own.values };
  }

  #remember(values: readonly KnownValue[]): boolean {
    return this.#options.memory?.add(values) ?? true;
  }

  #newBody({ of }: DraftBody, json: string): DraftBody {
    const bytes = encoder.encode(json);
    return { of, bytes, span: { start: 0, end: bytes.length }, hash: this.#options.sha256Hex(bytes) };
  }

  #rebuilt(
    draft: EventDraft,
    of: {
      readonly fields: Readonly<Record<string, unknown>>;
      readonly places: readonly RedactedPlace[];
      readonly result: RedactedBody | undefined;
    },
  ): EventDraft {
    const { identity, keyed } = this.#options;
    const { places, result } = of;
    const { body, ...bare } = draft;
    const isTouched = result?.kind === 'changed' || result?.kind === 'left_out';
    const redaction = {
      ...identity,
      ...(isTouched && body !== undefined ? { original: originalOf(body, keyed) } : {}),
      ...(places.length === 0 ? {} : { places: places.slice(0, MAX_LISTED_PLACES) }),
      ...(places.length > MAX_LISTED_PLACES ? { count: places.length } : {}),
      ...(result?.kind === 'left_out' ? { leftOut: result.why } : {}),
    };
    if (body === undefined || !isTouched) return { ...draft, fields: { ...of.fields, redaction } };
    const plain = withoutHashes(of.fields, body.of, keyed);
    if (result.kind === 'left_out') return { ...bare, fields: { ...plain, redaction } };
    const changed = this.#newBody(body, result.json);
    const [hash, bytes] = NAMES[body.of];
    const facts = draft.partsOnly === true ? {} : { [hash]: changed.hash, [bytes]: changed.bytes.length };
    return { ...bare, body: changed, fields: { ...plain, ...facts, redaction } };
  }
}

const NAMES = { args: ['argsHash', 'argsBytes'], result: ['resultHash', 'resultBytes'] } as const;

function originalOf(
  { bytes, span }: DraftBody,
  keyed: Keyed,
): { readonly bytes: number; readonly hmac: string } {
  const body = bytes.subarray(span.start, span.end);
  return { bytes: body.length, hmac: keyed.original(body) };
}

/** A plain hash of what was redacted could be guessed back. */
function withoutHashes(
  fields: Readonly<Record<string, unknown>>,
  of: DraftBody['of'],
  keyed: Keyed,
): Record<string, unknown> {
  const [hash, bytes] = NAMES[of];
  const { [hash]: _hash, [bytes]: _bytes, delivered, ...rest } = fields;
  if (of === 'args' || typeof delivered !== 'object' || delivered === null)
    return delivered === undefined ? rest : { ...rest, delivered };
  const sha256 = (delivered as { readonly hash?: unknown }).hash;
  return { ...rest, delivered: { ...delivered, hash: keyed.rehashed(String(sha256)) } };
}

function labelled(
  fields: Readonly<Record<string, unknown>>,
  labels: readonly string[],
): Readonly<Record<string, unknown>> {
  const own = (fields['labels'] as readonly string[] | undefined) ?? [];
  return { ...fields, labels: [...own, ...labels] };
}
