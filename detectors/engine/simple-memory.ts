/**
 * What simple rules remember, in typed arrays: as an object for each event and prefix it would be the collector's work,
 * which costs many times the matching. A row owns its cells and what its entries overwrote; entries and nodes are shared,
 * so what no row reaches any more is found by marking (simple-sweep.ts) when their space is used up. Nothing moves.
 */
import { CellArena } from './simple-cells.ts';
import type { KeptCall } from './call.ts';
import type { Touches } from './simple-group.ts';

export const NONE = -1;
const SMALLEST = 64;

export function grown<Numbers extends Float64Array | Int32Array | Uint8Array>(
  old: Numbers,
  length: number,
): Numbers {
  const made = new (old.constructor as new (length: number) => Numbers)(length);
  made.set(old);
  return made;
}

/** Slots that are taken one by one and given back by a sweep. */
abstract class SweptArena {
  capacity = SMALLEST;
  /** Slots that are, or were, taken. */
  used = 0;
  /** Marked: reached by some row. */
  marks = new Uint8Array(SMALLEST);
  private free = new Int32Array(SMALLEST);
  private freeCount = 0;

  get available(): number {
    return this.capacity - this.used + this.freeCount;
  }

  protected takeSlot(): number {
    if (this.freeCount > 0) return this.free[--this.freeCount] as number;
    if (this.used === this.capacity) this.growTo(this.capacity * 2);
    return this.used++;
  }

  /** Frees what is not marked; answers how many slots are in use. */
  sweep(): number {
    this.freeCount = 0;
    // From the end, so that slots are taken from the front.
    for (let slot = this.used - 1; slot >= 0; slot--) {
      if (this.marks[slot] === 1) this.marks[slot] = 0;
      else {
        this.free[this.freeCount++] = slot;
        this.clear(slot);
      }
    }
    return this.used - this.freeCount;
  }

  /** Sees to it that so many slots are free. */
  reserve(slots: number): void {
    if (this.available < slots) this.growTo(this.capacity + slots - this.available);
  }

  protected growTo(capacity: number): void {
    this.capacity = capacity;
    this.marks = grown(this.marks, capacity);
    this.free = grown(this.free, capacity);
  }

  protected abstract clear(slot: number): void;
}

/** An event: times and place in one array, links in another. */
export class EntryArena extends SweptArena {
  /** Three an entry: effective time, append time (ms), offset. */
  times = new Float64Array(SMALLEST * 3);
  /** Five an entry: partition, line, first of what it overwrote, entries of the row before and after it. */
  links = new Int32Array(SMALLEST * 5);
  /** How many states it overwrote. */
  overwrote = new Int32Array(SMALLEST);
  readonly kept: (KeptCall | undefined)[] = [];
  readonly touches: (Touches | undefined)[] = [];

  add(timeMs: number, appendMs: number, kept: KeptCall, touches: Touches): number {
    const entry = this.takeSlot();
    const { times, links } = this;
    times[entry * 3] = timeMs;
    times[entry * 3 + 1] = appendMs;
    times[entry * 3 + 2] = kept.offset;
    links[entry * 5] = kept.partition;
    links[entry * 5 + 1] = kept.line;
    links[entry * 5 + 2] = NONE;
    links[entry * 5 + 3] = NONE;
    links[entry * 5 + 4] = NONE;
    this.overwrote[entry] = 0;
    this.kept[entry] = kept;
    this.touches[entry] = touches;
    return entry;
  }

  timeMs(entry: number): number {
    return this.times[entry * 3] as number;
  }

  appendMs(entry: number): number {
    return this.times[entry * 3 + 1] as number;
  }

  undoAt(entry: number): number {
    return this.links[entry * 5 + 2] as number;
  }

  setUndoAt(entry: number, at: number): void {
    this.links[entry * 5 + 2] = at;
  }

  before(entry: number): number {
    return this.links[entry * 5 + 3] as number;
  }

  setBefore(entry: number, before: number): void {
    this.links[entry * 5 + 3] = before;
  }

  after(entry: number): number {
    return this.links[entry * 5 + 4] as number;
  }

  setAfter(entry: number, after: number): void {
    this.links[entry * 5 + 4] = after;
  }

  /** Order by effective time, then position: negative where `a` comes first. */
  compare(a: number, b: number): number {
    const { times, links } = this;
    return (
      (times[a * 3] as number) - (times[b * 3] as number) ||
      (links[a * 5] as number) - (links[b * 5] as number) ||
      (times[a * 3 + 2] as number) - (times[b * 3 + 2] as number) ||
      (links[a * 5 + 1] as number) - (links[b * 5 + 1] as number)
    );
  }

  protected override growTo(capacity: number): void {
    super.growTo(capacity);
    this.times = grown(this.times, capacity * 3);
    this.links = grown(this.links, capacity * 5);
    this.overwrote = grown(this.overwrote, capacity);
  }

  protected clear(slot: number): void {
    this.kept[slot] = undefined;
    this.touches[slot] = undefined;
  }
}

/** Prefixes of more than one step: entry, what it extends, step. */
export class NodeArena extends SweptArena {
  columns = new Int32Array(SMALLEST * 3);

  /** `prev`: a node, or a first step's entry as `asFirst` writes it. */
  add(entry: number, prev: number, step: number): number {
    const node = this.takeSlot();
    this.columns[node * 3] = entry;
    this.columns[node * 3 + 1] = prev;
    this.columns[node * 3 + 2] = step;
    return node;
  }

  entry(node: number): number {
    return this.columns[node * 3] as number;
  }

  prev(node: number): number {
    return this.columns[node * 3 + 1] as number;
  }

  step(node: number): number {
    return this.columns[node * 3 + 2] as number;
  }

  protected override growTo(capacity: number): void {
    super.growTo(capacity);
    this.columns = grown(this.columns, capacity * 3);
  }

  protected clear(): void {
    // Nothing in it keeps anything alive.
  }
}

/** An entry where a node may stand: below NONE. Its own inverse. */
export const asFirst = (entry: number): number => -2 - entry;

/**
 * What entries overwrote by event time, in the order of writing: state, what held it, since when. An entry of a ring
 * has a run of its own, long enough for all that it may write.
 */
export class UndoArena {
  capacity = SMALLEST;
  private used = 0;
  starts = new Float64Array(SMALLEST);
  /** Two a record: number of the state, entry or node. */
  columns = new Int32Array(SMALLEST * 2);
  /** Runs given back, by length. */
  private readonly free: number[][] = [];

  take(length: number): number {
    if (length === 0) return NONE;
    const known = this.free[length]?.pop();
    if (known !== undefined) return known;
    const at = this.used;
    this.used += length;
    if (this.used > this.capacity) this.growTo(this.used * 2);
    return at;
  }

  give(at: number, length: number): void {
    if (at !== NONE) (this.free[length] ??= []).push(at);
  }

  set(at: number, state: number, startMs: number, held: number): void {
    this.starts[at] = startMs;
    this.columns[at * 2] = state;
    this.columns[at * 2 + 1] = held;
  }

  state(at: number): number {
    return this.columns[at * 2] as number;
  }

  held(at: number): number {
    return this.columns[at * 2 + 1] as number;
  }

  private growTo(capacity: number): void {
    this.capacity = capacity;
    this.starts = grown(this.starts, capacity);
    this.columns = grown(this.columns, capacity * 2);
  }
}

export class SimpleMemory {
  entries = new EntryArena();
  nodes = new NodeArena();
  cells = new CellArena();
  undos = new UndoArena();
  /** By entry the rules that it completed an alert of: the rule's number twice, plus one where by append time only. */
  readonly told = new Map<number, number[]>();

  /** Takes the arenas of another, whose rows are the same. */
  take({ entries, nodes, cells, undos }: SimpleMemory): void {
    this.entries = entries;
    this.nodes = nodes;
    this.cells = cells;
    this.undos = undos;
  }
}
