/** A list of fingerprints, in memory as numbers, written down as text (fingerprints.ts says how). */
import { NumberSet } from './number-set.ts';

const PARTIAL = '!';
const DIGITS = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz';
const DIGIT_CODES = Uint8Array.from(DIGITS, (digit) => digit.charCodeAt(0));
const DIGIT_VALUES = new Uint8Array(128);
DIGIT_CODES.forEach((code, value) => (DIGIT_VALUES[code] = value));
/** Digits of a half of 26 bits. */
const HALF = 5;
const WORD = 2 * HALF;
const TWO_26 = 0x4000000;
const BLANK = 0x20;
/** Of ASCII alone. */
const ascii = new TextDecoder('latin1');

/** The sink asked about last: one is compared with many sources. */
let lastSink: Fingerprints | undefined;
const sinkNumbers = new NumberSet(4_096);

export class Fingerprints {
  /** In any order; some may stand twice. */
  private readonly numbers: Float64Array;
  readonly isPartial: boolean;
  private written: string | undefined;

  constructor(numbers: readonly number[], isPartial: boolean) {
    this.numbers = Float64Array.from(numbers);
    this.isPartial = isPartial;
  }

  static parse(text: string): Fingerprints {
    const isPartial = text.startsWith(PARTIAL);
    const numbers: number[] = [];
    for (let at = isPartial ? 2 : 0; at + WORD <= text.length; at += WORD + 1)
      numbers.push(halfAt(text, at) * TWO_26 + halfAt(text, at + HALF));
    return new Fingerprints(numbers, isPartial);
  }

  /** Neither a value nor a mark that one was left out. */
  get isEmpty(): boolean {
    return this.numbers.length === 0 && !this.isPartial;
  }

  get text(): string {
    return (this.written ??= this.write());
  }

  /** In a snapshot it is its text. */
  toJSON(): string {
    return this.text;
  }

  /** Whether this source has a value in common with that sink. */
  sharesWith(sink: Fingerprints): boolean {
    if (this.numbers.length === 0 || sink.numbers.length === 0) return false;
    if (lastSink !== sink) {
      lastSink = sink;
      sinkNumbers.clearFor(sink.numbers.length);
      for (const number of sink.numbers) sinkNumbers.add(number, number);
    }
    for (const number of this.numbers) if (sinkNumbers.has(number, number)) return true;
    return false;
  }

  private write(): string {
    const numbers = distinct(this.numbers.toSorted());
    const words = new Uint8Array(numbers.length * (WORD + 1)).fill(BLANK);
    numbers.forEach((number, index) => {
      const high = Math.floor(number / TWO_26);
      writeHalf(words, index * (WORD + 1), high);
      writeHalf(words, index * (WORD + 1) + HALF, number - high * TWO_26);
    });
    const list = ascii.decode(words.subarray(0, Math.max(0, words.length - 1)));
    if (!this.isPartial) return list;
    return list === '' ? PARTIAL : `${PARTIAL} ${list}`;
  }
}

function distinct(sorted: Float64Array): Float64Array {
  let count = 0;
  for (let at = 0; at < sorted.length; at++) {
    if (at === 0 || sorted[at] !== sorted[at - 1]) sorted[count++] = sorted[at] as number;
  }
  return count === sorted.length ? sorted : sorted.slice(0, count);
}

function writeHalf(into: Uint8Array, at: number, bits: number): void {
  into[at] = DIGIT_CODES[bits >>> 24] as number;
  into[at + 1] = DIGIT_CODES[(bits >>> 18) & 63] as number;
  into[at + 2] = DIGIT_CODES[(bits >>> 12) & 63] as number;
  into[at + 3] = DIGIT_CODES[(bits >>> 6) & 63] as number;
  into[at + 4] = DIGIT_CODES[bits & 63] as number;
}

function halfAt(text: string, at: number): number {
  let bits = 0;
  for (let digit = 0; digit < HALF; digit++)
    bits = bits * 64 + (DIGIT_VALUES[text.charCodeAt(at + digit) & 127] as number);
  return bits;
}
