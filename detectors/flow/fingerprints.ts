/**
 * Fingerprints of the values that a source gave and that a sink sends: the sink shares a value with the source when the
 * two lists have one in common. Written down a list is a text: numbers of 52 bits as ten digits of base 64, in ascending order, each once, between blanks; a first
 * word `!` where a bound left something out.
 *
 * The built-in hash is public and has no key (hash52.ts): give a keyed one where the lists leave the process, since a
 * short value can be guessed from its fingerprint.
 */
import { chunksOf, thinned, MAX_CHUNK_TEXT, MAX_SINK_CHUNKS, MAX_SOURCE_CHUNKS } from './chunks.ts';
import { Fingerprints } from './list.ts';
import type { Steps } from './steps.ts';
import type { Token } from './tokens.ts';
import { FlowValue } from './value.ts';
import type { Encoding, Via } from './via.ts';

/** Hash of a text as at least 13 hex digits, of which 13 are used. */
export type HashHex = (text: string) => string;

export const DEFAULT_MIN_ENTROPY = 2.5;
/** Tokens of a source, and of a sink: those with most bits stay. Chunks have limits of their own. */
const MAX_SOURCE_TOKENS = 256;
const MAX_SINK_TOKENS = 4_096;

interface Limits {
  readonly tokens: number;
  readonly chunks: number;
}
const SOURCE: Limits = { tokens: MAX_SOURCE_TOKENS, chunks: MAX_SOURCE_CHUNKS };
const SINK: Limits = { tokens: MAX_SINK_TOKENS, chunks: MAX_SINK_CHUNKS };

/** How a value is compared. */
export interface Comparison {
  readonly via: readonly Via[];
  /** Bits a character. */
  readonly minEntropy: number;
  readonly hash?: HashHex | undefined;
}

const numberOfHex = (hash: HashHex, kind: number, text: string): number =>
  Number.parseInt(hash(`${kind}\0${text}`).slice(0, 13), 16);

class FingerprintList {
  private readonly numbers: number[] = [];
  private readonly comparison: Comparison;
  private readonly limits: Limits;
  private readonly steps: Steps;

  constructor(comparison: Comparison, limits: Limits, steps: Steps) {
    this.comparison = comparison;
    this.limits = limits;
    this.steps = steps;
  }

  /** Whole values and their tokens are of one kind (0), N-grams of another for each N. */
  addTokens(lists: readonly (readonly Token[])[]): void {
    const { hash, minEntropy } = this.comparison;
    const secrets: (readonly [token: Token, bits: number])[] = [];
    for (const list of lists) {
      for (const token of list) {
        if (token.listed === this) continue;
        token.listed = this;
        const bits = token.secretBits(minEntropy);
        if (bits > 0) secrets.push([token, bits]);
      }
    }
    if (secrets.length > this.limits.tokens) {
      this.steps.isPartial = true;
      secrets.sort((a, b) => b[1] - a[1] || (a[0].text < b[0].text ? -1 : 1));
      secrets.length = this.limits.tokens;
    }
    for (const [token] of secrets)
      this.numbers.push(hash === undefined ? token.number : numberOfHex(hash, 0, token.text));
  }

  addChunks(whole: () => string): void {
    const { via, hash, minEntropy } = this.comparison;
    for (const way of via) {
      if (!isGrams(way)) continue;
      if (whole().length > MAX_CHUNK_TEXT) this.steps.isPartial = true;
      const text = whole().slice(0, MAX_CHUNK_TEXT);
      const { n, window: minWindow } =
        way.name === 'ngram' ? thinned(way.minLength) : { n: way.minLength, window: 1 };
      const limits = { minEntropy, maxCount: this.limits.chunks, minWindow };
      const { numbers, places, window } = chunksOf(text, n, limits);
      // From here on a shared run must be twice as long as the rule says.
      if (window > n) this.steps.isPartial = true;
      for (let at = 0; at < numbers.length; at++) {
        const place = places[at] as number;
        const keyed = hash === undefined ? undefined : numberOfHex(hash, n, text.slice(place, place + n));
        this.numbers.push(keyed ?? (numbers[at] as number));
      }
    }
  }

  done(): Fingerprints {
    return new Fingerprints(this.numbers, this.steps.isPartial);
  }
}

type Grams = Extract<Via, { readonly name: 'chunks' | 'ngram' }>;
const isGrams = (way: Via): way is Grams => way.name === 'chunks' || way.name === 'ngram';
const isEncoding = (name: Via['name']): name is Encoding =>
  name !== 'exact' && name !== 'chunks' && name !== 'ngram';

/** Values that a source gave: its strings and numbers, and their tokens. */
export function fingerprintsOfSource(value: FlowValue, comparison: Comparison): Fingerprints {
  const list = new FingerprintList(comparison, SOURCE, value.texts().steps.copy());
  if (comparison.via.some((way) => !isGrams(way))) list.addTokens(value.valueTokens());
  list.addChunks(() => value.valueChunkText());
  return list.done();
}

/** Values that a sink sends: its texts, names of members too, and what they decode to, as `via` asks. */
export function fingerprintsOfSink(value: FlowValue, comparison: Comparison): Fingerprints {
  const names = new Set(comparison.via.map((way) => way.name));
  const encodings = [...names].filter(isEncoding);
  const wantsTokens = names.has('exact') || encodings.length > 0;
  const { readings, steps } = wantsTokens
    ? value.readings(encodings)
    : { readings: [], steps: value.texts().steps.copy() };
  const list = new FingerprintList(comparison, SINK, steps);
  // Own texts count for `exact` alone, decoded ones for whichever encodings led to them.
  const asked = readings.filter((one) => one.level > 0 || names.has('exact'));
  list.addTokens(asked.map((one) => one.tokens));
  list.addChunks(() => value.sinkChunkText(encodings, readings));
  return list.done();
}

/** The list of a source as text. */
export function sourceFingerprints(
  value: unknown,
  via: readonly Via[],
  minEntropy = DEFAULT_MIN_ENTROPY,
  hash?: HashHex,
): string {
  return fingerprintsOfSource(new FlowValue(value), { via, minEntropy, hash }).text;
}

/** The list of a sink as text. */
export function sinkFingerprints(
  value: unknown,
  via: readonly Via[],
  minEntropy = DEFAULT_MIN_ENTROPY,
  hash?: HashHex,
): string {
  return fingerprintsOfSink(new FlowValue(value), { via, minEntropy, hash }).text;
}

/** Whether two lists that were written down have a value in common. */
export function sharesValue(source: string, sink: string): boolean {
  return Fingerprints.parse(source).sharesWith(Fingerprints.parse(sink));
}

/** Whether a bound left something out of a list: the value may have been missed. */
export function isPartial(fingerprints: string): boolean {
  return Fingerprints.parse(fingerprints).isPartial;
}

export { MAX_STEPS } from './value.ts';
