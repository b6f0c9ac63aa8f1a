/** Prefixes of one state where a rule compares: a bounded list for each value that the next element asks for. */
import type { Node, Prefixes } from './prefixes.ts';
import { isCovered, type Covering } from './cover.ts';
import type { RulePlan } from './plan.ts';
import { Starts, type Start } from './starts.ts';

/** Stale starts beyond the prefixes held, at which they are sorted out. */
const MAX_STALE = 64;
/** Prefixes of a full list that are held against all others of their value before the oldest is given up. */
const MAX_TRIED = 4;

/** Lists of prefixes by value, with what tells at once how many there are and which is the oldest. */
export class Buckets extends Map<string, Node[]> {
  private count = 0;
  private readonly starts = new Starts();
  private readonly orders = new Map<string, number>();
  private made = 0;

  static of(lists: Iterable<readonly [string, readonly Node[]]>): Buckets {
    const buckets = new Buckets();
    for (const [value, nodes] of lists) {
      buckets.open(value);
      for (const node of nodes) buckets.add(value, node);
    }
    return buckets;
  }

  copy(): Buckets {
    return Buckets.of(this);
  }

  /** Keeps a prefix, behind those of its value. */
  add(value: string, node: Node): void {
    this.open(value).push(node);
    this.count++;
    this.starts.push({ startMs: node.startMs, order: this.orders.get(value) as number, value });
    if (this.starts.size > 2 * this.count + MAX_STALE) this.sortOut();
  }

  /**
   * Removes from a value's prefixes what `node` outlives; false when one of them outlives `node` instead. What was there
   * came earlier in time, so `node` ends no earlier; an equal start is enough to take its place.
   */
  dominate(value: string, node: Node, gapMatters: boolean): boolean {
    const nodes = this.get(value);
    if (nodes === undefined) return true;
    let isRival = false;
    for (const other of nodes) {
      if (other.signature !== node.signature) continue;
      if (outlives(other, node, gapMatters)) return false;
      isRival = true;
    }
    if (!isRival) return true;
    let kept = 0;
    for (const other of nodes) {
      if (other.signature !== node.signature || other.startMs > node.startMs) nodes[kept++] = other;
    }
    this.count -= nodes.length - kept;
    nodes.length = kept;
    return true;
  }

  /**
   * Makes room for one more prefix where the rule's limit is reached: the expired go first, then one that others cover,
   * then the oldest start, which is told.
   */
  makeRoom(plan: RulePlan, state: number, nowMs: number): void {
    const { withinMs, runsPerKey } = plan.rule;
    if (this.count < runsPerKey) return;
    this.sweep(nowMs - withinMs);
    if (this.count < runsPerKey) return;
    const covering = plan.coverings[state] as Covering;
    if (this.dropStranded(nowMs - covering.maxGapMs) || this.dropCovered(covering)) return;
    const oldest = this.oldest();
    if (oldest === undefined) return;
    this.keep(oldest.value, (node) => node.startMs !== oldest.startMs);
    plan.onEvicted();
  }

  /** Drops what no next element can follow inside its gap; true where there was some. */
  private dropStranded(oldestLastMs: number): boolean {
    const before = this.count;
    if (oldestLastMs > Number.NEGATIVE_INFINITY)
      for (const value of this.keys()) this.keep(value, (node) => node.lastMs >= oldestLastMs);
    return this.count < before;
  }

  /** Drops one of the oldest starts where others complete whatever it could; true where there was one. */
  private dropCovered(covering: Covering): boolean {
    if (!covering.isPossible) return false;
    for (const { value, node } of this.eldest(MAX_TRIED)) {
      if (!isCovered(covering, node, this.get(value) ?? [])) continue;
      this.keep(value, (other) => other !== node);
      return true;
    }
    return false;
  }

  /** The oldest starts; of equal ones those of the oldest values. */
  private eldest(count: number): readonly { readonly value: string; readonly node: Node }[] {
    const found: { value: string; node: Node }[] = [];
    for (const [value, nodes] of this) {
      for (const node of nodes) {
        let at = found.length;
        while (at > 0 && (found[at - 1] as { node: Node }).node.startMs > node.startMs) at--;
        if (at < count) found.splice(at, 0, { value, node });
        if (found.length > count) found.pop();
      }
    }
    return found;
  }

  private open(value: string): Node[] {
    const known = this.get(value);
    if (known !== undefined) return known;
    const nodes: Node[] = [];
    this.set(value, nodes);
    this.orders.set(value, this.made++);
    return nodes;
  }

  /** Drops what the window has passed. */
  private sweep(oldestStartMs: number): void {
    for (
      let start = this.oldest();
      start !== undefined && start.startMs < oldestStartMs;
      start = this.oldest()
    )
      this.keep(start.value, (node) => node.startMs >= oldestStartMs);
  }

  private keep(value: string, isKept: (node: Node) => boolean): void {
    const nodes = this.get(value) ?? [];
    const rest = nodes.filter(isKept);
    this.count -= nodes.length - rest.length;
    if (rest.length > 0) this.set(value, rest);
    else {
      this.delete(value);
      this.orders.delete(value);
    }
  }

  private oldest(): Start | undefined {
    for (let start = this.starts.oldest; start !== undefined; start = this.starts.oldest) {
      if (this.isHeld(start)) return start;
      this.starts.pop();
    }
    return undefined;
  }

  private isHeld({ value, order, startMs }: Start): boolean {
    if (this.orders.get(value) !== order) return false;
    return this.get(value)?.some((node) => node.startMs === startMs) === true;
  }

  private sortOut(): void {
    this.starts.clear();
    for (const [value, nodes] of this) {
      const order = this.orders.get(value) as number;
      for (const { startMs } of nodes) this.starts.push({ startMs, order, value });
    }
  }
}

/** Whether `other` outlives `node` in every window: it starts later, and where gaps matter ends no earlier. */
function outlives(other: Node, node: Node, gapMatters: boolean): boolean {
  if (other.entry === node.entry) return other.startMs >= node.startMs;
  return other.startMs > node.startMs && (!gapMatters || other.lastMs >= node.lastMs);
}

/** Keeps a prefix unless an equal one outlives it; removes those that it outlives. */
export function insertPrefix(
  plan: RulePlan,
  prefixes: Prefixes,
  item: { readonly state: number; readonly value: string; readonly node: Node },
): void {
  const { state, value, node } = item;
  const held = prefixes[state];
  const buckets = held instanceof Buckets ? held : new Buckets();
  prefixes[state] = buckets;
  if (!buckets.dominate(value, node, plan.rule.automaton.gapMatters[state] === true)) return;
  // A value whose prefixes have all gone has room for this one: it takes their place.
  if (buckets.get(value)?.length !== 0) buckets.makeRoom(plan, state, node.lastMs);
  buckets.add(value, node);
}
