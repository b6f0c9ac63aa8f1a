/** Numbers in arrays that grow, taken slot by slot: what no row reaches any more is found by marking (simple-sweep.ts). */

export const NONE = -1;
export const SMALLEST = 64;

export function grown<Numbers extends Float64Array | Int32Array | Uint8Array>(
  old: Numbers,
  length: number,
): Numbers {
  const made = new (old.constructor as new (length: number) => Numbers)(length);
  made.set(old);
  return made;
}

/** Slots that are taken one by one and given back by a sweep. */
export abstract class SweptArena {
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
