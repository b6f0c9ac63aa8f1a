/** Which pieces of a text may be a secret. */
import { hash52 } from './hash52.ts';
import { isWordLike } from './words.ts';

/** Shorter texts are too common to say anything. */
export const MIN_TOKEN_LENGTH = 6;

/*
 * Three sets of separators, each within the next, because nobody knows which characters a secret holds: what stands
 * between quotes, brackets or white space; what stands between the delimiters of URLs and assignments (base64 and
 * percent-encoded texts stay whole); runs of letters, digits, - and _. A secret is found where the characters on both
 * sides of it belong to one of the three sets and it holds none of that set.
 */
const OUTER = /[\s\p{Cc}\uFFFD"'`“”‘’«»()[\]{}<>\\|,;]/u;
const MIDDLE = /[=&?#:@!$*^]/;
const INNER = /[/+.%~]/;
const EDGE = /[.,:;!?=]/;

const IS_OUTER = 1;
const IS_MIDDLE = 2;
const IS_INNER = 4;
const IS_EDGE = 8;
const IS_KNOWN = 16;

/** By UTF-16 unit the sets that it belongs to, worked out when it is first seen: a regular expression costs more. */
const sets = new Uint8Array(0x10000);

function setsOf(unit: number): number {
  const known = sets[unit] as number;
  if (known !== 0) return known;
  const letter = String.fromCharCode(unit);
  return (sets[unit] =
    IS_KNOWN |
    (OUTER.test(letter) ? IS_OUTER : 0) |
    (MIDDLE.test(letter) ? IS_MIDDLE : 0) |
    (INNER.test(letter) ? IS_INNER : 0) |
    (EDGE.test(letter) ? IS_EDGE : 0));
}

/** A piece of a text, with what all ways of comparing values ask about it; each is worked out once. */
export class Token {
  readonly text: string;
  /** Of the last list that took it. */
  listed: object | undefined;
  private entropy = -1;
  private word: boolean | undefined;
  private made = -1;

  constructor(text: string) {
    this.text = text;
  }

  get isWordLike(): boolean {
    return (this.word ??= isWordLike(this.text));
  }

  /** Its 52-bit hash. */
  get number(): number {
    if (this.made < 0) this.made = hash52(this.text, 0);
    return this.made;
  }

  /** Bits that the whole token holds where it may be a secret, 0 otherwise. */
  secretBits(minEntropy: number): number {
    if (this.text.length < MIN_TOKEN_LENGTH) return 0;
    if (this.entropy < 0) this.entropy = entropyBits(this.text);
    return this.entropy < minEntropy || this.isWordLike ? 0 : this.entropy * this.text.length;
  }
}

/** The tokens of the texts of one value. */
export class Tokens {
  private readonly known = new Map<string, Token>();
  private readonly ofText = new Map<string, readonly Token[]>();

  /** All tokens of a text, and the trimmed text itself; each once. */
  of(text: string): readonly Token[] {
    const known = this.ofText.get(text);
    if (known !== undefined) return known;
    const found = new Pieces(this.known, text).all();
    this.ofText.set(text, found);
    return found;
  }
}

/** Cuts one text into pieces. */
class Pieces {
  private readonly known: Map<string, Token>;
  private readonly text: string;
  private readonly found: Token[] = [];
  /** The piece added last: most pieces have nothing to cut, and come again from each set. */
  private lastStart = -1;
  private lastEnd = -1;

  constructor(known: Map<string, Token>, text: string) {
    this.known = known;
    this.text = text;
  }

  all(): readonly Token[] {
    const { text } = this;
    const trimmed = text.trim();
    if (trimmed.length >= MIN_TOKEN_LENGTH) this.addText(trimmed);
    this.cut(0, text.length, IS_OUTER);
    return this.found;
  }

  /** The pieces between separators of a set, each with what the next set makes of it. */
  private cut(from: number, to: number, set: number): void {
    const { text } = this;
    let start = from;
    for (let at = from; at <= to; at++) {
      if (at < to && (setsOf(text.charCodeAt(at)) & set) === 0) continue;
      if (at - start >= MIN_TOKEN_LENGTH) this.piece(start, at, set);
      start = at + 1;
    }
  }

  private piece(start: number, end: number, set: number): void {
    this.add(start, end);
    if (set === IS_INNER) return;
    this.addInside(start, end);
    this.cut(start, end, set << 1);
  }

  /** Without the marks of a sentence around it. */
  private addInside(start: number, end: number): void {
    const { text } = this;
    let from = start;
    while (from < end && (setsOf(text.charCodeAt(from)) & IS_EDGE) !== 0) from++;
    let to = end;
    while (to > from && (setsOf(text.charCodeAt(to - 1)) & IS_EDGE) !== 0) to--;
    if (to - from >= MIN_TOKEN_LENGTH) this.add(from, to);
  }

  private add(start: number, end: number): void {
    if (start === this.lastStart && end === this.lastEnd) return;
    this.lastStart = start;
    this.lastEnd = end;
    this.addText(this.text.slice(start, end));
  }

  private addText(text: string): void {
    let token = this.known.get(text);
    if (token === undefined) this.known.set(text, (token = new Token(text)));
    if (token.listed === this) return;
    token.listed = this;
    this.found.push(token);
  }
}

/** All zero between calls: a table for each token would cost more than the counting. */
const asciiCounts = new Uint32Array(128);

/** c log2 c for small counts. */
const WEIGHTED = Float64Array.from({ length: 64 }, (_, count) => (count < 2 ? 0 : count * Math.log2(count)));

/** Sum of c log2 c over the counts c of the text's UTF-16 units. */
function weightedCounts(text: string): number {
  let weighted = 0;
  if (/[\u0080-\uFFFF]/.test(text)) {
    const counts = new Map<string, number>();
    for (const unit of text.split('')) counts.set(unit, (counts.get(unit) ?? 0) + 1);
    for (const count of counts.values()) weighted += count * Math.log2(count);
    return weighted;
  }
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    asciiCounts[unit] = (asciiCounts[unit] as number) + 1;
  }
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    const count = asciiCounts[unit] as number;
    if (count > 1) weighted += WEIGHTED[count] ?? count * Math.log2(count);
    asciiCounts[unit] = 0;
  }
  return weighted;
}

/** Shannon entropy of the text's characters (UTF-16 units), bits a character. */
export function entropyBits(text: string): number {
  return Math.log2(text.length) - weightedCounts(text) / text.length;
}
