/** Prefixes of one state where a rule compares: a bounded list for each value that the next element asks for. */
import type { Node, Prefixes } from './prefixes.ts';
import type { RulePlan } from './plan.ts';

/** Drops what the window has passed from every bucket of a state; returns what is left. */
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

/** Whether `other` outlives `node` in every window: it starts later, and where gaps matter ends no earlier. */
function outlives(other: Node, node: Node, gapMatters: boolean): boolean {
  if (other.entry === node.entry) return other.startMs >= node.startMs;
  return other.startMs > node.startMs && (!gapMatters || other.lastMs >= node.lastMs);
}

/** Removes from `nodes` what `node` outlives; false when one of them outlives `node` instead. */
function dominate(nodes: Node[], node: Node, gapMatters: boolean): boolean {
  for (const other of nodes) {
    if (other.signature === node.signature && outlives(other, node, gapMatters)) return false;
  }
  let kept = 0;
  for (const other of nodes) {
    // What was there came earlier in time, so `node` ends no earlier; an equal start is enough to take its place.
    if (other.signature !== node.signature || other.startMs > node.startMs) nodes[kept++] = other;
  }
  nodes.length = kept;
  return true;
}

function bucketsOf(prefixes: Prefixes, state: number): Map<string, Node[]> {
  const held = prefixes[state];
  if (held instanceof Map) return held;
  const made = new Map<string, Node[]>();
  prefixes[state] = made;
  return made;
}

/** Keeps a prefix unless an equal one outlives it; removes those that it outlives. */
export function insertPrefix(
  plan: RulePlan,
  prefixes: Prefixes,
  item: { readonly state: number; readonly value: string; readonly node: Node },
): void {
  const { state, value, node } = item;
  const buckets = bucketsOf(prefixes, state);
  const nodes = buckets.get(value);
  if (nodes !== undefined && !dominate(nodes, node, plan.rule.automaton.gapMatters[state] === true)) return;
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
