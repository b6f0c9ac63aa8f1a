/**
 * How surprising a value is to a key that has learned how often it sees which: -log2 of its frequency, add-one smoothed
 * (Laplace's rule of succession). With N samples in K categories so far, a known category of count c has (c + 1) /
 * (N + K + 1), and all that was never seen has 1 / (N + K + 1). Past MAX_CATEGORIES further values are one category.
 */
import { boundedText } from './measures.ts';

export const MAX_CATEGORIES = 64;

export interface Frequencies {
  total: number;
  /** Samples whose value found no category of its own. */
  other: number;
  readonly counts: Map<string, number>;
}

export function newFrequencies(): Frequencies {
  return { total: 0, other: 0, counts: new Map() };
}

const slotsOf = (frequencies: Frequencies): number =>
  frequencies.total + frequencies.counts.size + (frequencies.other > 0 ? 1 : 0) + 1;

export function surprisalBits(frequencies: Frequencies, value: string): number {
  const { counts, other } = frequencies;
  const isFull = counts.size >= MAX_CATEGORIES;
  const count = counts.get(boundedText(value)) ?? (isFull ? other : 0);
  return Math.log2(slotsOf(frequencies) / (count + 1));
}

/** Mean surprisal of samples drawn from the smoothed frequencies themselves (their Shannon entropy), bits. */
export function entropyBits(frequencies: Frequencies): number {
  const slots = slotsOf(frequencies);
  let bits = 0;
  const take = (count: number): void => {
    const share = (count + 1) / slots;
    bits -= share * Math.log2(share);
  };
  for (const count of frequencies.counts.values()) take(count);
  if (frequencies.other > 0) take(frequencies.other);
  take(0);
  return bits;
}

export function learn(frequencies: Frequencies, value: string): void {
  const key = boundedText(value);
  const count = frequencies.counts.get(key);
  frequencies.total++;
  if (count !== undefined || frequencies.counts.size < MAX_CATEGORIES) {
    frequencies.counts.set(key, (count ?? 0) + 1);
  } else frequencies.other++;
}
