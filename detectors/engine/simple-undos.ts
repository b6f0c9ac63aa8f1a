/**
 * What entries overwrote by event time, in the order of writing: since when, which state, what held it. An entry of a ring
 * has a run of its own, long enough for all that it may write.
 */
import { NONE, SMALLEST } from './swept-arena.ts';

export class UndoArena {
  capacity = SMALLEST;
  private used = 0;
  /** Two a record: the start; the other is seen through `integers`. */
  floats = new Float64Array(SMALLEST * 2);
  /** Four a record: from the third on number of the state, entry or node. */
  private integers = new Int32Array(this.floats.buffer);
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
    this.floats[at * 2] = startMs;
    this.integers[at * 4 + 2] = state;
    this.integers[at * 4 + 3] = held;
  }

  startMs(at: number): number {
    return this.floats[at * 2] as number;
  }

  state(at: number): number {
    return this.integers[at * 4 + 2] as number;
  }

  held(at: number): number {
    return this.integers[at * 4 + 3] as number;
  }

  private growTo(capacity: number): void {
    const { integers } = this;
    this.capacity = capacity;
    this.floats = new Float64Array(capacity * 2);
    this.integers = new Int32Array(this.floats.buffer);
    this.integers.set(integers);
  }
}
