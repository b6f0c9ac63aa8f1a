/**
 * Statistics over a window of time. The samples of a key lie in order of time in a bounded list; the window of the
 * newest one is kept as a running measure. A late sample is put in its place and every later sample whose window it
 * falls into is asked again: the set of samples that have fired is that of an evaluator that looks at everything anew
 * after each arrival.
 */
import { baselineVerdict, noteBaseline, type Baseline } from './rate.ts';
import { measuredValue, newMeasure, type Measure } from './measures.ts';
import { conditionHolds, LATE_SPAN_MS, MAX_EVIDENCE, MAX_SAMPLES, type TimedPlan } from './plan.ts';
import {
  comparePlaces,
  nothing,
  type Fired,
  type Place,
  type Sample,
  type StatisticOutcome,
} from './sample.ts';

export interface Held<T> extends Place {
  readonly value: string | number;
  readonly tag: T;
  hasFired: boolean;
}

export interface TimedState<T> {
  readonly family: 'timed';
  /** In order of place. */
  readonly samples: Held<T>[];
  /** Latest time of a sample that was let go, by age or by the bound. */
  droppedMs: number;
  /** Measure over samples[windowFrom..]: the window of the newest sample. null: to be built. */
  measure: Measure | null;
  windowFrom: number;
  /** rate only. */
  readonly baseline: Baseline;
}

/** Index behind all samples that are not greater. */
export function placeOf<T>(samples: readonly Held<T>[], place: Place): number {
  const last = samples.at(-1);
  if (last === undefined || comparePlaces(last, place) <= 0) return samples.length;
  let low = 0;
  let high = samples.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (comparePlaces(samples[middle] as Held<T>, place) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Index of the first sample at or after a time. */
function firstFrom<T>(samples: readonly Held<T>[], timeMs: number): number {
  let low = 0;
  let high = samples.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((samples[middle] as Held<T>).timeMs < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Index at which the window of the newest sample starts. */
export function windowStart<T>(plan: TimedPlan, samples: readonly Held<T>[]): number {
  return firstFrom(samples, (samples.at(-1)?.timeMs ?? 0) - plan.withinMs);
}

/** A measure that slides over the samples; covers samples[from..to]. */
interface Slide<T> {
  readonly plan: TimedPlan;
  readonly samples: readonly Held<T>[];
  readonly measure: Measure;
  from: number;
}

/** Takes in samples[at] and lets go what its window no longer holds. */
function slideTo<T>(slide: Slide<T>, at: number): void {
  const { samples, measure, plan } = slide;
  const sample = samples[at] as Held<T>;
  measure.add(sample.value);
  const oldestMs = sample.timeMs - plan.withinMs;
  while ((samples[slide.from] as Held<T>).timeMs < oldestMs) {
    measure.remove((samples[slide.from] as Held<T>).value);
    slide.from++;
  }
}

/** A measure built anew over the window of samples[at]. */
function slideAt<T>(plan: TimedPlan, samples: readonly Held<T>[], at: number): Slide<T> {
  const from = firstFrom(samples, (samples[at]?.timeMs ?? 0) - plan.withinMs);
  const slide: Slide<T> = { plan, samples, measure: newMeasure(plan), from };
  for (let index = from; index <= at; index++) slide.measure.add((samples[index] as Held<T>).value);
  return slide;
}

/** The measure over the window of the newest sample, and how many samples it holds. */
export function measuredAtNewest<T>(
  plan: TimedPlan,
  { samples }: TimedState<T>,
): { readonly measured: number | undefined; readonly samples: number } {
  if (samples.length === 0) return { measured: undefined, samples: 0 };
  const slide = slideAt(plan, samples, samples.length - 1);
  return { measured: slide.measure.read(), samples: samples.length - slide.from };
}

function holds(
  plan: TimedPlan,
  measured: number,
  at: { readonly timeMs: number; readonly baseline: Baseline },
): boolean {
  if (plan.kind === 'rate') return baselineVerdict(plan, at.baseline, { timeMs: at.timeMs, count: measured });
  return plan.conditions.every((condition) => conditionHolds(measured, condition.operator, condition.value));
}

/** Newest samples of a window, oldest first; for `distinct` the newest of each value. */
function evidenceOf<T>(slide: Slide<T>, at: number): T[] {
  const tags: T[] = [];
  const seen = new Set<string | number>();
  for (let index = at; index >= slide.from && tags.length < MAX_EVIDENCE; index--) {
    const sample = slide.samples[index] as Held<T>;
    if (slide.plan.kind === 'distinct' && seen.has(sample.value)) continue;
    seen.add(sample.value);
    tags.push(sample.tag);
  }
  return tags.toReversed();
}

/** Asks at one sample, whose window the slide covers. */
function ask<T>(
  slide: Slide<T>,
  at: number,
  asked: { readonly baseline: Baseline; readonly fired: Fired<T>[] },
): void {
  const sample = slide.samples[at] as Held<T>;
  if (sample.hasFired) return;
  const measured = slide.measure.read();
  if (measured === undefined) return;
  if (!holds(slide.plan, measured, { timeMs: sample.timeMs, baseline: asked.baseline })) return;
  sample.hasFired = true;
  asked.fired.push({ completing: sample.tag, evidence: evidenceOf(slide, at), measured });
}

/** Lets the oldest sample go; true when the newest one's window still held it. */
function dropOldest<T>(state: TimedState<T>): boolean {
  const oldest = state.samples.shift();
  if (oldest === undefined) return false;
  state.droppedMs = Math.max(state.droppedMs, oldest.timeMs);
  const counted = state.windowFrom === 0;
  if (counted) state.measure?.remove(oldest.value);
  else state.windowFrom--;
  return counted;
}

/** Lets go what no window of a sample can reach that comes LATE_SPAN_MS late. */
function prune<T>(plan: TimedPlan, state: TimedState<T>): void {
  const newestMs = state.samples.at(-1)?.timeMs ?? Number.NEGATIVE_INFINITY;
  const oldestMs = newestMs - plan.withinMs - LATE_SPAN_MS;
  while ((state.samples[0]?.timeMs ?? Number.POSITIVE_INFINITY) < oldestMs) dropOldest(state);
}

/** The usual case: the newest sample. */
function append<T>(plan: TimedPlan, state: TimedState<T>, held: Held<T>): StatisticOutcome<T> {
  const { samples } = state;
  const measure = (state.measure ??= slideAt(plan, samples, samples.length - 1).measure);
  samples.push(held);
  const slide: Slide<T> = { plan, samples, measure, from: state.windowFrom };
  slideTo(slide, samples.length - 1);
  state.windowFrom = slide.from;
  prune(plan, state);
  const evicted = samples.length > MAX_SAMPLES && dropOldest(state) ? 1 : 0;
  slide.from = state.windowFrom;
  const fired: Fired<T>[] = [];
  ask(slide, samples.length - 1, { baseline: state.baseline, fired });
  return { fired, evicted, unrepaired: false };
}

/** A late sample, in its place: it and the samples that it precedes by no more than the window are asked (again). */
function insert<T>(
  plan: TimedPlan,
  state: TimedState<T>,
  late: { readonly held: Held<T>; readonly at: number },
): StatisticOutcome<T> {
  const { samples } = state;
  const { held } = late;
  samples.splice(late.at, 0, held);
  const newestMs = (samples.at(-1) as Held<T>).timeMs;
  let evicted = 0;
  let { at } = late;
  if (samples.length > MAX_SAMPLES) {
    const oldest = samples.shift() as Held<T>;
    state.droppedMs = Math.max(state.droppedMs, oldest.timeMs);
    if (oldest.timeMs >= newestMs - plan.withinMs) evicted = 1;
    at--;
  }
  // Built again at the next sample that comes in order.
  state.measure = null;
  state.windowFrom = windowStart(plan, samples);
  const unrepaired = held.timeMs - plan.withinMs <= state.droppedMs;
  if (at < 0) return { fired: [], evicted, unrepaired };
  const fired: Fired<T>[] = [];
  const slide = slideAt(plan, samples, at);
  ask(slide, at, { baseline: state.baseline, fired });
  for (let later = at + 1; later < samples.length; later++) {
    if ((samples[later] as Held<T>).timeMs > held.timeMs + plan.withinMs) break;
    slideTo(slide, later);
    ask(slide, later, { baseline: state.baseline, fired });
  }
  return { fired, evicted, unrepaired };
}

export function applyTimed<T>(plan: TimedPlan, state: TimedState<T>, sample: Sample<T>): StatisticOutcome<T> {
  const value = measuredValue(plan, sample.value);
  if (value === null) return nothing();
  const { timeMs, partition, offset, line, tag } = sample;
  if (plan.kind === 'rate') noteBaseline(plan, state.baseline, timeMs);
  const held: Held<T> = { timeMs, partition, offset, line, value, tag, hasFired: false };
  const at = placeOf(state.samples, held);
  if (at === state.samples.length) return append(plan, state, held);
  const newestMs = (state.samples.at(-1) as Held<T>).timeMs;
  // No window that is still kept whole reaches so far back.
  if (timeMs < newestMs - plan.withinMs - LATE_SPAN_MS) return { fired: [], evicted: 0, unrepaired: true };
  return insert(plan, state, { held, at });
}
