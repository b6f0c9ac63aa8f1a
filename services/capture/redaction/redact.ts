/**
 * The redaction of one body: a pure function of its bytes, the rules, the key and the values that the session knows. It
 * answers other bytes and a list of places, or that the body must not be on record at all. The wire is never touched.
 */
import { mayHoldSecret } from '../../../detectors/labels/suspicion.ts';
import type { TextContext } from '../../../detectors/labels/secrets.ts';
import { Tokens } from '../../../detectors/flow/tokens.ts';
import { advance } from '../../../schemas/redaction/path.ts';
import type { Keyed } from './key.ts';
import { isFit, type Budget, type KnownRange, type KnownValues } from './known-values.ts';
import { canonical, LOOKALIKE, markerFor } from './marker.ts';
import { rangesIn, type Range } from './text-ranges.ts';
import type { Selected, Treatment } from './rules.ts';
import { readScalars, textOfString, type Level, type Scalar } from './scalars.ts';

/** As it stands in the event (schemas/event/v1.ts zRedactedPlace). */
export interface RedactedPlace {
  readonly at: string;
  readonly text?: number;
  readonly start: number;
  readonly from: number;
  readonly characters: number;
  readonly rule: string;
  readonly action: Treatment['action'];
  readonly digest?: string;
  readonly known?: true;
  readonly encoded?: true;
}

/** A value to be looked for from now on. */
export interface ValueToKnow {
  /** Canonical. */
  readonly value: string;
  readonly digest: string;
  readonly by: Treatment;
}

export type LeftOut = 'no_json' | 'no_utf8' | 'too_deep' | 'too_large' | 'too_many' | 'budget';

export type RedactedBody =
  /** Nothing to replace: the body as it came. */
  | { readonly kind: 'same'; readonly lookalike: boolean }
  | {
      readonly kind: 'changed';
      readonly json: string;
      readonly places: readonly RedactedPlace[];
      readonly values: readonly ValueToKnow[];
      readonly lookalike: boolean;
    }
  | { readonly kind: 'left_out'; readonly why: LeftOut };

/** Values that are known in a text; `scalar` is its number in its body. Undefined: the budget is spent. */
export type FindKnown = (text: string, scalar: number | undefined) => readonly KnownRange[] | undefined;

export interface RedactionContext {
  readonly selected: Selected;
  readonly keyed: Keyed;
  readonly known: FindKnown;
}

export const MAX_REDACTED_BYTES = 16 * 1024 * 1024;
/** As deep as a body may be inside an event. */
const MAX_DEPTH = 62;
const MAX_PLACES = 16_384;
/** So many places stand in the event; `count` says how many there were. */
export const MAX_LISTED_PLACES = 512;
/** Steps of confirming known values in one body. */
export const MAX_KNOWN_STEPS = 64_000_000;
/** Pieces of a text that its rule takes whole, which may be sent on by themselves. */
const MAX_PARTS = 16;
const MAX_PARTS_TEXT = 65_536;
const MIN_PART_ENTROPY = 2.5;
const MAX_POINTER = 256;
const PLAIN_NAME = /^[A-Za-z_$][A-Za-z_$-]{0,30}\d{0,3}$/;
const NO_CONTEXT: TextContext = { name: '', near: () => '' };

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export function newBudget(): Budget {
  return { left: MAX_KNOWN_STEPS };
}

/** A text with its markers, where there are any. */
export interface RedactedText {
  readonly text: string;
  readonly places: readonly Omit<RedactedPlace, 'at' | 'text'>[];
  readonly values: readonly ValueToKnow[];
}

/** Redacts a text that is no JSON: of a field, or inside a body. Undefined: the budget is spent. */
export function redactText(
  text: string,
  context: RedactionContext,
  of: {
    readonly where?: TextContext;
    readonly scalar?: number | undefined;
    readonly whole?: Treatment | undefined;
  } = {},
): RedactedText | undefined {
  const { selected, keyed, known } = context;
  if (of.whole !== undefined) return wholeText(text, of.whole, keyed);
  const found = known(text, of.scalar);
  if (found === undefined) return undefined;
  const ranges = rangesIn(text, of.where ?? NO_CONTEXT, selected, found);
  let redacted = '';
  let at = 0;
  const places: Omit<RedactedPlace, 'at' | 'text'>[] = [];
  const values: ValueToKnow[] = [];
  for (const range of ranges) {
    redacted += text.slice(at, range.start);
    const { marker, digest } = markerOf(text, range, keyed);
    places.push(placeOf(range, redacted.length, digest));
    if (range.known === undefined)
      values.push(...valuesOf(text.slice(range.start, range.end), range.by, keyed));
    redacted += marker;
    at = range.end;
  }
  return { text: redacted + text.slice(at), places, values };
}

function markerOf(
  text: string,
  { start, end, by, known }: Range,
  keyed: Keyed,
): ReturnType<typeof markerFor> {
  const found = text.slice(start, end);
  if (known === undefined || by.action === 'remove') return markerFor(found, by, keyed);
  if (by.action === 'digest') return { marker: `[#${known.digest}]`, digest: known.digest };
  return known.isEncoded ? { marker: '[*]' } : markerFor(found, by, keyed);
}

function placeOf(
  { start, end, by, known }: Range,
  at: number,
  digest: string | undefined,
): Omit<RedactedPlace, 'at'> {
  return {
    start: at,
    from: start,
    characters: end - start,
    rule: by.rule,
    action: by.action,
    ...(digest === undefined ? {} : { digest }),
    ...(known?.isBefore === true ? { known: true as const } : {}),
    ...(known?.isEncoded === true ? { encoded: true as const } : {}),
  };
}

function valuesOf(text: string, by: Treatment, keyed: Keyed): readonly ValueToKnow[] {
  const value = canonical(text);
  return value === '' ? [] : [{ value, digest: keyed.digest(value), by }];
}

/** A value that its place gives away: all of it goes, and what in it may be a secret by itself is known from now on too. */
function wholeText(text: string, by: Treatment, keyed: Keyed): RedactedText {
  const pieces = piecesOf(text).flatMap((piece) => valuesOf(piece, by, keyed));
  const { marker, digest } = markerFor(
    text,
    by,
    keyed,
    pieces.map((piece) => piece.digest),
  );
  const place = placeOf({ start: 0, end: text.length, by }, 0, digest);
  return { text: marker, places: [place], values: [...valuesOf(text, by, keyed), ...pieces] };
}

/** The pieces of a text by which detection would follow it, without the text itself; those with most bits. */
function piecesOf(text: string): readonly string[] {
  const whole = canonical(text);
  if (!/[^A-Za-z0-9]/.test(whole)) return [];
  return new Tokens()
    .of(text.slice(0, MAX_PARTS_TEXT))
    .map((token) => ({ text: token.text, bits: isFit(token.text) ? token.secretBits(MIN_PART_ENTROPY) : 0 }))
    .filter((piece) => piece.bits > 0 && canonical(piece.text) !== whole)
    .toSorted((left, right) => right.bits - left.bits || (left.text < right.text ? -1 : 1))
    .slice(0, MAX_PARTS)
    .map((piece) => piece.text);
}

/** For each path, how far a container is on the way to its places. */
type PathState = readonly (readonly number[])[];
type Levels = readonly Level<PathState>[];

class BodyRedactor {
  readonly places: RedactedPlace[] = [];
  readonly values: ValueToKnow[] = [];
  readonly #parts: string[] = [];
  readonly #json: string;
  readonly #context: RedactionContext;
  #copied = 0;
  stopped: LeftOut | undefined;
  lookalike = false;

  constructor(json: string, context: RedactionContext) {
    this.#json = json;
    this.#context = context;
  }

  get json(): string {
    return this.#parts.join('') + this.#json.slice(this.#copied);
  }

  readonly enter = (around: Level<PathState> | undefined): PathState =>
    around === undefined ? this.#context.selected.paths.map(() => [0]) : this.#below(around);

  #below({ isObject, name, index, state }: Level<PathState>): PathState {
    return this.#context.selected.paths.map(({ steps }, at) =>
      advance(steps, state[at] ?? [], isObject ? name : index),
    );
  }

  /** The first path that selects the scalar, or what is around it. */
  #whole(kind: Scalar['kind'], levels: Levels): Treatment | undefined {
    const { paths } = this.#context.selected;
    if (paths.length === 0 || kind === 'name') return undefined;
    const around = levels.at(-1);
    // Nearly all of a body lies off every path.
    if (around?.state.every((done) => done.length === 0) === true) return undefined;
    const states = around === undefined ? paths.map(() => [0]) : this.#below(around);
    return paths.find(({ steps }, at) => states[at]?.includes(steps.length) === true)?.by;
  }

  readonly visit = (scalar: Scalar, levels: Levels): void => {
    if (this.stopped !== undefined) return;
    const { kind, start, end, index } = scalar;
    const raw = this.#json.slice(start, end);
    const whole = this.#whole(kind, levels);
    // Nothing is told by null, and true and false say nothing outside of their place.
    if (kind === 'literal' && (whole === undefined || raw === 'null')) return;
    const text = kind === 'name' || kind === 'string' ? textOfString(raw) : raw;
    if (text === undefined) return void (this.stopped = 'no_json');
    this.lookalike ||= LOOKALIKE.test(text);
    const redacted = redactText(text, this.#context, { where: whereOf(kind, levels), scalar: index, whole });
    if (redacted === undefined) return void (this.stopped = 'budget');
    if (redacted.places.length === 0) return;
    this.#replace(scalar, redacted, pointerOf(levels, kind === 'name'));
  };

  #replace({ start, end, index }: Scalar, { text, places, values }: RedactedText, at: string): void {
    this.#parts.push(this.#json.slice(this.#copied, start), JSON.stringify(text));
    this.#copied = end;
    for (const place of places) this.places.push({ at, text: index, ...place });
    this.values.push(...values);
    if (this.places.length > MAX_PLACES) this.stopped = 'too_many';
  }
}

function whereOf(kind: Scalar['kind'], levels: Levels): TextContext {
  return {
    // An element of a list is a value of the list's name.
    name: kind === 'name' ? '' : (levels.findLast((level) => level.isObject)?.name ?? ''),
    near: () => levels.map((level) => (level.isObject ? level.name : level.index)).join(' '),
  };
}

function pointerOf(levels: Levels, isName: boolean): string {
  const parts = levels.map((level) => {
    if (!level.isObject) return String(level.index);
    return PLAIN_NAME.test(level.name) ? level.name : '*';
  });
  if (isName) parts[parts.length - 1] = '*';
  const pointer = parts.map((part) => `/${part}`).join('');
  return pointer.length <= MAX_POINTER ? pointer : `${pointer.slice(0, MAX_POINTER - 1)}…`;
}

/** True only where nothing in the text can be replaced: then it need not be read as JSON. */
function isUntouched(json: string, { selected, known }: RedactionContext): boolean {
  if (selected.paths.length > 0) return false;
  // An escape may stand for any character.
  if (json.includes('\\')) return false;
  if (selected.secrets.length > 0 && mayHoldSecret(json)) return false;
  if (selected.patterns.some(({ regexp }) => json.search(regexp) !== -1)) return false;
  return known(json, undefined)?.length === 0;
}

/** One pass over the JSON text of a body. */
function onePass(body: Uint8Array, context: RedactionContext): RedactedBody {
  if (body.length > MAX_REDACTED_BYTES) return { kind: 'left_out', why: 'too_large' };
  let json: string;
  try {
    json = utf8.decode(body);
  } catch {
    return { kind: 'left_out', why: 'no_utf8' };
  }
  if (isUntouched(json, context)) return { kind: 'same', lookalike: LOOKALIKE.test(json) };
  const redactor = new BodyRedactor(json, context);
  const end = readScalars(json, redactor, MAX_DEPTH);
  const why = redactor.stopped ?? (end === 'done' ? undefined : end);
  if (why !== undefined) return { kind: 'left_out', why };
  const { places, values, lookalike } = redactor;
  if (places.length === 0) return { kind: 'same', lookalike };
  return { kind: 'changed', json: redactor.json, places, values, lookalike };
}

/**
 * Redacts a body as it came over the wire. What a rule finds is looked for in all of the body, not only where its rule looks:
 * hosts get the same value as text and as structured content. `own` takes the values of this body. Never throws.
 */
export function redactBody(body: Uint8Array, context: RedactionContext, own: KnownValues): RedactedBody {
  const first = onePass(body, context);
  if (first.kind !== 'changed') return first;
  for (const { value, digest, by } of first.values) own.remember(value, digest, by);
  if (own.size === 0) return first;
  const budget = newBudget();
  const known: FindKnown = (text, scalar) => {
    const before = context.known(text, scalar);
    const found = own.find(text, budget);
    return before === undefined || found === undefined ? undefined : beside(before, found);
  };
  const second = onePass(body, { ...context, known });
  return second.kind === 'changed' ? { ...second, values: first.values } : second;
}

/** What was known before goes first. */
function beside(before: readonly KnownRange[], own: readonly KnownRange[]): readonly KnownRange[] {
  if (before.length === 0) return own;
  return [
    ...before,
    ...own.filter((one) => !before.some((other) => one.start < other.end && other.start < one.end)),
  ];
}
