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

export const MAX_SOURCE_CHUNKS = 256;
export const MAX_SINK_CHUNKS = 4_096;
const BASE = 0x01000193;
/** Of the entropy that N characters can have at most. */
const ENTROPY_SHARE = 0.75;
const NO_TEXT = /[^\p{L}\p{N}]+/gu;

/** Longest text of letters and digits that is looked at. */
export const MAX_CHUNK_TEXT = 512 * 1024;

export function chunkText(texts: readonly string[]): string {
  return texts.join('').replace(NO_TEXT, '');
}

/** c log2 c in whole 2^-20ths: sums of whole numbers do not depend on the order in which a window slid. */
const WEIGHTED = Float64Array.from({ length: 257 }, (_, count) =>
  count === 0 ? 0 : Math.round(count * Math.log2(count) * 2 ** 20),
);

/** For each N-gram whether its characters have enough entropy to say something. */
function telling(text: string, n: number, minEntropy: number): Uint8Array {
  const flags = new Uint8Array(text.length - n + 1);
  const counts = new Uint16Array(/[\u0080-\uFFFF]/.test(text) ? 0x10000 : 0x80);
  const leastEntropy = Math.min(minEntropy, Math.log2(n) * ENTROPY_SHARE);
  const most = (Math.log2(n) - leastEntropy) * n * 2 ** 20;
  let weighted = 0;
  const move = (unit: number, by: 1 | -1): void => {
    const before = counts[unit] as number;
    counts[unit] = before + by;
    weighted += (WEIGHTED[before + by] as number) - (WEIGHTED[before] as number);
  };
  for (let at = 0; at < text.length; at++) {
    move(text.charCodeAt(at), 1);
    if (at >= n) move(text.charCodeAt(at - n), -1);
    if (at >= n - 1 && weighted <= most) flags[at - n + 1] = 1;
  }
  return flags;
}

/** Rabin-Karp hash of each N-gram mod 2^32, mixed so that its order is that of no text. */
function rollingHashes(text: string, n: number): Uint32Array {
  const hashes = new Uint32Array(text.length - n + 1);
  let lead = 1;
  for (let power = 1; power < n; power++) lead = Math.imul(lead, BASE);
  let hash = 0;
  for (let at = 0; at < text.length; at++) {
    if (at >= n) hash = (hash - Math.imul(text.charCodeAt(at - n), lead)) | 0;
    hash = (Math.imul(hash, BASE) + text.charCodeAt(at)) | 0;
    if (at >= n - 1) hashes[at - n + 1] = mix32(hash) >>> 0;
  }
  return hashes;
}

interface Grams {
  readonly hashes: Uint32Array;
  readonly flags: Uint8Array;
}

/** Places whose N-grams may still be the least of a window: each less than all after it. */
class Candidates {
  private readonly places: number[] = [];
  private head = 0;
  private readonly hashes: Uint32Array;

  constructor(hashes: Uint32Array) {
    this.hashes = hashes;
  }

  push(place: number): void {
    const { hashes, places } = this;
    const hash = hashes[place] as number;
    while (places.length > this.head && (hashes[places.at(-1) as number] as number) >= hash) places.pop();
    places.push(place);
  }

  leastFrom(place: number): number | undefined {
    while ((this.places[this.head] ?? place) < place) this.head++;
    return this.places[this.head];
  }
}

/** Places of the N-grams that winnowing with window w chooses, in order. A text of fewer N-grams is one window. */
function winnowed({ hashes, flags }: Grams, w: number): number[] {
  const window = Math.min(w, hashes.length);
  const chosen: number[] = [];
  const candidates = new Candidates(hashes);
  for (let at = 0; at < hashes.length; at++) {
    if (flags[at] === 1) candidates.push(at);
    if (at < window - 1) continue;
    const least = candidates.leastFrom(at - window + 1);
    if (least !== undefined && chosen.at(-1) !== least) chosen.push(least);
  }
  return chosen;
}

export interface Chunks {
  /** The N-grams chosen. */
  readonly grams: ReadonlySet<string>;
  /** The window they were chosen with. */
  readonly window: number;
}

/** At most `maxCount` N-grams of a text that chunkText made. */
export function chunksOf(
  text: string,
  n: number,
  limits: { readonly minEntropy: number; readonly maxCount: number },
): Chunks {
  if (text.length < n) return { grams: new Set(), window: 1 };
  const all: Grams = { hashes: rollingHashes(text, n), flags: telling(text, n, limits.minEntropy) };
  // A random text has 2 / (w + 1) of its N-grams chosen: a smaller window is not worth trying.
  let window = 1;
  while (window * limits.maxCount * 2 < all.hashes.length) window *= 2;
  for (; ; window *= 2) {
    const places = winnowed(all, window);
    const grams = new Set<string>();
    for (const at of places) {
      grams.add(text.slice(at, at + n));
      if (grams.size > limits.maxCount) break;
    }
    if (grams.size <= limits.maxCount) return { grams, window };
  }
}
