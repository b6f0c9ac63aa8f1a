/**
 * Prefixes of assignments: for each step, the best starts of sequences that have got that far. Copy, never move: a
 * match or a decoy consumes nothing. Two prefixes that later steps cannot tell apart (equal signature) are one; the
 * later start dominates, since it outlives the other in every window. Sequences without joins keep one prefix a step.
 */
import type { CallReference } from '../../schemas/alert/v1.ts';
import type { CompiledRule, Step } from '../compile/rule.ts';

/** A call (or guard event) that a rule keeps. */
export interface Entry {
  readonly timeMs: number;
  readonly appendMs: number;
  readonly partition: number;
  readonly offset: number;
  readonly line: number;
  readonly callKey: string;
  /** Bit j: matches step j. */
  readonly stepMask: number;
  /** Bit g: matches guard g. */
  readonly guardMask: number;
  /** Values of rule.valueFields; empty where the rule compares nothing. */
  readonly fields: readonly (string | null)[];
  readonly reference: Omit<CallReference, 'step'>;
  /** By which time it completed an alert so far; event time speaks again after append time, never the other way round. */
  alerted: 'event' | 'append' | null;
}

/** Total order by effective time, then position. */
export function compareEntries(a: Entry, b: Entry): number {
  return a.timeMs - b.timeMs || a.partition - b.partition || a.offset - b.offset || a.line - b.line;
}

/** A prefix that ends at `entry`; `prev` is the prefix that it extends. Immutable, shared. */
export interface Node {
  readonly startMs: number;
  readonly lastMs: number;
  readonly entry: Entry;
  readonly prev: Node | null;
  readonly signature: string;
}

/**
 * Per step (all but the last) the prefixes that end there: the one with the latest start where the rule's plan is
 * `single`, else all, bucketed by the value that the next step's equality join asks for.
 */
export type Prefixes = (Map<string, Node[]> | Node | null)[];

/** A rule with what the hot loop needs worked out once. */
export interface RulePlan {
  readonly rule: CompiledRule;
  readonly slotIndex: readonly (readonly number[])[];
  readonly laterIndex: readonly (readonly number[])[];
  readonly comparing: boolean;
  /** No joins, gaps or shared calls: a prefix is its step and start, so one a step is all there is to know. */
  readonly single: boolean;
  /** Position of the rule in its engine. */
  readonly index: number;
  /** Called for each prefix that a limit pushed out. */
  readonly onEvicted: () => void;
}

export function planRule(rule: CompiledRule, index: number, onEvicted: () => void): RulePlan {
  const fieldIndex = (field: string): number => rule.valueFields.indexOf(field);
  const comparing = rule.steps.some((step) => step.slots.length > 0 || step.joins.length > 0);
  const gapless = rule.steps.every((step) => step.gapMs === Number.POSITIVE_INFINITY);
  return {
    rule,
    slotIndex: rule.steps.map((step) => step.slots.map(fieldIndex)),
    laterIndex: rule.steps.map((step) => step.joins.map((join) => fieldIndex(join.laterField))),
    comparing,
    single: !comparing && gapless && !rule.distinctCalls,
    index,
    onEvicted,
  };
}

export function emptyPrefixes(plan: RulePlan): Prefixes {
  const prefixes: Prefixes = [];
  for (let step = 1; step < plan.rule.steps.length; step++) prefixes.push(null);
  return prefixes;
}

export function copyPrefixes(prefixes: Prefixes): Prefixes {
  return prefixes.map((buckets) => {
    if (!(buckets instanceof Map)) return buckets;
    const copy = new Map<string, Node[]>();
    for (const [value, nodes] of buckets) copy.set(value, nodes.slice());
    return copy;
  });
}

/** Whether a prefix of more than one step is held. */
export function holdsAdvanced(prefixes: Prefixes): boolean {
  for (let step = 1; step < prefixes.length; step++) {
    const held = prefixes[step];
    if (held instanceof Map ? held.size > 0 : held !== null) return true;
  }
  return false;
}

/** The node of step `step` in a chain that ends at step `at`. */
function nodeAt(node: Node, at: number, step: number): Node {
  let found = node;
  for (let index = at; index > step && found.prev !== null; index--) found = found.prev;
  return found;
}

function slotValue(plan: RulePlan, node: Node, at: number, place: readonly [number, number]): string | null {
  const [step, slot] = place;
  return nodeAt(node, at, step).entry.fields[plan.slotIndex[step]?.[slot] ?? -1] ?? null;
}

/** Value of a field slot in a whole assignment. */
export function assignmentValue(plan: RulePlan, last: Node, step: number, slot: number): string | null {
  return slotValue(plan, last, plan.rule.steps.length - 1, [step, slot]);
}

/** The calls of an assignment in step order. */
export function chainOf(last: Node): Entry[] {
  const entries: Entry[] = [];
  for (let node: Node | null = last; node !== null; node = node.prev) entries.push(node.entry);
  return entries.toReversed();
}

function holdsCall(node: Node, callKey: string): boolean {
  for (let found: Node | null = node; found !== null; found = found.prev) {
    if (found.entry.callKey === callKey) return true;
  }
  return false;
}

function joinsHold(plan: RulePlan, node: Node, step: Step, entry: Entry): boolean {
  for (let index = 0; index < step.joins.length; index++) {
    const join = step.joins[index];
    if (join === undefined) continue;
    const later = entry.fields[plan.laterIndex[step.index]?.[index] ?? -1] ?? null;
    const earlier = slotValue(plan, node, step.index - 1, [join.earlier, join.earlierSlot]);
    // A missing value joins nothing, not even by inequality.
    if (later === null || earlier === null) return false;
    if ((later === earlier) !== (join.operator === '==')) return false;
  }
  return true;
}

/** One entry acting on the prefixes of one rule and key, at one time. */
interface Visit {
  readonly plan: RulePlan;
  readonly prefixes: Prefixes;
  readonly entry: Entry;
  readonly timeMs: number;
}

function extend(visit: Visit, prev: Node | null, step: Step): Node {
  const { plan, entry, timeMs } = visit;
  const bare: Node = { startMs: prev?.startMs ?? timeMs, lastMs: timeMs, entry, prev, signature: '' };
  if (!plan.comparing && !plan.rule.distinctCalls) return bare;
  const values = step.signature.map((place) => slotValue(plan, bare, step.index, place));
  const calls = plan.rule.distinctCalls ? chainOf(bare).map((part) => part.callKey) : [];
  return values.length + calls.length === 0 ? bare : { ...bare, signature: JSON.stringify([values, calls]) };
}

function bucketOf(plan: RulePlan, node: Node, step: Step): string | null {
  const next = plan.rule.steps[step.index + 1];
  const join = next?.joins[next.bucketJoin];
  return join === undefined ? '' : slotValue(plan, node, step.index, [join.earlier, join.earlierSlot]);
}

/** Drops what the window has passed from every bucket of a step; returns what is left. */
function sweep(buckets: Map<string, Node[]>, oldestStartMs: number): number {
  let left = 0;
  for (const [value, nodes] of buckets) {
    const rest = nodes.filter((node) => node.startMs >= oldestStartMs);
    left += rest.length;
    if (rest.length === 0) buckets.delete(value);
    else buckets.set(value, rest);
  }
  return left;
}

function evictOldest(plan: RulePlan, buckets: Map<string, Node[]>): void {
  let oldest: string | undefined;
  let oldestMs = Number.POSITIVE_INFINITY;
  for (const [value, nodes] of buckets) {
    for (const node of nodes) {
      if (node.startMs < oldestMs) {
        oldestMs = node.startMs;
        oldest = value;
      }
    }
  }
  if (oldest === undefined) return;
  const rest = (buckets.get(oldest) ?? []).filter((node) => node.startMs !== oldestMs);
  if (rest.length === 0) buckets.delete(oldest);
  else buckets.set(oldest, rest);
  plan.onEvicted();
}

function countNodes(buckets: Map<string, Node[]>): number {
  let count = 0;
  for (const nodes of buckets.values()) count += nodes.length;
  return count;
}

/** Makes room for one more prefix where the rule's limit is reached: the expired first, then the oldest start. */
function makeRoom(plan: RulePlan, buckets: Map<string, Node[]>, nowMs: number): void {
  const { rule } = plan;
  if (buckets.size === 1 && rule.runsPerKey > 8) {
    const only = buckets.values().next().value;
    if (only !== undefined && only.length < rule.runsPerKey) return;
  } else if (countNodes(buckets) < rule.runsPerKey) return;
  if (sweep(buckets, nowMs - rule.withinMs) >= rule.runsPerKey) evictOldest(plan, buckets);
}

/** Removes from `nodes` what `node` outlives; false when one of them outlives `node` instead. */
function dominate(nodes: Node[], node: Node, gapMatters: boolean): boolean {
  const equals = nodes.filter((other) => other.signature === node.signature);
  if (!gapMatters && equals.some((other) => other.startMs > node.startMs)) return false;
  if (equals.every((other) => other.startMs > node.startMs)) return true;
  let kept = 0;
  for (const other of nodes) {
    if (other.signature !== node.signature || other.startMs > node.startMs) nodes[kept++] = other;
  }
  nodes.length = kept;
  return true;
}

function bucketsOf(prefixes: Prefixes, step: number): Map<string, Node[]> | null {
  const held = prefixes[step];
  return held instanceof Map ? held : null;
}

/** Keeps a prefix unless an equal one outlives it; removes those that it outlives. */
function insert(visit: Visit, step: Step, node: Node): void {
  const { plan, prefixes } = visit;
  const value = bucketOf(plan, node, step);
  if (value === null) return;
  const buckets = bucketsOf(prefixes, step.index) ?? new Map<string, Node[]>();
  prefixes[step.index] = buckets;
  const nodes = buckets.get(value);
  const gapMatters = plan.rule.steps[step.index + 1]?.gapMs !== Number.POSITIVE_INFINITY;
  if (nodes !== undefined && !dominate(nodes, node, gapMatters)) return;
  if (nodes?.length === 0) {
    nodes.push(node);
    return;
  }
  makeRoom(plan, buckets, node.lastMs);
  // Looked up again: making room may have put another list in its place.
  const target = buckets.get(value);
  if (target === undefined) buckets.set(value, [node]);
  else target.push(node);
}

/** Prefixes of the step before that this entry may extend. */
function candidates(visit: Visit, step: Step): readonly Node[] {
  const buckets = bucketsOf(visit.prefixes, step.index - 1);
  if (buckets === null) return [];
  if (step.bucketJoin < 0) return buckets.get('') ?? [];
  const value = visit.entry.fields[visit.plan.laterIndex[step.index]?.[step.bucketJoin] ?? -1] ?? null;
  return value === null ? [] : (buckets.get(value) ?? []);
}

function mayExtend(visit: Visit, node: Node, step: Step): boolean {
  const { plan, entry, timeMs } = visit;
  if (timeMs - node.startMs > plan.rule.withinMs || timeMs - node.lastMs > step.gapMs) return false;
  if (plan.rule.distinctCalls && holdsCall(node, entry.callKey)) return false;
  return step.joins.length === 0 || joinsHold(plan, node, step, entry);
}

/**
 * Lets one entry act on the prefixes, in order of time. Steps are visited last to first, so that a call serves one step
 * of an assignment. Returns the completed assignment with the latest start, null when none ends here.
 * `mayServe` says whether the entry may stand at a step at all (guards before and after it).
 */
export function applyEntry(
  plan: RulePlan,
  prefixes: Prefixes,
  entry: Entry,
  options: { readonly timeMs: number; readonly mayServe?: (entry: Entry, step: Step) => boolean },
): Node | null {
  const { timeMs, mayServe } = options;
  if (plan.single) return applySingle(plan, prefixes, entry, options);
  const visit: Visit = { plan, prefixes, entry, timeMs };
  let complete: Node | null = null;
  for (let index = plan.rule.steps.length - 1; index >= 0; index--) {
    const step = plan.rule.steps[index];
    if (step === undefined || (entry.stepMask & (1 << index)) === 0) continue;
    if (mayServe !== undefined && !mayServe(entry, step)) continue;
    complete = applyStep(visit, step) ?? complete;
  }
  return complete;
}

/** applyEntry where one prefix a step is all there is: the latest start. */
function applySingle(
  plan: RulePlan,
  prefixes: Prefixes,
  entry: Entry,
  options: { readonly timeMs: number; readonly mayServe?: (entry: Entry, step: Step) => boolean },
): Node | null {
  const { timeMs, mayServe } = options;
  const { steps } = plan.rule;
  let complete: Node | null = null;
  for (let index = steps.length - 1; index >= 0; index--) {
    if ((entry.stepMask & (1 << index)) === 0) continue;
    const prev = index === 0 ? null : (prefixes[index - 1] as Node | null);
    // Most calls of a later step find nothing to extend and end here.
    if (index > 0 && !isAlive(prev, timeMs - plan.rule.withinMs)) continue;
    if (mayServe?.(entry, steps[index] as Step) === false) continue;
    const startMs = prev === null ? timeMs : prev.startMs;
    const node: Node = { startMs, lastMs: timeMs, entry, prev, signature: '' };
    if (index === steps.length - 1) complete = node;
    else keepLatest(prefixes, index, node);
  }
  return complete;
}

function isAlive(prev: Node | null, oldestStartMs: number): boolean {
  return prev !== null && prev.startMs >= oldestStartMs;
}

function keepLatest(prefixes: Prefixes, step: number, node: Node): void {
  const held = prefixes[step] as Node | null;
  if (held === null || held.startMs <= node.startMs) prefixes[step] = node;
}

function applyStep(visit: Visit, step: Step): Node | null {
  const last = visit.plan.rule.steps.length - 1;
  if (step.index === 0) {
    const node = extend(visit, null, step);
    if (last === 0) return node;
    insert(visit, step, node);
    return null;
  }
  let best: Node | null = null;
  for (const prev of candidates(visit, step)) {
    if (!mayExtend(visit, prev, step)) continue;
    if (step.index < last) insert(visit, step, extend(visit, prev, step));
    else if (best === null || prev.startMs > best.startMs) best = prev;
  }
  return best === null ? null : extend(visit, best, step);
}

/** A guard event: kills every prefix that stands between its two steps. */
export function applyGuards(plan: RulePlan, prefixes: Prefixes, entry: Entry): void {
  plan.rule.guards.forEach((guard, index) => {
    if (guard.kind !== 'between' || (entry.guardMask & (1 << index)) === 0) return;
    for (let step = guard.from; step < guard.to; step++) prefixes[step] = null;
  });
}
