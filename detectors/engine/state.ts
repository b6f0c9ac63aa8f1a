/** State of one rule for one key: what it must remember so that the next event can be decided. */
import type { AfterMatch, Step } from '../compile/rule.ts';
import type { StatisticState } from '../statistics/statistic.ts';
import type { Held } from './budget.ts';
import type { RulePlan } from './plan.ts';
import type { Watch } from './watch.ts';
import {
  applyEntry,
  applyGuards,
  assignmentValue,
  chainOf,
  compareEntries,
  copyPrefixes,
  emptyPrefixes,
  type ApplyOptions,
  type Entry,
  type Node,
  type Prefixes,
} from './prefixes.ts';

export type TimeBasis = 'event' | 'append';
export interface Completed {
  readonly last: Node;
  readonly timeBasis: TimeBasis;
  /** What a measure read, where one completed it. */
  readonly measured?: number;
}

/** Events kept per key so that a late one can be put in its place and the rest run again. */
export const REPAIR_RING = 64;
/** Events kept per key of a rule with guards. */
export const GUARDED_LIST = 1_024;
/** How much later than the watermark an event may come and still be put in its place in a rule with guards. */
export const LATE_SPAN_MS = 60_000;
/** Remembered firings per key, for after_match. */
const MAX_FIRED = 256;

export interface KeyState extends Held {
  readonly plan: RulePlan;
  readonly tenant: string;
  /** Values of the rule's key, as JSON. */
  readonly keyText: string;
  readonly mapKey: string;
  /** Latest watermark at which it was used. */
  usedMs: number;
  /** Last firing by thinning key, in effective time. */
  fired: Map<string, number> | null;
  /** Rules without guards: prefixes by event time before the ring, now, and by append time. */
  base: Prefixes;
  current: Prefixes;
  byAppend: Prefixes;
  /** In order of effective time. */
  entries: Entry[];
  /** Rules of measures: their counters, made when first used. */
  statistics: (StatisticState<Entry> | undefined)[];
  /** Holds more than first steps; pushed out last. */
  advanced: boolean;
  /** Where the expiry wheel holds it. */
  expirySlot: number;
}

export function newKeyState(plan: RulePlan, tenant: string, keyText: string): KeyState {
  return {
    plan,
    tenant,
    keyText,
    mapKey: `${tenant}\0${keyText}`,
    usedMs: Number.NEGATIVE_INFINITY,
    fired: null,
    base: emptyPrefixes(plan),
    current: emptyPrefixes(plan),
    byAppend: emptyPrefixes(plan),
    entries: [],
    statistics: [],
    advanced: false,
    expirySlot: 0,
    queue: null,
    older: null,
    newer: null,
  };
}

/** Where an entry belongs: after all that are not greater. Searched from the end, where nearly all go. */
function placeOf(entries: readonly Entry[], entry: Entry): number {
  let at = entries.length;
  while (at > 0 && compareEntries(entries[at - 1] as Entry, entry) > 0) at--;
  return at;
}

export type Positive = { readonly completed: readonly Completed[]; readonly unrepaired: boolean };

/** Runs the ring again from its start; completions count from `from` on. */
function rerun(state: KeyState, from: number, completed: Completed[]): void {
  const prefixes = copyPrefixes(state.base);
  state.entries.forEach((entry, index) => {
    const last = applyEntry(state.plan, prefixes, entry, { timeMs: entry.timeMs });
    if (last !== null && index >= from && entry.alerted !== 'event') {
      entry.alerted = 'event';
      completed.push({ last, timeBasis: 'event' });
    }
  });
  state.current = prefixes;
}

/**
 * A call that some step of a rule without guards matches. Completed assignments: by event time those that end at the
 * call and those that a late call completes at others; by append time the one that ends here, when event time found
 * none. `unrepaired`: it came too late for the ring, so only append time has seen it.
 */
export function applyPositive(state: KeyState, entry: Entry): Positive {
  const completed: Completed[] = [];
  const { plan, entries } = state;
  const at = placeOf(entries, entry);
  const tooLate = at === 0 && entries.length >= REPAIR_RING;
  if (!tooLate && at === entries.length) {
    entries.push(entry);
    const last = applyEntry(plan, state.current, entry, { timeMs: entry.timeMs });
    if (last !== null) {
      entry.alerted = 'event';
      completed.push({ last, timeBasis: 'event' });
    }
  } else if (!tooLate) {
    entries.splice(at, 0, entry);
    rerun(state, at, completed);
  }
  if (entries.length > REPAIR_RING) {
    const oldest = entries.shift() as Entry;
    applyEntry(plan, state.base, oldest, { timeMs: oldest.timeMs });
  }
  const last = applyEntry(plan, state.byAppend, entry, { timeMs: entry.appendMs });
  if (last !== null && entry.alerted === null) {
    entry.alerted = 'append';
    completed.push({ last, timeBasis: 'append' });
  }
  return { completed, unrepaired: tooLate };
}

/** Watermark at which the entry may be used at a step: nothing that could forbid it can still come in time. */
export function settlesAtMs(entry: Entry, step: Step, waitMs: number): number {
  return Math.max(entry.appendMs, entry.timeMs + step.afterForMs) + waitMs;
}

/** Puts an entry of a rule with guards in its place; true when the list was full and the oldest had to go. */
export function insertGuarded(state: KeyState, entry: Entry): boolean {
  state.entries.splice(placeOf(state.entries, entry), 0, entry);
  if (state.entries.length <= GUARDED_LIST) return false;
  dropOldest(state, 1);
  return true;
}

/**
 * Lets the oldest entries go. What a guard among them forbids stays forbidden: its event is older than the step that it
 * forbids, so it goes first, and the step would be told as soon as nobody remembered why not.
 */
function dropOldest(state: KeyState, count: number): void {
  const { entries } = state;
  if (entries.slice(0, count).some(({ guardMask }) => guardMask !== 0)) forbid(state);
  entries.splice(0, count);
}

/** Takes the steps that guards before and after forbid from the entries. */
function forbid({ plan, entries }: KeyState): void {
  const masks = guardMasks(plan, entries);
  const guardBits = guardsOfSteps(plan);
  entries.forEach((entry, at) => {
    const forbidden = guardBits.reduce(
      (steps, bits, step) => (((masks[at] as number) & bits) === 0 ? steps : steps | (1 << step)),
      0,
    );
    // Rules may share an entry: this one gets its own.
    if ((entry.stepMask & forbidden) !== 0) entries[at] = { ...entry, stepMask: entry.stepMask & ~forbidden };
  });
}

/** Whether two calls are held that may stand for different steps: one call alone, however often, is a first step. */
export function isGuardedAdvanced({ entries }: KeyState): boolean {
  let steps = 0;
  let calls = 0;
  for (const { stepMask } of entries) {
    if (stepMask === 0) continue;
    steps |= stepMask;
    if (++calls > 1 && (steps & (steps - 1)) !== 0) return true;
  }
  return false;
}

/**
 * For each place of the list a mask of the guards that forbid it: bit g where an event of guard g stands in its interval
 * before or after. One pass each way, since the nearest event of a guard decides: who calls a thousand times must not
 * cost a million comparisons.
 */
function guardMasks(plan: RulePlan, entries: readonly Entry[]): Int32Array {
  const masks = new Int32Array(entries.length);
  plan.rule.guards.forEach((guard, index) => {
    if (guard.kind === 'between' || guard.kind === 'until') return;
    const bit = 1 << index;
    const forward = guard.kind === 'before';
    let nearestMs = forward ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
    for (let step = 0; step < entries.length; step++) {
      const at = forward ? step : entries.length - 1 - step;
      const entry = entries[at] as Entry;
      if (Math.abs(entry.timeMs - nearestMs) <= guard.forMs) masks[at] = (masks[at] as number) | bit;
      if ((entry.guardMask & bit) !== 0) nearestMs = entry.timeMs;
    }
  });
  return masks;
}

/** By step the guards that speak of it. */
export function guardsOfSteps(plan: RulePlan): number[] {
  const bits = plan.rule.steps.map(() => 0);
  plan.rule.guards.forEach((guard, index) => {
    if (guard.kind === 'before' || guard.kind === 'after')
      bits[guard.step] = (bits[guard.step] ?? 0) | (1 << index);
  });
  return bits;
}

/** Bits of the guards that end every run. */
export function untilBits(plan: RulePlan): number {
  return plan.rule.guards.reduce(
    (bits, guard, index) => (guard.kind === 'until' ? bits | (1 << index) : bits),
    0,
  );
}

/**
 * An entry that ends every run: it may still complete one, and begin one, but stands inside none. The interval of
 * `until` is open at both ends.
 */
function applyEnding(
  state: { readonly plan: RulePlan; readonly prefixes: Prefixes },
  entry: Entry,
  options: ApplyOptions,
): Node | null {
  const { plan, prefixes } = state;
  const last = applyEntry(plan, prefixes, entry, { ...options, part: 'complete' });
  prefixes.fill(null);
  applyEntry(plan, prefixes, entry, { ...options, part: 'start' });
  return last;
}

function applyStep(
  { plan, prefixes }: { readonly plan: RulePlan; readonly prefixes: Prefixes },
  entry: Entry,
  options: ApplyOptions,
): Node | null {
  return entry.stepMask === 0 ? null : applyEntry(plan, prefixes, entry, options);
}

/** Decides all that has settled at this watermark. Guards count as soon as they are known, steps once they settled. */
export function decideGuarded(
  state: KeyState,
  watermarkMs: number,
  waitMs: number,
  watch?: Watch,
): Completed[] {
  const { plan, entries } = state;
  const prefixes = emptyPrefixes(plan);
  const completed: Completed[] = [];
  const masks = guardMasks(plan, entries);
  const guardBits = guardsOfSteps(plan);
  const endings = untilBits(plan);
  entries.forEach((entry, at) => {
    watch?.before(entry, prefixes);
    if (entry.guardMask !== 0) applyGuards(plan, prefixes, entry);
    const options: ApplyOptions = {
      timeMs: entry.timeMs,
      mayServe: (_, step) =>
        settlesAtMs(entry, step, waitMs) <= watermarkMs &&
        ((masks[at] as number) & (guardBits[step.index] as number)) === 0,
    };
    const ends = (entry.guardMask & endings) !== 0;
    const act = ends ? applyEnding : applyStep;
    const last = act({ plan, prefixes }, entry, options);
    watch?.after(entry, prefixes, masks[at] as number);
    if (last !== null && entry.alerted === null) {
      entry.alerted = 'event';
      completed.push({ last, timeBasis: 'event' });
    }
  });
  return completed;
}

/** Longest time that an event of the rule can still matter, ms. */
export function horizonMs(plan: RulePlan): number {
  const guards = plan.rule.guards.map((guard) => ('forMs' in guard ? guard.forMs : 0));
  return plan.rule.withinMs + Math.max(0, ...guards);
}

/**
 * Drops entries of a rule with guards that no event can reach any more: neither one whose clock runs right, nor one of
 * a writer whose clock stands as far back as theirs did. What came lately waits for its decision, however old it claims to be.
 */
export function pruneGuarded(state: KeyState, watermarkMs: number, waitMs: number): void {
  const oldestMs = watermarkMs - horizonMs(state.plan) - waitMs - LATE_SPAN_MS;
  const isOver = (entry: Entry | undefined): boolean =>
    entry !== undefined && Math.max(entry.timeMs, entry.appendMs) < oldestMs;
  let drop = 0;
  while (isOver(state.entries[drop])) drop++;
  if (drop > 0) dropOldest(state, drop);
}

/** What a policy looks at and remembers: firings by thinning key, in effective time. */
export interface PolicyMemory {
  readonly plan: RulePlan;
  fired: Map<string, number> | null;
}

type OncePolicy = Extract<AfterMatch, { kind: 'once_per' }>;

function thinningKey(plan: RulePlan, completed: Completed, policy: OncePolicy): string {
  const values = policy.parts.map((part) =>
    part.kind === 'key' ? '' : assignmentValue(plan, completed.last, part.step, part.field),
  );
  return JSON.stringify(values);
}

/** Where the policy's memory of firings looks for this one, and until when an earlier one there silences it. */
function thinning(
  plan: RulePlan,
  completed: Completed,
): { key: string; silent: (firedMs: number) => boolean } {
  const policy = plan.rule.afterMatch;
  const timeMs = completed.last.entry.timeMs;
  if (policy.kind === 'once_per') {
    const key = thinningKey(plan, completed, policy);
    return { key, silent: (firedMs) => timeMs < firedMs + policy.forMs };
  }
  // The assignment with the latest start is the one that is told: if it overlaps, all do.
  const startMs = chainOf(completed.last)[0]?.entry.timeMs ?? timeMs;
  return { key: '', silent: (firedMs) => startMs <= firedMs };
}

/** after_match: whether this one is told. Thins alerts, never matching state; time is that of the completing call. */
export function passesPolicy(state: PolicyMemory, completed: Completed): boolean {
  if (state.plan.rule.afterMatch.kind === 'every') return true;
  const { key: eventKey, silent } = thinning(state.plan, completed);
  const fired = (state.fired ??= new Map<string, number>());
  const isThinned = (by: string): boolean => silent(fired.get(by) ?? Number.NEGATIVE_INFINITY);
  // An alert by append time, which never kills, must not silence one by event time, which may.
  const key = completed.timeBasis === 'event' ? eventKey : `append ${eventKey}`;
  if (isThinned(eventKey) || isThinned(key)) return false;
  fired.delete(key);
  fired.set(key, completed.last.entry.timeMs);
  if (fired.size > MAX_FIRED) {
    const oldest = fired.keys().next().value;
    if (oldest !== undefined) fired.delete(oldest);
  }
  return true;
}

/** Watermark after which the state says nothing any more. */
export function expiresAtMs(state: KeyState, waitMs: number): number {
  const policy = state.plan.rule.afterMatch;
  let expires = state.usedMs + horizonMs(state.plan) + waitMs + LATE_SPAN_MS;
  if (policy.kind !== 'once_per' || state.fired === null) return expires;
  for (const firedMs of state.fired.values())
    expires = Math.max(expires, firedMs + policy.forMs + waitMs + LATE_SPAN_MS);
  return expires;
}
