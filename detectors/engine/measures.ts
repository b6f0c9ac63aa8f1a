/**
 * Rules of measures: each event is counted twice, by event time and by append time, so that whoever back-dates events
 * spreads them over neither. Order-bound measures (drift, novelty) take events as they come, once.
 */
import type { Fired, Sample } from '../statistics/sample.ts';
import { applyStatistic, newStatisticState, type StatisticState } from '../statistics/statistic.ts';
import type { Statistic } from '../compile/rule.ts';
import type { Entry, FieldValue, Node } from './prefixes.ts';
import type { Completed, KeyState, TimeBasis } from './state.ts';

export interface Measured {
  readonly completed: readonly Completed[];
  /** Samples that had to go while they still counted. */
  readonly evicted: number;
  /** It came too late for a window to be put right. */
  readonly unrepaired: boolean;
  /** More than one event has been seen. */
  readonly advanced: boolean;
}

const BASES: readonly TimeBasis[] = ['event', 'append'];

function basesOf(statistic: Statistic): readonly TimeBasis[] {
  const { kind } = statistic.plan;
  return kind === 'drift' || kind === 'novel_ngram' ? ['event'] : BASES;
}

function stateOf(state: KeyState, statistic: Statistic, basis: TimeBasis): StatisticState<Entry> {
  const at = statistic.step * 2 + (basis === 'event' ? 0 : 1);
  return (state.statistics[at] ??= newStatisticState<Entry>(statistic.plan));
}

/** A measure never reads a flow field. */
function measuredText(value: FieldValue | null | undefined): string | null {
  return typeof value === 'string' ? value : null;
}

function sampleOf(state: KeyState, statistic: Statistic, entry: Entry, basis: TimeBasis): Sample<Entry> {
  return {
    timeMs: basis === 'event' ? entry.timeMs : entry.appendMs,
    partition: entry.partition,
    offset: entry.offset,
    line: entry.line,
    value: measuredText(entry.fields[state.plan.measured[statistic.step] ?? -1]),
    tag: entry,
  };
}

/** The calls that the measure cites, the completing one last, as an assignment. */
function chain(step: number, firing: Fired<Entry>): Node {
  const before = firing.evidence.filter((entry) => entry !== firing.completing);
  let last: Node | null = null;
  for (const entry of [...before, firing.completing]) {
    const startMs: number = last === null ? entry.timeMs : last.startMs;
    last = { startMs, lastMs: entry.timeMs, step, entry, prev: last, signature: '' };
  }
  return last as Node;
}

/** One event of a rule of measures; an event completes one alert, whichever measure is first to say so. */
export function applyMeasures(state: KeyState, entry: Entry): Measured {
  const completed: Completed[] = [];
  let evicted = 0;
  let unrepaired = false;
  const advanced = state.statistics.length > 0;
  for (const statistic of state.plan.rule.statistics) {
    if ((entry.stepMask & (1 << statistic.step)) === 0) continue;
    for (const timeBasis of basesOf(statistic)) {
      const sample = sampleOf(state, statistic, entry, timeBasis);
      const outcome = applyStatistic(statistic.plan, stateOf(state, statistic, timeBasis), sample);
      evicted += outcome.evicted;
      unrepaired ||= outcome.unrepaired;
      for (const firing of outcome.fired) {
        const { alerted } = firing.completing;
        if (alerted === 'event' || (alerted === 'append' && timeBasis === 'append')) continue;
        firing.completing.alerted = timeBasis;
        completed.push({ last: chain(statistic.step, firing), timeBasis, measured: firing.measured });
      }
    }
  }
  return { completed, evicted, unrepaired, advanced };
}
