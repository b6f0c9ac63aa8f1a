/**
 * What a row knows of a state: latest start by event time and by append time, and which entry (of a first step) or node
 * it is. 32 bytes a cell, in blocks that are hash tables by number of the state; each block belongs to one row.
 */

/** Where the cells of a row stand. */
export interface CellBlock {
  /** First cell; of no meaning while the row has none. */
  cellAt: number;
  /** Cells of the block, a power of two; 0 while the row has none. */
  cellCount: number;
  cellsUsed: number;
}

const NO_CELL = -1;
const MIN_BLOCK = 4;
const FIRST_CAPACITY = 256;
/** 2^32 divided by the golden ratio (Knuth, multiplicative hashing). */
const SPREAD = 0x9e3779b1;

const spread = (state: number): number => Math.imul(state, SPREAD) >>> 16;

export class CellArena {
  /** Four a cell: the start by event time, by append time; the other two are seen through `numbers`. */
  starts = new Float64Array(FIRST_CAPACITY * 4);
  /** Eight a cell: from the fifth on what holds by event time, by append time, number of the state plus one. */
  numbers = new Int32Array(this.starts.buffer);
  capacity = FIRST_CAPACITY;
  private used = 0;
  /** Blocks given back, by size. */
  private readonly free = new Map<number, number[]>();

  /** The cell of a state, NONE where there is none. */
  find(block: CellBlock, state: number): number {
    const mask = block.cellCount - 1;
    if (mask < 0) return NO_CELL;
    const { numbers } = this;
    const { cellAt } = block;
    for (let slot = spread(state) & mask; ; slot = (slot + 1) & mask) {
      const held = numbers[(cellAt + slot) * 8 + 6] as number;
      if (held === state + 1) return cellAt + slot;
      if (held === 0) return NO_CELL;
    }
  }

  /** The cell of a state, made where there is none. The arrays may be others afterwards. */
  take(block: CellBlock, state: number): number {
    const known = this.find(block, state);
    if (known !== NO_CELL) return known;
    if ((block.cellsUsed + 1) * 4 > block.cellCount * 3)
      this.resize(block, Math.max(MIN_BLOCK, block.cellCount * 2));
    block.cellsUsed++;
    const cell = this.place(block, state);
    this.starts[cell * 4] = Number.NEGATIVE_INFINITY;
    this.starts[cell * 4 + 1] = Number.NEGATIVE_INFINITY;
    this.numbers[cell * 8 + 4] = NO_CELL;
    this.numbers[cell * 8 + 5] = NO_CELL;
    return cell;
  }

  /** Number of the state that a cell is of, -1 where it is empty. */
  state(cell: number): number {
    return (this.numbers[cell * 8 + 6] as number) - 1;
  }

  /** Empties a track (0: by event time, 1: by append time) that started before; true where something holds. */
  keepSince(cell: number, track: 0 | 1, sinceMs: number): boolean {
    const at = cell * 4 + track;
    if ((this.starts[at] as number) < sinceMs) {
      this.starts[at] = Number.NEGATIVE_INFINITY;
      this.numbers[cell * 8 + 4 + track] = NO_CELL;
    }
    return this.numbers[cell * 8 + 4 + track] !== NO_CELL;
  }

  /** Takes away cells (their numbers) and makes the block smaller where it is three quarters empty. */
  remove(block: CellBlock, gone: readonly number[]): void {
    for (const cell of gone) this.numbers[cell * 8 + 6] = 0;
    block.cellsUsed -= gone.length;
    let count = block.cellCount;
    while (count > MIN_BLOCK && block.cellsUsed * 4 <= count) count /= 2;
    if (block.cellsUsed === 0) this.release(block);
    else this.resize(block, count);
  }

  /** Gives the block back. */
  release(block: CellBlock): void {
    this.give(block.cellAt, block.cellCount);
    block.cellCount = 0;
    block.cellsUsed = 0;
  }

  /** Another block, with the cells of the one before: also of the same size, where cells were taken out of chains. */
  private resize(block: CellBlock, count: number): void {
    const { cellAt, cellCount } = block;
    block.cellAt = this.takeBlock(count);
    block.cellCount = count;
    const { starts, numbers } = this;
    for (let cell = cellAt; cell < cellAt + cellCount; cell++) {
      const state = this.state(cell);
      if (state < 0) continue;
      const own = this.place(block, state);
      starts[own * 4] = starts[cell * 4] as number;
      starts[own * 4 + 1] = starts[cell * 4 + 1] as number;
      numbers[own * 8 + 4] = numbers[cell * 8 + 4] as number;
      numbers[own * 8 + 5] = numbers[cell * 8 + 5] as number;
    }
    this.give(cellAt, cellCount);
  }

  /** The first empty cell for a state. */
  private place({ cellAt, cellCount }: CellBlock, state: number): number {
    const mask = cellCount - 1;
    let slot = spread(state) & mask;
    while (this.numbers[(cellAt + slot) * 8 + 6] !== 0) slot = (slot + 1) & mask;
    this.numbers[(cellAt + slot) * 8 + 6] = state + 1;
    return cellAt + slot;
  }

  private takeBlock(count: number): number {
    let at = this.free.get(count)?.pop();
    if (at === undefined) {
      at = this.used;
      this.used += count;
      if (this.used > this.capacity) this.growTo(this.used * 2);
    }
    // What stood here before is of no one.
    for (let cell = at; cell < at + count; cell++) this.numbers[cell * 8 + 6] = 0;
    return at;
  }

  private give(at: number, count: number): void {
    if (count === 0) return;
    const known = this.free.get(count);
    if (known === undefined) this.free.set(count, [at]);
    else known.push(at);
  }

  private growTo(capacity: number): void {
    const { numbers } = this;
    this.capacity = capacity;
    this.starts = new Float64Array(capacity * 4);
    this.numbers = new Int32Array(this.starts.buffer);
    // As integers: a number that is no number would not keep its bits.
    this.numbers.set(numbers);
  }
}
