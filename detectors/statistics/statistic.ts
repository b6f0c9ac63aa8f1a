/** One statistic of one key: state, step, snapshot (types first; the bodies follow). */
import type { StatisticPlan } from './plan.ts';
import { nothing, type Sample, type StatisticOutcome } from './sample.ts';

export interface StatisticState<T> {
  readonly kind: StatisticPlan['kind'];
  readonly tags: readonly T[];
}

export function newStatisticState<T>(plan: StatisticPlan): StatisticState<T> {
  return { kind: plan.kind, tags: [] };
}

export function applyStatistic<T>(
  _plan: StatisticPlan,
  _state: StatisticState<T>,
  _sample: Sample<T>,
): StatisticOutcome<T> {
  return nothing();
}

/** Plain JSON. */
export function packStatistic<T>(_state: StatisticState<T>, _packTag: (tag: T) => unknown): unknown {
  return null;
}

export function unpackStatistic<T>(
  plan: StatisticPlan,
  _packed: unknown,
  _unpackTag: (packed: unknown) => T,
): StatisticState<T> {
  return newStatisticState(plan);
}
