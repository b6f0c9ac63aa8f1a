/** Starts of prefixes, the oldest first: a binary heap. One that is gone stays in it until it is its turn. */
export interface Start {
  readonly startMs: number;
  /** When its bucket was made: of equal starts the one of the oldest bucket goes first. */
  readonly order: number;
  readonly value: string;
}

const isBefore = (a: Start, b: Start): boolean =>
  a.startMs < b.startMs || (a.startMs === b.startMs && a.order < b.order);

export class Starts {
  private readonly heap: Start[] = [];

  get size(): number {
    return this.heap.length;
  }

  get oldest(): Start | undefined {
    return this.heap[0];
  }

  clear(): void {
    this.heap.length = 0;
  }

  push(start: Start): void {
    const { heap } = this;
    let at = heap.push(start) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(start, heap[parent] as Start)) break;
      heap[at] = heap[parent] as Start;
      at = parent;
    }
    heap[at] = start;
  }

  pop(): void {
    const { heap } = this;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Start, heap[child] as Start)) child++;
      if (!isBefore(heap[child] as Start, last)) break;
      heap[at] = heap[child] as Start;
      at = child;
    }
    heap[at] = last;
  }
}
