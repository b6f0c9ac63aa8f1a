/**
 * Whether a recorded body is what these rules, this key and this original give, and nothing else: the redaction is done again
 * and has to give the very bytes and places. What the session knew from earlier bodies is taken from the event's list, and each
 * digest there has to open to the text that stands in the original.
 */
import type { Event } from '../../../schemas/event/v1.ts';
import type { Redaction } from '../../../schemas/redaction/v1.ts';
import { isFormOf } from './forms.ts';
import type { Keyed } from './key.ts';
import { KnownValues, type KnownRange } from './known-values.ts';
import { MAX_LISTED_PLACES, redactBody, type FindKnown, type RedactedBody } from './redact.ts';
import { redactionHash, RedactionRules } from './rules.ts';

export type Proof =
  | { readonly kind: 'proved'; readonly places: number }
  | { readonly kind: 'refuted'; readonly why: Refutation };

export type Refutation =
  /** The event says of no redaction of this body. */
  | 'not_redacted'
  | 'other_rules'
  | 'other_key'
  /** HMAC or size of the original differ. */
  | 'other_original'
  /** Done again, the redaction gives other bytes. */
  | 'other_body'
  /** The bytes are the same, the list of places is not. */
  | 'other_places'
  /** A digest is of another value than the one that stands there. */
  | 'other_value';

export interface ProofInput {
  readonly policy: Redaction;
  readonly keyed: Keyed;
  /** The body as it came over the wire. */
  readonly original: Uint8Array;
  readonly event: Event;
  readonly of: 'args' | 'result';
  /** The body on record; undefined where there is none. */
  readonly recorded: Uint8Array | undefined;
}

type Place = NonNullable<NonNullable<Event['redaction']>['places']>[number];

const refuted = (why: Refutation): Proof => ({ kind: 'refuted', why });

export function proveRedaction(input: ProofInput): Proof {
  const { policy, keyed, original, event, of, recorded } = input;
  const { redaction } = event;
  const kept = redaction?.original;
  if (redaction === undefined || kept === undefined) return refuted('not_redacted');
  if (redaction.hash !== redactionHash(policy)) return refuted('other_rules');
  if (redaction.keyId !== keyed.keyId) return refuted('other_key');
  if (kept.bytes !== original.length || kept.hmac !== keyed.original(original))
    return refuted('other_original');
  const again = new Again(
    input,
    (redaction.places ?? []).filter(({ text }) => text !== undefined),
  );
  const selected = new RedactionRules(policy).select({
    server: event.server ?? '',
    tool: event.tool,
    method: event.method,
    of,
  });
  const result = redactBody(original, { selected, keyed, known: again.known }, new KnownValues(keyed, ''));
  if (again.why !== undefined) return refuted(again.why);
  return compared(result, { recorded, places: again.places, leftOut: redaction.leftOut });
}

function compared(
  result: RedactedBody,
  on: {
    readonly recorded: Uint8Array | undefined;
    readonly places: readonly Place[];
    readonly leftOut: string | undefined;
  },
): Proof {
  switch (result.kind) {
    case 'same':
      return refuted('other_body');
    case 'left_out':
      return on.leftOut === result.why && on.recorded === undefined
        ? { kind: 'proved', places: 0 }
        : refuted('other_body');
    case 'changed': {
      if (on.recorded === undefined || !Buffer.from(result.json).equals(on.recorded))
        return refuted('other_body');
      const listed = result.places.slice(0, on.places.length);
      const isSame =
        on.places.length >= Math.min(result.places.length, MAX_LISTED_PLACES) &&
        JSON.stringify(on.places.map(inOrder)) === JSON.stringify(listed.map(inOrder));
      return isSame ? { kind: 'proved', places: result.places.length } : refuted('other_places');
    }
  }
}

/** All that a place says, as one text. */
function inOrder(place: object): string {
  return JSON.stringify(Object.entries(place).toSorted(([left], [right]) => (left < right ? -1 : 1)));
}

/** The values that were known, from the event's own list. */
class Again {
  why: Refutation | undefined;
  readonly places: readonly Place[];
  readonly #input: ProofInput;

  constructor(input: ProofInput, places: readonly Place[]) {
    this.#input = input;
    this.places = places;
  }

  readonly known: FindKnown = (text, scalar) => {
    const known = this.places.filter((place) => place.known === true);
    // Asked of the whole body: it has to be read where any value of it was known.
    if (scalar === undefined) return known.slice(0, 1).map((place) => rangeOf(place, 0));
    return known
      .filter((place) => place.text === scalar)
      .map((place) => {
        this.#open(place, text);
        return rangeOf(place, this.#input.policy.rules.find(({ id }) => id === place.rule)?.keepLast ?? 0);
      });
  };

  #open({ rule, action, digest, from, characters }: Place, text: string): void {
    const { policy, keyed } = this.#input;
    if (!policy.rules.some((one) => one.id === rule && one.action === action)) this.why = 'other_rules';
    if (from + characters > text.length || characters === 0) this.why ??= 'other_places';
    if (action !== 'digest') return;
    const span = { from, to: from + characters };
    if (!isFormOf(text, span, (value) => keyed.digest(value) === digest)) this.why ??= 'other_value';
  }
}

function rangeOf(place: Place, keepLast: number): KnownRange {
  const { rule, action, digest = '', from, characters, encoded = false } = place;
  return {
    start: from,
    end: from + characters,
    by: { rule, action, keepLast },
    digest,
    isEncoded: encoded,
    isBefore: true,
  };
}
