/** Timers on watermark time: exact ones for decisions, coarse ones for expiry. */

interface Timer<T> {
  readonly dueMs: number;
  readonly order: number;
  readonly item: T;
}

function before<T>(a: Timer<T>, b: Timer<T>): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}

/** Binary heap; equal times fire in the order of setting. */
export class TimerHeap<T> {
  private readonly heap: Timer<T>[] = [];
  private order = 0;

  nextDueMs(): number | undefined {
    return this.heap[0]?.dueMs;
  }

  push(dueMs: number, item: T): void {
    const { heap } = this;
    let at = heap.length;
    heap.push({ dueMs, order: this.order++, item });
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.less(at, parent)) break;
      this.swap(at, parent);
      at = parent;
    }
  }

  /** Next item due at `nowMs`, undefined when none is. */
  pop(nowMs: number): T | undefined {
    const { heap } = this;
    const top = heap[0];
    if (top === undefined || top.dueMs > nowMs) return undefined;
    const last = heap.pop();
    if (last !== undefined && heap.length > 0) {
      heap[0] = last;
      this.sink();
    }
    return top.item;
  }

  /** Drops the timers of all other items. */
  retain(keep: (item: T) => boolean): void {
    const kept = this.heap.filter(({ item }) => keep(item));
    this.heap.length = 0;
    for (const timer of kept) this.heap.push(timer);
    for (let at = (this.heap.length >> 1) - 1; at >= 0; at--) this.sink(at);
  }

  private sink(from = 0): void {
    let at = from;
    for (;;) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < this.heap.length && this.less(child, least)) least = child;
      }
      if (least === at) return;
      this.swap(at, least);
      at = least;
    }
  }

  private less(a: number, b: number): boolean {
    return before(this.heap[a] as Timer<T>, this.heap[b] as Timer<T>);
  }

  private swap(a: number, b: number): void {
    const held = this.heap[a] as Timer<T>;
    this.heap[a] = this.heap[b] as Timer<T>;
    this.heap[b] = held;
  }
}

const SLOT_MS = 10_000;

/**
 * Expiry in slots of 10 s: each item sits in one slot; an item that was used since is asked again and moves on. An item
 * expires when the slot of its own expiry has passed, however often it was asked before: a restored wheel, which asks
 * once, lets it go at the same watermark.
 */
export class ExpiryWheel<T extends { expirySlot: number }> {
  private readonly slots = new Map<number, Set<T>>();
  private passed = Number.NEGATIVE_INFINITY;

  /** Whether an expiry lies in a slot that has passed. */
  isOver(expiresMs: number): boolean {
    return Math.floor(expiresMs / SLOT_MS) + 1 <= this.passed;
  }

  add(expiresMs: number, item: T): void {
    const slot = Math.max(Math.floor(expiresMs / SLOT_MS) + 1, this.passed + 1);
    const items = this.slots.get(slot);
    item.expirySlot = slot;
    if (items === undefined) this.slots.set(slot, new Set([item]));
    else items.add(item);
  }

  /** Lets go of an item that is gone before its time: a flood of keys must not pile up here. */
  remove(item: T): void {
    this.slots.get(item.expirySlot)?.delete(item);
  }

  /** Hands over every item whose slot has passed. */
  advance(nowMs: number, expire: (item: T) => void): void {
    const slot = Math.floor(nowMs / SLOT_MS);
    if (slot <= this.passed) return;
    this.passed = slot;
    for (const [at, items] of this.slots) {
      if (at > slot) continue;
      this.slots.delete(at);
      for (const item of items) expire(item);
    }
  }
}
