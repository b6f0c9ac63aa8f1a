/**
 * Missing events (`![…]`), as EQL decides them: a sequence of the events that must be there is completed first, then looked
 * at. In the middle nothing may lie between the neighbours; at the ends nothing inside the time span of the sequence.
 */
import { exceeds, type Moment } from './events.ts';
import type { Ranked } from './sequence.ts';

/** Times at which an event of a missing stage was there, by key. */
export class Absences {
  readonly #msByKey = new Map<string, number[]>();

  /** In order of time. */
  add(keys: readonly string[], { ms }: Moment): void {
    for (const key of keys) {
      const known = this.#msByKey.get(key);
      if (known === undefined) this.#msByKey.set(key, [ms]);
      else known.push(ms);
    }
  }

  lastBefore(key: string, ms: number): number | undefined {
    const times = this.#msByKey.get(key) ?? [];
    return times[firstIndex(times, (time) => time >= ms) - 1];
  }

  firstAfter(key: string, ms: number): number | undefined {
    const times = this.#msByKey.get(key) ?? [];
    return times[firstIndex(times, (time) => time > ms)];
  }
}

/** Index of the first time that fits, in an ascending list; its length if none does. */
function firstIndex(times: readonly number[], fits: (time: number) => boolean): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (fits(times[middle] as number)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Missing stages by where they stand: before the first event (-1), after event n. */
export interface MissingStage {
  readonly afterEvent: number;
  readonly absences: Absences;
}

export interface MissingOptions {
  readonly stages: readonly MissingStage[];
  /** Events of the sequence that must be there. */
  readonly events: number;
  readonly maxSpanMs: number;
}

/** Does the sequence hold, with nothing there that should be missing? */
export function holds(events: readonly Ranked[], key: string, options: MissingOptions): boolean {
  const { stages, maxSpanMs } = options;
  const last = options.events - 1;
  const middle = stages.filter(({ afterEvent }) => afterEvent >= 0 && afterEvent < last);
  if (middle.some((stage) => liesBetween(events, key, stage))) return false;
  const [startMs, endMs] = [msOf(events, 0), msOf(events, last)];
  const leading = stages.filter(({ afterEvent }) => afterEvent < 0);
  const trailing = stages.filter(({ afterEvent }) => afterEvent === last);
  const before = extreme(
    leading.map(({ absences }) => absences.lastBefore(key, startMs)),
    Math.max,
  );
  const after = extreme(
    trailing.map(({ absences }) => absences.firstAfter(key, endMs)),
    Math.min,
  );
  return endsHold({
    beforeMs: leading.length === 0 ? startMs : before,
    afterMs: trailing.length === 0 ? endMs : after,
    hasLeading: leading.length > 0,
    hasTrailing: trailing.length > 0,
    maxSpanMs,
  });
}

const msOf = (events: readonly Ranked[], at: number): number => events[at]?.moment.ms ?? 0;

function liesBetween(
  events: readonly Ranked[],
  key: string,
  { afterEvent, absences }: MissingStage,
): boolean {
  const found = absences.firstAfter(key, msOf(events, afterEvent));
  return found !== undefined && found < msOf(events, afterEvent + 1);
}

function extreme(
  times: readonly (number | undefined)[],
  pick: (...all: number[]) => number,
): number | undefined {
  const known = times.filter((time) => time !== undefined);
  return known.length === 0 ? undefined : pick(...known);
}

interface Ends {
  readonly beforeMs: number | undefined;
  readonly afterMs: number | undefined;
  readonly hasLeading: boolean;
  readonly hasTrailing: boolean;
  readonly maxSpanMs: number;
}

/**
 * What is missing at both ends is one stretch for EQL: one clean end is enough, and so is a stretch between the two found
 * events that is longer than the time span.
 */
function endsHold({ beforeMs, afterMs, hasLeading, hasTrailing, maxSpanMs }: Ends): boolean {
  if (!hasLeading && !hasTrailing) return true;
  if (beforeMs === undefined || afterMs === undefined) return true;
  return exceeds({ ms: beforeMs, restNs: 0 }, { ms: afterMs, restNs: 0 }, maxSpanMs);
}
