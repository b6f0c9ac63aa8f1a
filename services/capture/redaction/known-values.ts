/**
 * Values that were redacted in this session, so that they are found again in later bodies: no text of them, but keyed hashes
 * of the forms in which they may come. A rolling hash with a keyed base runs over each text (M. O. Rabin, R. M. Karp, 1987);
 * what it finds is confirmed by two hashes of the whole form, each with a keyed base of its own: 96 bits in all, and a peer
 * that does not know the bases cannot aim at them. Bounded in values and in work.
 */
import { formsOf, MIN_FORM } from './forms.ts';
import type { Keyed } from './key.ts';
import { isWordLike } from '../../../detectors/flow/words.ts';
import type { Treatment } from './rules.ts';

/** What is kept of a value, and written to the session's file. */
export interface KnownValue {
  readonly by: Treatment;
  readonly digest: string;
  readonly forms: readonly KnownForm[];
}

export interface KnownForm {
  /** UTF-16 units. */
  readonly length: number;
  readonly window: number;
  readonly whole: number;
  readonly check: number;
  readonly isEncoded: boolean;
  readonly lead: number;
}

/** A value of the session in a text. */
export interface KnownRange {
  readonly start: number;
  readonly end: number;
  readonly by: Treatment;
  readonly digest: string;
  readonly isEncoded: boolean;
  /** Known before this body, not from it. */
  readonly isBefore?: boolean;
}

export type Remembered =
  | { readonly kind: 'added'; readonly value: KnownValue }
  | { readonly kind: 'known' }
  /** A word, or too short or too long to be looked for. */
  | { readonly kind: 'unfit' }
  | { readonly kind: 'full' };

/** Work that is left for one body. */
export interface Budget {
  left: number;
}

const WINDOW = MIN_FORM;
export const MAX_KNOWN_VALUES = 2_048;
/** Forms of one window: more would let a peer make each character costly. */
const MAX_LENGTHS = 64;
const MAX_VALUE_CHARACTERS = 8_192;
const FILTER_BITS = 16;
const MIN_DISTINCT = 3;

function power(base: number, exponent: number): number {
  let value = 1;
  for (let each = 0; each < exponent; each++) value = Math.imul(value, base);
  return value;
}

export class KnownValues {
  readonly #base: number;
  readonly #lead: number;
  readonly #wholeBase: number;
  readonly #checkBase: number;
  readonly #filter = new Uint8Array(1 << FILTER_BITS);
  /** Lengths, ascending, of the forms that begin with a window. */
  readonly #lengths = new Map<number, number[]>();
  readonly #forms = new Map<string, { readonly value: KnownValue; readonly form: KnownForm }[]>();
  readonly #digests = new Set<string>();
  readonly #values: KnownValue[] = [];

  /** `session` keys the rolling hash: hashes of two sessions have nothing in common. */
  constructor(keyed: Keyed, session: string) {
    this.#base = keyed.seed(`window\0${session}`) | 1;
    this.#wholeBase = keyed.seed(`whole\0${session}`) | 1;
    this.#checkBase = keyed.seed(`check\0${session}`) | 1;
    this.#lead = power(this.#base, WINDOW - 1);
  }

  get size(): number {
    return this.#values.length;
  }

  get values(): readonly KnownValue[] {
    return this.#values;
  }

  has(digest: string): boolean {
    return this.#digests.has(digest);
  }

  /** Takes a canonical value; `digest` is its keyed digest. */
  remember(text: string, digest: string, by: Treatment): Remembered {
    if (this.#digests.has(digest)) return { kind: 'known' };
    if (!isFit(text)) return { kind: 'unfit' };
    if (this.#digests.size >= MAX_KNOWN_VALUES) return { kind: 'full' };
    const forms = formsOf(text).map(({ text: form, isEncoded, lead }): KnownForm => ({
      length: form.length,
      window: hashOf(form, this.#base, { from: 0, to: WINDOW }),
      whole: hashOf(form, this.#wholeBase, { from: 0, to: form.length }),
      check: hashOf(form, this.#checkBase, { from: 0, to: form.length }),
      isEncoded,
      lead,
    }));
    const value: KnownValue = { by, digest, forms };
    return this.add(value) ? { kind: 'added', value } : { kind: 'full' };
  }

  /** False where there is no room for it. */
  add(value: KnownValue): boolean {
    if (this.#digests.has(value.digest)) return true;
    if (this.#digests.size >= MAX_KNOWN_VALUES) return false;
    const isCrowded = value.forms.some(
      ({ window, length }) =>
        (this.#lengths.get(window)?.length ?? 0) >= MAX_LENGTHS &&
        this.#lengths.get(window)?.includes(length) !== true,
    );
    if (isCrowded) return false;
    this.#digests.add(value.digest);
    this.#values.push(value);
    for (const form of value.forms) this.#addForm(value, form);
    return true;
  }

  #addForm(value: KnownValue, form: KnownForm): void {
    const { window, length, whole } = form;
    this.#filter[filterPlace(window)] = 1;
    const lengths = this.#lengths.get(window) ?? [];
    if (!lengths.includes(length)) lengths.push(length);
    this.#lengths.set(
      window,
      lengths.toSorted((left, right) => left - right),
    );
    const key = `${length} ${whole}`;
    const same = this.#forms.get(key) ?? [];
    same.push({ value, form });
    this.#forms.set(key, same);
  }

  /** Known values in a text, in order, not overlapping, the longest at each place; undefined once the budget is spent. */
  find(text: string, budget: Budget): readonly KnownRange[] | undefined {
    if (this.#digests.size === 0 || text.length < WINDOW) return NONE;
    const found: KnownRange[] = [];
    let from = 0;
    for (;;) {
      const hit = this.#nextWindow(text, from);
      if (hit === undefined) return found;
      const range = this.#at(text, hit.at, hit.window, budget);
      if (budget.left < 0) return undefined;
      if (range !== undefined) found.push(range);
      from = range?.end ?? hit.at + 1;
    }
  }

  /** The next place, from `from` on, at which a form may begin. The loop that every body goes through. */
  #nextWindow(text: string, from: number): { readonly at: number; readonly window: number } | undefined {
    const last = text.length - WINDOW;
    if (from > last) return undefined;
    const filter = this.#filter;
    const base = this.#base;
    const lead = this.#lead;
    let hash = hashOf(text, base, { from, to: from + WINDOW });
    for (let at = from; ; at++) {
      if (filter[filterPlace(hash)] === 1) return { at, window: hash };
      if (at === last) return undefined;
      hash =
        (Math.imul((hash - Math.imul(text.charCodeAt(at), lead)) | 0, base) + text.charCodeAt(at + WINDOW)) |
        0;
    }
  }

  #at(text: string, at: number, window: number, budget: Budget): KnownRange | undefined {
    let hash = 0;
    let done = 0;
    let best: KnownRange | undefined;
    for (const length of this.#lengths.get(window) ?? []) {
      if (at + length > text.length) break;
      budget.left -= length - done;
      hash = hashOf(text, this.#wholeBase, { from: at + done, to: at + length }, hash);
      done = length;
      const candidates = this.#forms.get(`${length} ${hash}`);
      if (candidates !== undefined) best = this.#confirmed(text, at, candidates, budget) ?? best;
    }
    return best;
  }

  #confirmed(
    text: string,
    at: number,
    candidates: readonly { readonly value: KnownValue; readonly form: KnownForm }[],
    budget: Budget,
  ): KnownRange | undefined {
    const length = candidates[0]?.form.length ?? 0;
    budget.left -= length;
    const check = hashOf(text, this.#checkBase, { from: at, to: at + length });
    const hit = candidates.find(({ form }) => form.check === check);
    if (hit === undefined) return undefined;
    const { by, digest } = hit.value;
    const { lead, isEncoded } = hit.form;
    const end = isEncoded ? paddedEnd(text, at + length) : at + length;
    return { start: Math.max(0, at - lead), end, by, digest, isEncoded };
  }
}

const NONE: readonly KnownRange[] = [];

/** Polynomial of the text's UTF-16 units, mod 2^32, signed; goes on from `before`. */
function hashOf(
  text: string,
  base: number,
  { from, to }: { readonly from: number; readonly to: number },
  before = 0,
): number {
  let hash = before;
  for (let at = from; at < to; at++) hash = (Math.imul(hash, base) + text.charCodeAt(at)) | 0;
  return hash;
}

const filterPlace = (hash: number): number => Math.imul(hash, 0x9e3779b1) >>> (32 - FILTER_BITS);

/** Base64 that ends here: its last character, shared with nothing, and its padding. */
function paddedEnd(text: string, end: number): number {
  const rest = /^[A-Za-z0-9+/_-]?={1,2}/.exec(text.slice(end, end + 3));
  return rest === null ? end : end + rest[0].length;
}

/** What may be looked for everywhere without meeting what it is not. */
export function isFit(text: string): boolean {
  return (
    text.length >= MIN_FORM &&
    text.length <= MAX_VALUE_CHARACTERS &&
    !isWordLike(text) &&
    new Set(text.slice(0, 256)).size >= MIN_DISTINCT
  );
}
