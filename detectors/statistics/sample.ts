/** What goes into a statistic and what comes out. `T` is the caller's own record of an event, never looked into. */
import { MAX_EVIDENCE } from './plan.ts';

/** Order of samples: time, then position. */
export interface Place {
  readonly timeMs: number;
  readonly partition: number;
  readonly offset: number;
  readonly line: number;
}

export interface Sample<T> extends Place {
  /** The field that is counted, as text; null where it is missing or no scalar. */
  readonly value: string | null;
  readonly tag: T;
}

export interface Fired<T> {
  /** The sample at which the statistic holds. */
  readonly completing: T;
  /** Newest contributing samples, oldest first, at most MAX_EVIDENCE; the completing one is the last. */
  readonly evidence: readonly T[];
  readonly measured: number;
}

export interface StatisticOutcome<T> {
  /** In order of time. A sample fires at most once, be it by a late sample that comes after it. */
  readonly fired: readonly Fired<T>[];
  /** Samples that a bound pushed out while they still counted: the statistic may be wrong from here on. */
  readonly evicted: number;
  /** The sample came too late: some of its own window was forgotten, or it could not be put in its place at all. */
  readonly unrepaired: boolean;
}

export function comparePlaces(a: Place, b: Place): number {
  return a.timeMs - b.timeMs || a.partition - b.partition || a.offset - b.offset || a.line - b.line;
}

const NOTHING: StatisticOutcome<never> = { fired: [], evicted: 0, unrepaired: false };
export const nothing = <T>(): StatisticOutcome<T> => NOTHING;

/** One firing, or none, of a statistic that takes samples as they arrive. */
export function firedOnce<T>(evidence: readonly T[], completing: T, measured: number): StatisticOutcome<T> {
  const cited = evidence.slice(-MAX_EVIDENCE);
  return { fired: [{ completing, evidence: cited, measured }], evicted: 0, unrepaired: false };
}
