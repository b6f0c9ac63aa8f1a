/**
 * Which calls of a session can have a part in an assignment of a rule: a backtest needs no others. For rules that only
 * ask what was there, inside one session, without comparisons, gaps, guards and measures.
 *
 * Why nothing that is told changes. Completions by event time (by append time) at a call depend on the session's calls
 * of the window before it, by event time (by append time), and on no others: of a prefix the latest start counts, all
 * calls of a prefix lie behind its start, and of equal starts the newest stays. So all calls of the window before each
 * call that may complete one are kept, by both times; that a kept call completes more than it did is impossible, since
 * fewer calls give fewer assignments. What calls outside of these windows could change is:
 * - where a late call is put, or that it comes too late for the ring of calls that are kept for repair: sessions are
 *   kept whole where a call is later than the ring reaches back in time, unless they are shorter than the ring; where
 *   nothing is late, nothing is repaired;
 * - when a row expires: it outlives its window by LATE_SPAN_MS, so calls that are not later than that and belong
 *   together always find it; policies that remember firings are sifted only where that holds;
 * - how full the budget of states is: fewer calls, so a state less is given up. Who runs over budget is told less live.
 * Guards see what must not be there, comparisons have lists that fill up, measures count everything: none is sifted.
 */
import type { CompiledRule, Selection } from '../compile/rule.ts';
import { isSingle } from './plan.ts';
import { LATE_SPAN_MS, REPAIR_RING } from './state.ts';
import { MAX_EVENT_SKEW_MS } from './time.ts';

interface Sieve {
  /** Of each required step the number of its selection. */
  readonly steps: readonly number[];
  readonly ordered: boolean;
  readonly withinMs: number;
  readonly everyMatch: boolean;
}

/** Null where every call must be read. `numberOf` answers -1 for a selection that nothing can fit. */
export function sieveOf(rule: CompiledRule, numberOf: (selection: Selection) => number): Sieve | null {
  const required = rule.steps.filter(({ optional }) => !optional);
  const isPlain =
    rule.scope === 'session' && rule.body !== 'any_of' && rule.guards.length === 0 && isSingle(rule);
  const steps = required.map(({ selection }) => numberOf(selection));
  if (!isPlain || steps.length < 2 || steps.includes(-1)) return null;
  return {
    steps,
    ordered: rule.body === 'sequence',
    withinMs: rule.withinMs,
    everyMatch: rule.afterMatch.kind === 'every',
  };
}

/** Calls side by side, in any order. */
export interface SiftedCalls {
  readonly count: number;
  /** Number of the session inside its log: calls of one log and session share it. Two that share it are sifted as one. */
  readonly session: Uint32Array;
  readonly sessions: number;
  readonly offset: Float64Array;
  readonly line: Uint16Array;
  readonly effectiveMs: Float64Array;
  readonly appendMs: Float64Array;
  /** Bit n: may fit selection n. */
  readonly fits: Uint32Array;
}

/** Later than this, a call may find the ring moved on: an effective time is MAX_EVENT_SKEW_MS ahead of its append time at most. */
const MAX_LATE_MS = LATE_SPAN_MS - MAX_EVENT_SKEW_MS;

/** 1 for each call that is to be kept. */
export function sift(calls: SiftedCalls, sieve: Sieve): Uint8Array {
  const { count, session, sessions } = calls;
  const ends = new Uint32Array(sessions + 1);
  for (let at = 0; at < count; at++) {
    const next = (session[at] as number) + 1;
    ends[next] = (ends[next] as number) + 1;
  }
  for (let own = 0; own < sessions; own++) ends[own + 1] = (ends[own + 1] as number) + (ends[own] as number);
  const order = new Uint32Array(count);
  const next = ends.slice(0, sessions);
  for (let at = 0; at < count; at++) {
    const own = session[at] as number;
    const place = next[own] as number;
    order[place] = at;
    next[own] = place + 1;
  }
  const sifter = new Sifter(calls, sieve);
  for (let own = 0; own < sessions; own++) sifter.session(order.subarray(ends[own], ends[own + 1]));
  return sifter.kept;
}

class Sifter {
  readonly kept: Uint8Array;
  readonly #calls: SiftedCalls;
  readonly #sieve: Sieve;
  /** By step the latest start of a prefix that ends there; in any order, the latest call that may stand for it. */
  readonly #starts: Float64Array;
  #completes = new Uint8Array(64);

  constructor(calls: SiftedCalls, sieve: Sieve) {
    this.#calls = calls;
    this.#sieve = sieve;
    this.kept = new Uint8Array(calls.count);
    this.#starts = new Float64Array(sieve.steps.length);
  }

  session(own: Uint32Array): void {
    const arrived = this.#byArrival(own);
    if (!this.#isRegular(arrived)) this.#keepAll(own);
    else if (this.#mayHoldAll(own)) {
      this.#keepWindows(arrived, this.#calls.appendMs);
      this.#keepWindows(this.#byEvent(arrived), this.#calls.effectiveMs);
    }
  }

  #mayHoldAll(own: Uint32Array): boolean {
    const { fits } = this.#calls;
    let all = 0;
    for (let at = 0; at < own.length; at++) all |= fits[own[at] as number] as number;
    return this.#sieve.steps.every((step) => (all & (1 << step)) !== 0);
  }

  #keepAll(own: Uint32Array): void {
    for (let at = 0; at < own.length; at++) this.kept[own[at] as number] = 1;
  }

  #byArrival(own: Uint32Array): Uint32Array {
    const { offset, line } = this.#calls;
    const compare = (a: number, b: number): number =>
      (offset[a] as number) - (offset[b] as number) || (line[a] as number) - (line[b] as number);
    return sorted(own, compare);
  }

  #byEvent(arrived: Uint32Array): Uint32Array {
    const { effectiveMs, offset, line } = this.#calls;
    const compare = (a: number, b: number): number =>
      (effectiveMs[a] as number) - (effectiveMs[b] as number) ||
      (offset[a] as number) - (offset[b] as number) ||
      (line[a] as number) - (line[b] as number);
    return sorted(arrived, compare);
  }

  #isRegular(arrived: Uint32Array): boolean {
    const { effectiveMs, appendMs } = this.#calls;
    let isInOrder = true;
    let isTimely = true;
    let lastMs = Number.NEGATIVE_INFINITY;
    let lastAppendMs = Number.NEGATIVE_INFINITY;
    for (let at = 0; at < arrived.length; at++) {
      const call = arrived[at] as number;
      const timeMs = effectiveMs[call] as number;
      const appended = appendMs[call] as number;
      if (appended < lastAppendMs) return false;
      if (timeMs < lastMs) isInOrder = false;
      const lateMs = appended - timeMs;
      if (lateMs > MAX_LATE_MS || lateMs < -MAX_EVENT_SKEW_MS) isTimely = false;
      lastMs = timeMs;
      lastAppendMs = appended;
    }
    if (isTimely) return isInOrder || arrived.length <= REPAIR_RING;
    return isInOrder && this.#sieve.everyMatch;
  }

  /** Keeps the windows before the calls that complete an assignment in this order. */
  #keepWindows(order: Uint32Array, timesMs: Float64Array): void {
    if (this.#completes.length < order.length) this.#completes = new Uint8Array(order.length * 2);
    this.#starts.fill(Number.NEGATIVE_INFINITY);
    const completes = this.#completes;
    const { ordered, withinMs } = this.#sieve;
    for (let at = 0; at < order.length; at++) {
      const call = order[at] as number;
      const timeMs = timesMs[call] as number;
      const fits = this.#calls.fits[call] as number;
      completes[at] = (ordered ? this.#follow(fits, timeMs) : this.#gather(fits, timeMs)) ? 1 : 0;
    }
    let fromMs = Number.POSITIVE_INFINITY;
    for (let at = order.length - 1; at >= 0; at--) {
      const call = order[at] as number;
      if (completes[at] === 1) fromMs = (timesMs[call] as number) - withinMs;
      if ((timesMs[call] as number) >= fromMs) this.kept[call] = 1;
    }
  }

  /** Latest starts, later steps first: a call serves one step of an assignment. */
  #follow(fits: number, timeMs: number): boolean {
    const { steps, withinMs } = this.#sieve;
    const starts = this.#starts;
    let completes = false;
    for (let step = steps.length - 1; step >= 0; step--) {
      if ((fits & (1 << (steps[step] as number))) === 0) continue;
      const startMs = step === 0 ? timeMs : (starts[step - 1] as number);
      if (startMs < timeMs - withinMs) continue;
      if (step === steps.length - 1) completes = true;
      else if (startMs > (starts[step] as number)) starts[step] = startMs;
    }
    return completes;
  }

  #gather(fits: number, timeMs: number): boolean {
    const { steps, withinMs } = this.#sieve;
    const starts = this.#starts;
    let isAll = true;
    for (let step = 0; step < steps.length; step++) {
      if ((fits & (1 << (steps[step] as number))) !== 0) starts[step] = timeMs;
      if ((starts[step] as number) < timeMs - withinMs) isAll = false;
    }
    return isAll;
  }
}

/** The same where it is in order already, as it mostly is. */
function sorted(calls: Uint32Array, compare: (a: number, b: number) => number): Uint32Array {
  for (let at = 1; at < calls.length; at++)
    if (compare(calls[at - 1] as number, calls[at] as number) > 0) return calls.toSorted(compare);
  return calls;
}
