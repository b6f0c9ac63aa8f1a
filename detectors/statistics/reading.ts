/** What a measure of one key reads, for explanations: asked as of its newest sample, which is when it decides. */
import type { DriftState } from './drift.ts';
import type { Condition, DriftPlan, Operator, StatisticPlan } from './plan.ts';
import { baselineMean } from './rate.ts';
import type { StatisticState } from './statistic.ts';
import { measuredAtNewest, type TimedState } from './windowed.ts';

export interface Reading {
  /** undefined where the samples say nothing yet. */
  readonly reads: number | undefined;
  /** What it is held against. */
  readonly thresholds: readonly Condition[];
  /** Samples in the window, or learned so far. */
  readonly samples: number;
  /** Samples below which nothing is said. */
  readonly needs: number;
}

function timedReading<T>(
  plan: Extract<StatisticPlan, { readonly withinMs: number }>,
  state: TimedState<T>,
): Reading {
  const { measured, samples } = measuredAtNewest(plan, state);
  if (plan.kind !== 'rate') {
    const needs = plan.kind === 'percentile' ? plan.minCount : 1;
    return { reads: measured, thresholds: plan.conditions, samples, needs };
  }
  const mean = baselineMean(plan, state.baseline, state.samples.at(-1)?.timeMs ?? 0);
  // A key without a baseline is held to minCount alone; see rate.ts.
  const { factor, operator, minCount: needs } = plan;
  const alone: Condition = { operator: 'gte', value: needs };
  return {
    reads: measured,
    thresholds: mean === undefined ? [alone] : [alone, { operator, value: factor * mean }],
    samples,
    needs,
  };
}

const above = (value: number): readonly [{ operator: Operator; value: number }] => [
  { operator: 'gt', value },
];

/** ADWIN has no statistic that stands against a threshold between two cuts. */
function driftReading<T>(plan: DriftPlan, { detector, frequencies }: DriftState<T>): Reading {
  const { total: samples } = frequencies;
  const shared = { samples, needs: plan.warmup };
  switch (detector.method) {
    case 'page_hinkley':
      return {
        ...shared,
        reads: detector.sum - (detector.least ?? detector.sum),
        thresholds: above(plan.lambda),
      };
    case 'cusum':
      return { ...shared, reads: detector.sum, thresholds: above(plan.lambda) };
    case 'adwin':
      return { ...shared, reads: undefined, thresholds: [] };
  }
}

export function readStatistic<T>(plan: StatisticPlan, state: StatisticState<T>): Reading {
  if (plan.kind === 'drift' && state.family === 'drift') return driftReading(plan, state);
  if (plan.kind === 'novel_ngram' && state.family === 'ngram') {
    const thresholds = [{ operator: 'gte', value: plan.gte }] as const;
    return { reads: state.novel.length, thresholds, samples: state.count, needs: plan.warmup };
  }
  if ('withinMs' in plan && state.family === 'timed') return timedReading(plan, state);
  throw new TypeError(`a state of family ${state.family} is not for a statistic ${plan.kind}`);
}
