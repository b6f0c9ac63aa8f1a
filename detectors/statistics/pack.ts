/**
 * A statistic's state as plain JSON, and back. What is worked out from the rest (running measures) is not packed; it is
 * a function of the samples alone, so that a restored state decides as the first one would have.
 */
import { type Detector, type DriftState } from './drift.ts';
import type { NgramState } from './novel-ngram.ts';
import type { StatisticPlan } from './plan.ts';
import { newStatisticState, newTimedState, type StatisticState } from './statistic.ts';
import { windowStart, type Held, type TimedState } from './windowed.ts';

type PackedHeld = readonly [
  timeMs: number,
  partition: number,
  offset: number,
  line: number,
  value: string | number,
  hasFired: 0 | 1,
  tag: unknown,
];
/** Infinities are no JSON: null. */
interface PackedTimed {
  readonly family: 'timed';
  readonly samples: readonly PackedHeld[];
  readonly droppedMs: number | null;
  readonly baseline: {
    readonly firstMs: number;
    readonly newestMs: number;
    readonly buckets: readonly (readonly [number, number])[];
  } | null;
}
interface PackedDrift {
  readonly family: 'drift';
  readonly total: number;
  readonly other: number;
  readonly counts: readonly (readonly [string, number])[];
  readonly detector: Detector;
  readonly recent: readonly unknown[];
}
interface PackedNgram {
  readonly family: 'ngram';
  readonly values: readonly string[];
  readonly tail: readonly number[];
  readonly known: readonly string[];
  readonly count: number;
  readonly novel: readonly number[];
  readonly novelTags: readonly unknown[];
}
export type PackedStatistic = PackedTimed | PackedDrift | PackedNgram;

function packTimed<T>(state: TimedState<T>, packTag: (tag: T) => unknown): PackedTimed {
  const { baseline } = state;
  return {
    family: 'timed',
    samples: state.samples.map((s) => [
      s.timeMs,
      s.partition,
      s.offset,
      s.line,
      s.value,
      s.hasFired ? 1 : 0,
      packTag(s.tag),
    ]),
    droppedMs: Number.isFinite(state.droppedMs) ? state.droppedMs : null,
    baseline: Number.isFinite(baseline.firstMs)
      ? { firstMs: baseline.firstMs, newestMs: baseline.newestMs, buckets: [...baseline.buckets] }
      : null,
  };
}

export function packStatistic<T>(state: StatisticState<T>, packTag: (tag: T) => unknown): PackedStatistic {
  switch (state.family) {
    case 'timed':
      return packTimed(state, packTag);
    case 'drift': {
      const { total, other, counts } = state.frequencies;
      const recent = state.recent.map((tag) => packTag(tag));
      // A copy: the detector goes on after it was packed.
      const detector = structuredClone(state.detector);
      return { family: 'drift', total, other, counts: [...counts], detector, recent };
    }
    case 'ngram':
      return {
        family: 'ngram',
        values: [...state.values.keys()],
        tail: [...state.tail],
        known: [...state.known],
        count: state.count,
        novel: [...state.novel],
        novelTags: state.novelTags.map((tag) => packTag(tag)),
      };
  }
}

type UnpackTag<T> = (packed: unknown) => T;

function unpackTimed<T>(plan: StatisticPlan, packed: PackedTimed, unpackTag: UnpackTag<T>): TimedState<T> {
  const state = newTimedState<T>();
  for (const [timeMs, partition, offset, line, value, hasFired, tag] of packed.samples) {
    const held: Held<T> = {
      timeMs,
      partition,
      offset,
      line,
      value,
      tag: unpackTag(tag),
      hasFired: hasFired === 1,
    };
    state.samples.push(held);
  }
  state.droppedMs = packed.droppedMs ?? Number.NEGATIVE_INFINITY;
  if (packed.baseline !== null) {
    const { firstMs, newestMs, buckets } = packed.baseline;
    Object.assign(state.baseline, { firstMs, newestMs });
    for (const [bucket, count] of buckets) state.baseline.buckets.set(bucket, count);
  }
  if ('withinMs' in plan) state.windowFrom = windowStart(plan, state.samples);
  return state;
}

function unpackDrift<T>(packed: PackedDrift, unpackTag: UnpackTag<T>): DriftState<T> {
  const { total, other, counts } = packed;
  return {
    family: 'drift',
    frequencies: { total, other, counts: new Map(counts) },
    detector: structuredClone(packed.detector),
    recent: packed.recent.map((tag) => unpackTag(tag)),
  };
}

function unpackNgram<T>(packed: PackedNgram, unpackTag: UnpackTag<T>): NgramState<T> {
  return {
    family: 'ngram',
    values: new Map(packed.values.map((value, number) => [value, number])),
    tail: [...packed.tail],
    known: new Set(packed.known),
    count: packed.count,
    novel: [...packed.novel],
    novelTags: packed.novelTags.map((tag) => unpackTag(tag)),
  };
}

/** What packStatistic gave for a state of this plan. A state of another kind starts empty. */
export function unpackStatistic<T>(
  plan: StatisticPlan,
  packed: PackedStatistic,
  unpackTag: UnpackTag<T>,
): StatisticState<T> {
  const empty = newStatisticState<T>(plan);
  if (empty.family !== packed.family) return empty;
  switch (packed.family) {
    case 'timed':
      return unpackTimed(plan, packed, unpackTag);
    case 'drift':
      return unpackDrift(packed, unpackTag);
    case 'ngram':
      return unpackNgram(packed, unpackTag);
  }
}
