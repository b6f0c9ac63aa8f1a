/**
 * Fingerprints of the values that a source gave and that a sink sends: the sink shares a value with the source when the
 * two lists have one in common. A list is a text: numbers of 52 bits as ten digits of base 64, in ascending order, each once, between blanks; a first
 * word `!` where a bound left something out.
 *
 * The built-in hash is public and has no key (hash52.ts): give a keyed one where the lists leave the process, since a
 * short value can be guessed from its fingerprint.
 */
import { chunksOf, chunkText, MAX_CHUNK_TEXT, MAX_SINK_CHUNKS, MAX_SOURCE_CHUNKS } from './chunks.ts';
import { readingsOf, type Reading } from './expand.ts';
import { hash52 } from './hash52.ts';
import { Steps } from './steps.ts';
import { textsOf, type Texts } from './texts.ts';
import { secretBits, tokensOf } from './tokens.ts';
import type { Encoding, Via } from './via.ts';

/** Hash of a text as at least 13 hex digits, of which 13 are used. */
export type HashHex = (text: string) => string;

export const DEFAULT_MIN_ENTROPY = 2.5;
/** Tokens of a source, and of a sink: those with most bits stay. Chunks have limits of their own. */
const MAX_SOURCE_TOKENS = 256;
const MAX_SINK_TOKENS = 4_096;
/** Characters that one value may make us look at, decodings included. */
export const MAX_STEPS = 4_000_000;
const PARTIAL = '!';

interface Limits {
  readonly tokens: number;
  readonly chunks: number;
}
const SOURCE: Limits = { tokens: MAX_SOURCE_TOKENS, chunks: MAX_SOURCE_CHUNKS };
const SINK: Limits = { tokens: MAX_SINK_TOKENS, chunks: MAX_SINK_CHUNKS };

class FingerprintList {
  readonly steps = new Steps(MAX_STEPS);
  private readonly numbers = new Set<number>();
  private readonly minEntropy: number;
  private readonly limits: Limits;
  private readonly hash: HashHex | undefined;

  constructor(minEntropy: number, limits: Limits, hash: HashHex | undefined) {
    this.minEntropy = minEntropy;
    this.limits = limits;
    this.hash = hash;
  }

  /** Whole values and their tokens are of one kind (0), N-grams of another for each N. */
  private add(text: string, kind: number): void {
    const number =
      this.hash === undefined
        ? hash52(text, kind)
        : Number.parseInt(this.hash(`${kind}\0${text}`).slice(0, 13), 16);
    this.numbers.add(number);
  }

  addTokens(tokens: Iterable<string>): void {
    let secrets: (readonly [token: string, bits: number])[] = [];
    for (const token of tokens) {
      const bits = secretBits(token, this.minEntropy);
      if (bits > 0) secrets.push([token, bits]);
    }
    if (secrets.length > this.limits.tokens) {
      this.steps.isPartial = true;
      secrets.sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
      secrets = secrets.slice(0, this.limits.tokens);
    }
    for (const [token] of secrets) this.add(token, 0);
  }

  addChunks(texts: readonly string[], via: readonly Via[]): void {
    const ways = via.filter((way) => way.name === 'chunks');
    if (ways.length === 0) return;
    const whole = chunkText(texts);
    if (whole.length > MAX_CHUNK_TEXT) this.steps.isPartial = true;
    const text = whole.slice(0, MAX_CHUNK_TEXT);
    const limits = { minEntropy: this.minEntropy, maxCount: this.limits.chunks };
    for (const way of ways) {
      const { grams, window } = chunksOf(text, way.minLength, limits);
      // From here on a shared run must be twice as long as the rule says.
      if (window > way.minLength) this.steps.isPartial = true;
      for (const gram of grams) this.add(gram, way.minLength);
    }
  }

  text(): string {
    const words = Array.from(Float64Array.from(this.numbers).toSorted(), wordOf);
    return (this.steps.isPartial ? [PARTIAL, ...words] : words).join(' ');
  }
}

const DIGITS = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz';
/** All pairs of digits: Number.toString(36) costs several times as much as six look-ups. */
const PAIRS = Array.from({ length: 4_096 }, (_, at) => `${DIGITS[at >> 6]}${DIGITS[at & 63]}`);
const TWO_26 = 0x4000000;

function wordOf(number: number): string {
  const high = Math.floor(number / TWO_26);
  return halfOf(high) + halfOf(number - high * TWO_26);
}

const halfOf = (bits: number): string =>
  (DIGITS[bits >>> 24] as string) +
  (PAIRS[(bits >>> 12) & 4_095] as string) +
  (PAIRS[bits & 4_095] as string);

const isEncoding = (name: Via['name']): name is Encoding => name !== 'exact' && name !== 'chunks';

/** Values that a source gave: its strings and numbers, and their tokens. `minEntropy` in bits a character. */
export function sourceFingerprints(
  value: unknown,
  via: readonly Via[],
  minEntropy = DEFAULT_MIN_ENTROPY,
  hash?: HashHex,
): string {
  const list = new FingerprintList(minEntropy, SOURCE, hash);
  const { values } = textsOf(value, list.steps);
  if (via.some((way) => way.name !== 'chunks')) list.addTokens(union(values.map((text) => tokensOf(text))));
  list.addChunks(values, via);
  return list.text();
}

function union(sets: readonly ReadonlySet<string>[]): Set<string> {
  const all = new Set<string>();
  for (const set of sets) for (const member of set) all.add(member);
  return all;
}

/** Own texts count for `exact` alone, decoded ones for whichever encodings led to them. */
function tokensAsked(readings: readonly Reading[], isExact: boolean): Set<string> {
  return union(readings.filter((one) => one.level > 0 || isExact).map((one) => one.tokens));
}

/** Values first, then names of members, then what was decoded: cuts between arguments do not part a value. */
function chunkTexts(texts: Texts, readings: readonly Reading[]): string[] {
  return [...texts.values, ...texts.keys, ...readings.flatMap((one) => (one.level > 0 ? [one.text] : []))];
}

/** Values that a sink sends: its texts, names of members too, and what they decode to, as `via` asks. */
export function sinkFingerprints(
  value: unknown,
  via: readonly Via[],
  minEntropy = DEFAULT_MIN_ENTROPY,
  hash?: HashHex,
): string {
  const list = new FingerprintList(minEntropy, SINK, hash);
  const texts = textsOf(value, list.steps);
  const names = new Set(via.map((way) => way.name));
  const encodings = [...names].filter(isEncoding);
  const wantsTokens = names.has('exact') || encodings.length > 0;
  const readings = wantsTokens ? readingsOf([...texts.values, ...texts.keys], encodings, list.steps) : [];
  list.addTokens(tokensAsked(readings, names.has('exact')));
  list.addChunks(chunkTexts(texts, readings), via);
  return list.text();
}

/** Whether a bound left something out of a list: the value may have been missed. */
export function isPartial(fingerprints: string): boolean {
  return fingerprints.startsWith(PARTIAL);
}

/** The last sink asked about: one is compared with many sources. */
let lastSink: { readonly text: string; readonly words: ReadonlySet<string> } = { text: '', words: new Set() };

export function sharesValue(source: string, sink: string): boolean {
  if (source === '' || sink === '') return false;
  if (lastSink.text !== sink) lastSink = { text: sink, words: new Set(sink.split(' ')) };
  return source.split(' ').some((word) => word !== PARTIAL && lastSink.words.has(word));
}
