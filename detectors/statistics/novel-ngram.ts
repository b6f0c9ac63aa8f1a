/**
 * Sequences of values that are new to the key: STIDE (S. Forrest et al., "A Sense of Self for Unix Processes", 1996;
 * S. Hofmeyr et al. 1998) with a locality frame (C. Warrender et al. 1999): one new n-gram says little, many close
 * together say that the key does something else. The statistic holds at a sample whose own n-gram is new while at least
 * `gte` of the last `window` n-grams, this one included, were new. The first `warmup` n-grams are learned and never new;
 * each later one is learned once it has counted. The MAX_NGRAMS seen most recently are kept.
 *
 * n-grams are kept as numbers of values, not as hashes: no value can be made to look like another. A value that finds the
 * table of values full is never known, so an n-gram with it stays new however often it comes.
 */
import { boundedText } from './measures.ts';
import { MAX_EVIDENCE, type NovelNgramPlan } from './plan.ts';
import { firedOnce, nothing, type Sample, type StatisticOutcome } from './sample.ts';

export const MAX_NGRAMS = 4_096;
export const MAX_VALUES = 1_024;
const UNKNOWN = -1;

export interface NgramState<T> {
  readonly family: 'ngram';
  /** Number of each value, in order of first sight. */
  readonly values: Map<string, number>;
  /** Numbers of the newest n - 1 values. */
  readonly tail: number[];
  /** Known n-grams, the one seen longest ago first. */
  readonly known: Set<string>;
  /** n-grams seen so far. */
  count: number;
  /** Which of the n-grams (by their count) in the last `window` were new, oldest first; samples that ended the newest. */
  readonly novel: number[];
  readonly novelTags: T[];
}

export function newNgramState<T>(): NgramState<T> {
  return {
    family: 'ngram',
    values: new Map(),
    tail: [],
    known: new Set(),
    count: 0,
    novel: [],
    novelTags: [],
  };
}

function numberOf<T>(state: NgramState<T>, value: string): number {
  const text = boundedText(value);
  const known = state.values.get(text);
  if (known !== undefined) return known;
  if (state.values.size >= MAX_VALUES) return UNKNOWN;
  state.values.set(text, state.values.size);
  return state.values.size - 1;
}

/** Learns an n-gram; whether it was new. */
function isNew<T>(state: NgramState<T>, ngram: readonly number[]): boolean {
  if (ngram.includes(UNKNOWN)) return true;
  const text = ngram.map((number) => number.toString(36)).join('.');
  const wasKnown = state.known.delete(text);
  state.known.add(text);
  if (state.known.size > MAX_NGRAMS) {
    const [oldest] = state.known;
    if (oldest !== undefined) state.known.delete(oldest);
  }
  return !wasKnown;
}

/** `measured`: the number of new n-grams in the frame. */
export function applyNgram<T>(
  plan: NovelNgramPlan,
  state: NgramState<T>,
  sample: Sample<T>,
): StatisticOutcome<T> {
  if (sample.value === null) return nothing();
  const ngram = [...state.tail, numberOf(state, sample.value)];
  state.tail.push(ngram.at(-1) as number);
  if (ngram.length < plan.n) return nothing();
  state.tail.shift();
  const { novel, novelTags } = state;
  state.count++;
  const wasNew = isNew(state, ngram);
  while ((novel[0] ?? state.count) <= state.count - plan.window) {
    novel.shift();
    if (novelTags.length > novel.length) novelTags.shift();
  }
  if (!wasNew || state.count <= plan.warmup) return nothing();
  novel.push(state.count);
  novelTags.push(sample.tag);
  if (novelTags.length > MAX_EVIDENCE) novelTags.shift();
  return novel.length >= plan.gte ? firedOnce(novelTags, sample.tag, novel.length) : nothing();
}
