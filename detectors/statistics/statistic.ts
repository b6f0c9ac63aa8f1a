/** One statistic of one key: state and step. Pure; the state is changed in place. */
import { applyDrift, newDriftState, type DriftState } from './drift.ts';
import { applyNgram, newNgramState, type NgramState } from './novel-ngram.ts';
import type { StatisticPlan } from './plan.ts';
import { newBaseline } from './rate.ts';
import type { Sample, StatisticOutcome } from './sample.ts';
import { applyTimed, type TimedState } from './windowed.ts';

export type StatisticState<T> = TimedState<T> | DriftState<T> | NgramState<T>;

export function newTimedState<T>(): TimedState<T> {
  return {
    family: 'timed',
    samples: [],
    droppedMs: Number.NEGATIVE_INFINITY,
    measure: null,
    windowFrom: 0,
    baseline: newBaseline(),
  };
}

export function newStatisticState<T>(plan: StatisticPlan): StatisticState<T> {
  switch (plan.kind) {
    case 'count':
    case 'distinct':
    case 'sum':
    case 'avg':
    case 'percentile':
    case 'rate':
      return newTimedState();
    case 'drift':
      return newDriftState(plan);
    case 'novel_ngram':
      return newNgramState();
  }
}

/** Takes in one sample. `state` must have been made for a plan of this kind. */
export function applyStatistic<T>(
  plan: StatisticPlan,
  state: StatisticState<T>,
  sample: Sample<T>,
): StatisticOutcome<T> {
  if (plan.kind === 'drift' && state.family === 'drift') return applyDrift(plan, state, sample);
  if (plan.kind === 'novel_ngram' && state.family === 'ngram') return applyNgram(plan, state, sample);
  if ('withinMs' in plan && state.family === 'timed') return applyTimed(plan, state, sample);
  throw new TypeError(`a state of family ${state.family} is not for a statistic ${plan.kind}`);
}
