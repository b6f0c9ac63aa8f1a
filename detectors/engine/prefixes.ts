/**
 * Prefixes of assignments: for each state of a rule's automaton the best starts of runs that have got that far. Copy,
 * never move: a match or a decoy consumes nothing. Two prefixes of a state that later elements cannot tell apart (equal
 * signature) are one; the later start dominates, since it outlives the other in every window. Rules without comparisons
 * keep one prefix a state.
 */
import type { CallReference } from '../../schemas/alert/v1.ts';
import { START, type Step, type Transition } from '../compile/rule.ts';
import { FlowCell } from '../compile/flow-cell.ts';
import type { PlannedJoin, RulePlan } from './plan.ts';
import { Buckets, insertPrefix } from './buckets.ts';
import { chainOf, nodeOf, placeValue, textOf } from './chain.ts';

export { chainOf };

/** Value of a field: text, or what a flow field holds. */
export type FieldValue = string | FlowCell;

/** A call (or guard event) that a rule keeps. */
export interface Entry {
  readonly timeMs: number;
  readonly appendMs: number;
  readonly partition: number;
  readonly offset: number;
  readonly line: number;
  readonly callKey: string;
  /** Bit j: matches element j. */
  readonly stepMask: number;
  /** Bit g: matches guard g. */
  readonly guardMask: number;
  /** Values of rule.valueFields; empty where the rule compares nothing. */
  readonly fields: readonly (FieldValue | null)[];
  readonly reference: Omit<CallReference, 'step'>;
  /** Names of the exceptions that an alert completed here falls under. */
  readonly excepted?: readonly string[];
  /** By which time it completed an alert so far; event time speaks again after append time, never the other way round. */
  alerted: 'event' | 'append' | null;
}

/** Total order by effective time, then position. */
export function compareEntries(a: Entry, b: Entry): number {
  return a.timeMs - b.timeMs || a.partition - b.partition || a.offset - b.offset || a.line - b.line;
}

/** A prefix whose last element is `step`, met by `entry`; `prev` is the prefix that it extends. Immutable, shared. */
export interface Node {
  readonly startMs: number;
  readonly lastMs: number;
  readonly step: number;
  readonly entry: Entry;
  readonly prev: Node | null;
  readonly signature: string;
}

/** By state (all but the final one) its prefixes: one node where the plan is `single`, else all, in buckets by value. */
export type Prefixes = (Buckets | Node | null)[];

export function emptyPrefixes(plan: RulePlan): Prefixes {
  const prefixes: Prefixes = [];
  for (let state = 0; state < plan.finalState; state++) prefixes.push(null);
  return prefixes;
}

export function copyPrefixes(prefixes: Prefixes): Prefixes {
  return prefixes.map((held) => (held instanceof Buckets ? held.copy() : held));
}

/** Whether a prefix of more than one element is held. */
export function holdsAdvanced(plan: RulePlan, prefixes: Prefixes): boolean {
  for (let state = 0; state < prefixes.length; state++) {
    const held = prefixes[state];
    if (plan.advanced[state] === true && (held instanceof Buckets ? held.size > 0 : held !== null))
      return true;
  }
  return false;
}

/** Value of a field of an element in a whole assignment, null where either is missing. */
export function assignmentValue(plan: RulePlan, last: Node, step: number, field: string): string | null {
  return textOf(placeValue(last, [step, plan.rule.valueFields.indexOf(field)]));
}

function holdsCall(node: Node, callKey: string): boolean {
  for (let found: Node | null = node; found !== null; found = found.prev) {
    if (found.entry.callKey === callKey) return true;
  }
  return false;
}

/** Whether a comparison of an entry with what a prefix holds is true. */
export function joinHolds(join: PlannedJoin, node: Node, entry: Entry): boolean {
  const other = placeValue(node, [join.other, join.otherIndex]);
  // An optional element that was passed over asks for nothing.
  if (other === undefined) return true;
  const own = entry.fields[join.ownIndex] ?? null;
  // A missing value joins nothing, not even by inequality.
  return own !== null && other !== null && join.holds(other, own);
}

/** One entry acting on the prefixes of one rule and key, at one time. */
interface Visit {
  readonly plan: RulePlan;
  readonly prefixes: Prefixes;
  readonly entry: Entry;
  readonly timeMs: number;
}

function extend(visit: Visit, prev: Node | null, transition: Transition): Node {
  const { plan, entry, timeMs } = visit;
  const startMs = prev?.startMs ?? timeMs;
  const bare: Node = { startMs, lastMs: timeMs, step: transition.step, entry, prev, signature: '' };
  const places = plan.signatures[transition.to] ?? [];
  if (places.length === 0 && !plan.rule.distinctCalls) return bare;
  // An element that is missing is told from one whose value is.
  const values = places.map((place) => {
    const value = placeValue(bare, place);
    if (value instanceof FlowCell) return value.identity;
    return value ?? (nodeOf(bare, place[0]) === null ? 0 : null);
  });
  const calls = plan.rule.distinctCalls ? chainOf(bare).map((part) => part.entry.callKey) : [];
  return { ...bare, signature: JSON.stringify([values, calls]) };
}

function insert(visit: Visit, state: number, node: Node): void {
  const place = visit.plan.buckets[state];
  const value = place === undefined ? '' : textOf(placeValue(node, place));
  // Without the value no later call can join it.
  if (value !== null) insertPrefix(visit.plan, visit.prefixes, { state, value, node });
}

/** Prefixes in the state before that this entry may extend. */
function candidates(visit: Visit, transition: Transition): readonly Node[] {
  const held = visit.prefixes[transition.from];
  if (!(held instanceof Buckets)) return [];
  if (transition.bucketJoin < 0) return held.get('') ?? [];
  const join = visit.plan.joins[transition.step]?.[transition.bucketJoin];
  const value = textOf(visit.entry.fields[join?.ownIndex ?? -1]);
  return value === null ? [] : (held.get(value) ?? []);
}

/** Why an entry cannot stand for a step behind a prefix. */
export type Refusal = 'window' | 'gap' | 'same_call' | 'join';

/** Null where it can. */
export function refusalOf(visit: Omit<Visit, 'prefixes'>, node: Node, step: Step): Refusal | null {
  const { plan, entry, timeMs } = visit;
  if (timeMs - node.startMs > plan.rule.withinMs) return 'window';
  if (timeMs - node.lastMs > step.gapMs) return 'gap';
  if (plan.rule.distinctCalls && holdsCall(node, entry.callKey)) return 'same_call';
  for (const join of plan.cheapestFirst[step.index] as readonly PlannedJoin[])
    if (!joinHolds(join, node, entry)) return 'join';
  return null;
}

export interface ApplyOptions {
  readonly timeMs: number;
  /** Whether the entry may stand for an element at all (guards before and after it). */
  readonly mayServe?: (entry: Entry, step: Step) => boolean;
  /** `complete`: only as the last element; `start`: only as the first. */
  readonly part?: 'complete' | 'start';
}

function isPart(plan: RulePlan, transition: Transition, part: ApplyOptions['part']): boolean {
  if (part === undefined) return true;
  const completes = transition.to === plan.finalState;
  return part === 'complete' ? completes : transition.from === START && !completes;
}

/**
 * Lets one entry act on the prefixes, in order of time. Transitions are visited from the furthest state back, so that a
 * call serves one element of an assignment. Returns the completed assignment with the latest start, null when none ends here.
 */
export function applyEntry(
  plan: RulePlan,
  prefixes: Prefixes,
  entry: Entry,
  options: ApplyOptions,
): Node | null {
  const visit: Visit = { plan, prefixes, entry, timeMs: options.timeMs };
  let complete: Node | null = null;
  for (const transition of plan.rule.automaton.transitions) {
    if ((entry.stepMask & (1 << transition.step)) === 0) continue;
    const ended = take(visit, transition, options);
    // Of equal starts the first stays: it came through more elements.
    if (ended !== null && (complete === null || ended.startMs > complete.startMs)) complete = ended;
  }
  return complete;
}

function take(visit: Visit, transition: Transition, options: ApplyOptions): Node | null {
  const { plan, entry } = visit;
  if (plan.single && !isAlive(visit, transition)) return null;
  if (!isPart(plan, transition, options.part)) return null;
  const step = plan.rule.steps[transition.step] as Step;
  if (options.mayServe?.(entry, step) === false) return null;
  return plan.single ? takeSingle(visit, transition) : takeAll(visit, transition, step);
}

/** Most calls of a later element find nothing to extend and end here. */
function isAlive(visit: Visit, { from }: Transition): boolean {
  if (from === START) return true;
  const prev = visit.prefixes[from] as Node | null;
  return prev !== null && prev.startMs >= visit.timeMs - visit.plan.rule.withinMs;
}

/** One prefix a state is all there is: the latest start. */
function takeSingle(visit: Visit, { from, to, step }: Transition): Node | null {
  const { plan, prefixes, entry, timeMs } = visit;
  const prev = from === START ? null : (prefixes[from] as Node);
  const startMs = prev === null ? timeMs : prev.startMs;
  const node: Node = { startMs, lastMs: timeMs, step, entry, prev, signature: '' };
  if (to === plan.finalState) return node;
  const held = prefixes[to] as Node | null;
  if (held === null || held.startMs < startMs || (held.startMs === startMs && held.entry !== entry)) {
    prefixes[to] = node;
  }
  return null;
}

function takeAll(visit: Visit, transition: Transition, step: Step): Node | null {
  const { plan } = visit;
  const completes = transition.to === plan.finalState;
  if (transition.from === START) {
    const node = extend(visit, null, transition);
    if (completes) return node;
    insert(visit, transition.to, node);
    return null;
  }
  let best: Node | null = null;
  for (const prev of candidates(visit, transition)) {
    if (refusalOf(visit, prev, step) !== null) continue;
    if (!completes) insert(visit, transition.to, extend(visit, prev, transition));
    else if (best === null || prev.startMs > best.startMs) best = prev;
  }
  return best === null
    ? null
    : {
        startMs: best.startMs,
        lastMs: visit.timeMs,
        step: step.index,
        entry: visit.entry,
        prev: best,
        signature: '',
      };
}

/** A guard event: kills every prefix that stands between its two elements. `until` is applied by its own steps. */
export function applyGuards(plan: RulePlan, prefixes: Prefixes, entry: Entry): void {
  plan.rule.guards.forEach((guard, index) => {
    if (guard.kind !== 'between' || (entry.guardMask & (1 << index)) === 0) return;
    for (let state = guard.from; state < guard.to; state++) prefixes[state] = null;
  });
}
