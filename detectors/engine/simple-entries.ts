/** The events that rows of simple rules hold, in a line of memory each: whatever is asked of one is near. */
import { KeptCalls, type KeptPlace } from './kept-calls.ts';
import type { Touches } from './simple-group.ts';
import { NONE, SMALLEST, SweptArena } from './swept-arena.ts';

export interface EntryPlace extends KeptPlace {
  readonly appendMs: number;
}

/** Floats of 64 bits and integers of 32 that an entry takes, over the same bytes. */
const FLOATS = 8;
const INTEGERS = 16;
/** Places of the floats: effective time, append time (ms), offset. */
const [TIME, APPEND, OFFSET] = [0, 1, 2] as const;
/** Places of the integers, behind those: where it stands, first of what it overwrote and how much that is, its neighbours in the row, and how many states it may write. */
const [PARTITION, LINE, UNDO_AT, OVERWROTE, BEFORE, AFTER, WRITES] = [6, 7, 8, 9, 10, 11, 12] as const;

export class EntryArena extends SweptArena {
  floats = new Float64Array(SMALLEST * FLOATS);
  private integers = new Int32Array(this.floats.buffer);
  readonly kept = new KeptCalls();
  readonly touches: (Touches | undefined)[] = [];

  /** What is kept to cite it is to be put in by whoever adds it. */
  add({ timeMs, appendMs, partition, offset, line }: EntryPlace, touches: Touches): number {
    const entry = this.takeSlot();
    const { floats, integers } = this;
    floats[entry * FLOATS + TIME] = timeMs;
    floats[entry * FLOATS + APPEND] = appendMs;
    floats[entry * FLOATS + OFFSET] = offset;
    const at = entry * INTEGERS;
    integers[at + PARTITION] = partition;
    integers[at + LINE] = line;
    integers[at + UNDO_AT] = NONE;
    integers[at + OVERWROTE] = 0;
    integers[at + BEFORE] = NONE;
    integers[at + AFTER] = NONE;
    integers[at + WRITES] = touches.later.length + touches.firsts.length;
    this.touches[entry] = touches;
    return entry;
  }

  timeMs(entry: number): number {
    return this.floats[entry * FLOATS + TIME] as number;
  }

  appendMs(entry: number): number {
    return this.floats[entry * FLOATS + APPEND] as number;
  }

  offset(entry: number): number {
    return this.floats[entry * FLOATS + OFFSET] as number;
  }

  partition(entry: number): number {
    return this.integers[entry * INTEGERS + PARTITION] as number;
  }

  line(entry: number): number {
    return this.integers[entry * INTEGERS + LINE] as number;
  }

  placeOf(entry: number): EntryPlace {
    return {
      timeMs: this.timeMs(entry),
      appendMs: this.appendMs(entry),
      partition: this.partition(entry),
      offset: this.offset(entry),
      line: this.line(entry),
    };
  }

  /** How many states it may write at most. */
  writes(entry: number): number {
    return this.integers[entry * INTEGERS + WRITES] as number;
  }

  undoAt(entry: number): number {
    return this.integers[entry * INTEGERS + UNDO_AT] as number;
  }

  setUndoAt(entry: number, at: number): void {
    this.integers[entry * INTEGERS + UNDO_AT] = at;
  }

  /** How many states it overwrote. */
  overwrote(entry: number): number {
    return this.integers[entry * INTEGERS + OVERWROTE] as number;
  }

  setOverwrote(entry: number, count: number): void {
    this.integers[entry * INTEGERS + OVERWROTE] = count;
  }

  before(entry: number): number {
    return this.integers[entry * INTEGERS + BEFORE] as number;
  }

  setBefore(entry: number, before: number): void {
    this.integers[entry * INTEGERS + BEFORE] = before;
  }

  after(entry: number): number {
    return this.integers[entry * INTEGERS + AFTER] as number;
  }

  setAfter(entry: number, after: number): void {
    this.integers[entry * INTEGERS + AFTER] = after;
  }

  /** Order by effective time, then position: negative where `a` comes first. */
  compare(a: number, b: number): number {
    return (
      this.timeMs(a) - this.timeMs(b) ||
      this.partition(a) - this.partition(b) ||
      this.offset(a) - this.offset(b) ||
      this.line(a) - this.line(b)
    );
  }

  protected override growTo(capacity: number): void {
    super.growTo(capacity);
    const { integers } = this;
    this.floats = new Float64Array(capacity * FLOATS);
    this.integers = new Int32Array(this.floats.buffer);
    // As integers: a number that is no number would not keep its bits.
    this.integers.set(integers);
  }

  protected clear(slot: number): void {
    if (this.touches[slot] === undefined) return;
    this.kept.clear(slot);
    this.touches[slot] = undefined;
  }
}
