/**
 * Parts of a text, found again when it was cut up and spread over arguments: fingerprints of its N-grams, chosen by
 * winnowing (S. Schleimer, D. S. Wilkerson, A. Aiken, "Winnowing: Local Algorithms for Document Fingerprinting", SIGMOD
 * 2003): of every w neighbouring N-grams the one with the least hash, the rightmost of equals. Only letters and digits
 * count, and the texts of a value are one text, so separators and cuts between arguments change nothing.
 *
 * Guarantee. Let each side be winnowed with the least power of two w, not below a half of its N-grams by its most
 * fingerprints, that leaves no more than these. A
 * run of letters and digits that both texts share, of at least N + max(w) - 1 characters, gives both a common
 * fingerprint if among every max(w) neighbouring N-grams of it one is no filler (enough entropy). For the choice depends
 * on the w N-grams alone, and the least of w neighbours is also the least of any fewer of them that hold it: what the
 * side with the greater w chose, the other has chosen too. A source of up to MAX_SOURCE_CHUNKS N-grams has w = 1, a
 * sink of up to MAX_SINK_CHUNKS likewise: there every shared run of N characters is found.
 */
import { mix32 } from './hash52.ts';
import { NumberSet } from './number-set.ts';

export const MAX_SOURCE_CHUNKS = 256;
export const MAX_SINK_CHUNKS = 4_096;
const BASE = 0x01000193;
/** Of the second hash, which an N-gram's fingerprint has beside the one that orders it. */
const SECOND_BASE = 0x2c1b3c6d;
/** Of the entropy that N characters can have at most. */
const ENTROPY_SHARE = 0.75;
const NO_TEXT = /[^\p{L}\p{N}]+/gu;
const NOT_ASCII = /[\u0080-\uFFFF]/;
const TWO_26 = 0x4000000;

/** Longest text of letters and digits that is looked at. */
export const MAX_CHUNK_TEXT = 512 * 1024;

const IS_TEXT = Uint8Array.from({ length: 128 }, (_, unit) =>
  /[0-9A-Za-z]/.test(String.fromCharCode(unit)) ? 1 : 0,
);
/** Of ASCII alone: then every encoding that starts with it is the same. */
const ascii = new TextDecoder('latin1');

export function chunkText(texts: readonly string[]): string {
  const whole = texts.join('');
  if (NOT_ASCII.test(whole)) return whole.replace(NO_TEXT, '');
  const kept = new Uint8Array(whole.length);
  let length = 0;
  for (let at = 0; at < whole.length; at++) {
    const unit = whole.charCodeAt(at);
    kept[length] = unit;
    length += IS_TEXT[unit] as number;
  }
  return ascii.decode(kept.subarray(0, length));
}

/** c log2 c in whole 2^-20ths: sums of whole numbers do not depend on the order in which a window slid. */
const WEIGHTED = Float64Array.from({ length: 257 }, (_, count) =>
  count === 0 ? 0 : Math.round(count * Math.log2(count) * 2 ** 20),
);

/** What one N-gram after another is told by, in tables that grow and are used again. */
interface Grams {
  count: number;
  /** Order in which winnowing chooses: Rabin-Karp hashes mod 2^32, mixed so that their order is that of no text. */
  hashes: Uint32Array;
  /** The same by another base. */
  seconds: Uint32Array;
  /** 1 where its characters have enough entropy to say something. */
  flags: Uint8Array;
  /** Places that may still be the least of a window. */
  places: Uint32Array;
}
const shared: Grams = {
  count: 0,
  hashes: new Uint32Array(0),
  seconds: new Uint32Array(0),
  flags: new Uint8Array(0),
  places: new Uint32Array(0),
};
/** By UTF-16 unit; all zero between calls. */
const unitCounts = new Uint16Array(0x10000);

function makeRoom(count: number): void {
  shared.count = count;
  if (shared.hashes.length >= count) return;
  const length = 1 << (32 - Math.clz32(count));
  shared.hashes = new Uint32Array(length);
  shared.seconds = new Uint32Array(length);
  shared.flags = new Uint8Array(length);
  shared.places = new Uint32Array(length);
}

function power(base: number, exponent: number): number {
  let value = 1;
  for (let each = 0; each < exponent; each++) value = Math.imul(value, base);
  return value;
}

function rollHashes(text: string, n: number): void {
  const { hashes, seconds } = shared;
  const lead = power(BASE, n - 1);
  const secondLead = power(SECOND_BASE, n - 1);
  let hash = 0;
  let second = 0;
  for (let at = 0; at < text.length; at++) {
    if (at >= n) {
      const gone = text.charCodeAt(at - n);
      hash = (hash - Math.imul(gone, lead)) | 0;
      second = (second - Math.imul(gone, secondLead)) | 0;
    }
    const unit = text.charCodeAt(at);
    hash = (Math.imul(hash, BASE) + unit) | 0;
    second = (Math.imul(second, SECOND_BASE) + unit) | 0;
    if (at < n - 1) continue;
    hashes[at - n + 1] = mix32(hash);
    seconds[at - n + 1] = second;
  }
}

function flagTelling(text: string, n: number, minEntropy: number): void {
  const { flags } = shared;
  const leastEntropy = Math.min(minEntropy, Math.log2(n) * ENTROPY_SHARE);
  const most = (Math.log2(n) - leastEntropy) * n * 2 ** 20;
  let weighted = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    const before = unitCounts[unit] as number;
    unitCounts[unit] = before + 1;
    weighted += (WEIGHTED[before + 1] as number) - (WEIGHTED[before] as number);
    if (at >= n) {
      const gone = text.charCodeAt(at - n);
      const count = unitCounts[gone] as number;
      unitCounts[gone] = count - 1;
      weighted += (WEIGHTED[count - 1] as number) - (WEIGHTED[count] as number);
    }
    if (at >= n - 1) flags[at - n + 1] = weighted <= most ? 1 : 0;
  }
  for (let at = Math.max(0, text.length - n); at < text.length; at++) unitCounts[text.charCodeAt(at)] = 0;
}

/** N-grams that were chosen, each once. */
class Chosen {
  readonly numbers: number[] = [];
  readonly places: number[] = [];
  private readonly n: number;
  private readonly maxCount: number;
  private readonly distinct: NumberSet;

  constructor(n: number, maxCount: number) {
    this.n = n;
    this.maxCount = maxCount;
    this.distinct = maxCount <= MAX_SOURCE_CHUNKS ? fewDistinct : manyDistinct;
    this.distinct.clear();
  }

  /** False once there are too many. */
  add(place: number): boolean {
    const first = shared.hashes[place] as number;
    const second = mix32((shared.seconds[place] as number) ^ Math.imul(this.n, 0x27d4eb2f)) >>> 6;
    const number = (first >>> 6) * TWO_26 + second;
    if (!this.distinct.add(number, first)) return true;
    this.numbers.push(number);
    this.places.push(place);
    return this.numbers.length <= this.maxCount;
  }
}
/** Those of a source fit into the processor's nearest cache. */
const fewDistinct = new NumberSet(MAX_SOURCE_CHUNKS + 1);
const manyDistinct = new NumberSet(MAX_SINK_CHUNKS + 1);

/** Every N-gram is a window of its own. */
function chooseAll(chosen: Chosen): boolean {
  const { count, flags } = shared;
  for (let at = 0; at < count; at++) if (flags[at] === 1 && !chosen.add(at)) return false;
  return true;
}

/** End of the places that stay when an N-gram of this hash comes: those that it is less than, or equal to, go. */
function tailFor(hash: number, head: number, tail: number): number {
  const { hashes, places } = shared;
  let end = tail;
  while (end > head && (hashes[places[end - 1] as number] as number) >= hash) end--;
  return end;
}

/** What winnowing with window w chooses, in order; false once it is too much. A text of fewer N-grams is one window. */
function winnow(chosen: Chosen, w: number): boolean {
  const { count, hashes, flags, places } = shared;
  const window = Math.min(w, count);
  let head = 0;
  let tail = 0;
  let last = -1;
  for (let at = 0; at < count; at++) {
    if (flags[at] === 1) {
      tail = tailFor(hashes[at] as number, head, tail);
      places[tail++] = at;
    }
    const first = at - window + 1;
    if (first < 0) continue;
    while (head < tail && (places[head] as number) < first) head++;
    const least = head < tail ? (places[head] as number) : last;
    if (least === last) continue;
    last = least;
    if (!chosen.add(least)) return false;
  }
  return true;
}

export interface Chunks {
  /** 52-bit hashes of the N-grams chosen, each once. */
  readonly numbers: readonly number[];
  /** Where each stands first. */
  readonly places: readonly number[];
  /** The window they were chosen with. */
  readonly window: number;
}

/**
 * N-grams and window by which both sides of `ngram>=minLength` are thinned out, so that a shared run of that length has a
 * fingerprint in common: a window of at most a third of it, and N-grams of the rest.
 */
export function thinned(minLength: number): { readonly n: number; readonly window: number } {
  const window = 2 ** Math.floor(Math.log2(minLength / 3));
  return { n: minLength - window + 1, window };
}

/** At most `maxCount` N-grams of a text that chunkText made, chosen with a window of `minWindow`, a power of two, or more. */
export function chunksOf(
  text: string,
  n: number,
  limits: { readonly minEntropy: number; readonly maxCount: number; readonly minWindow?: number },
): Chunks {
  if (text.length < n) return { numbers: [], places: [], window: 1 };
  makeRoom(text.length - n + 1);
  rollHashes(text, n);
  flagTelling(text, n, limits.minEntropy);
  // A random text has 2 / (w + 1) of its N-grams chosen: a smaller window is not worth trying.
  let window = limits.minWindow ?? 1;
  while (window * limits.maxCount * 2 < shared.count) window *= 2;
  for (; ; window *= 2) {
    const chosen = new Chosen(n, limits.maxCount);
    const isWithin = window === 1 ? chooseAll(chosen) : winnow(chosen, window);
    if (isWithin) return { numbers: chosen.numbers, places: chosen.places, window };
  }
}
