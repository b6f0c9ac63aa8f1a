/**
 * Puts what rows hold into arenas of its own size: after a flood of keys the arrays would stay as large as it made them.
 * Called between two events, after a sweep; entries, nodes and cells get other numbers, and nothing else changes.
 */
import { asFirst, NONE, SimpleMemory } from './simple-memory.ts';
import type { SimpleRow } from './simple-row.ts';

/** Below this many slots an arena is left as it is. */
const SMALL = 16_384;
/** An arena this many times as large as what it holds is made smaller. */
const SPACIOUS = 8;

/** `held`: entries and nodes, and cells of all rows. */
export function isSpacious(
  { entries, nodes, cells, undos }: SimpleMemory,
  held: { readonly entries: number; readonly nodes: number; readonly cells: number },
): boolean {
  const spacious = (capacity: number, count: number): boolean =>
    capacity > SMALL && capacity > SPACIOUS * count;
  return (
    spacious(entries.capacity, held.entries) ||
    spacious(nodes.capacity, held.nodes) ||
    spacious(cells.capacity, held.cells) ||
    // A ring's entry writes a few states at most.
    spacious(undos.capacity, held.entries * 4)
  );
}

export function compact(memory: SimpleMemory, rows: Iterable<SimpleRow>): void {
  const mover = new Mover(memory);
  for (const row of rows) mover.row(row);
  mover.finish();
}

class Mover {
  readonly #from: SimpleMemory;
  readonly #to = new SimpleMemory();
  /** By number before the number now. */
  readonly #entries: Int32Array;
  readonly #nodes: Int32Array;

  constructor(from: SimpleMemory) {
    this.#from = from;
    this.#entries = new Int32Array(from.entries.used).fill(NONE);
    this.#nodes = new Int32Array(from.nodes.used).fill(NONE);
  }

  row(row: SimpleRow): void {
    if (row.baseEnd !== NONE) row.baseEnd = this.#entry(row.baseEnd);
    this.#cells(row);
    this.#ring(row);
  }

  finish(): void {
    const { told } = this.#from;
    const codes = [...told];
    told.clear();
    for (const [entry, own] of codes) {
      const now = this.#entries[entry] as number;
      if (now !== NONE) told.set(now, own);
    }
    this.#from.take(this.#to);
  }

  #cells(row: SimpleRow): void {
    const { cells } = this.#from;
    const to = this.#to.cells;
    const block = { cellAt: NONE, cellCount: 0, cellsUsed: 0 };
    for (let cell = row.cellAt; cell < row.cellAt + row.cellCount; cell++) {
      const state = cells.state(cell);
      if (state < 0) continue;
      const isFirst = row.group.isFirst(state);
      const now = to.take(block, state);
      to.starts[now * 4] = cells.starts[cell * 4] as number;
      to.starts[now * 4 + 1] = cells.starts[cell * 4 + 1] as number;
      to.numbers[now * 8 + 4] = this.#held(isFirst, cells.numbers[cell * 8 + 4] as number);
      to.numbers[now * 8 + 5] = this.#held(isFirst, cells.numbers[cell * 8 + 5] as number);
    }
    Object.assign(row, block);
  }

  #ring(row: SimpleRow): void {
    const { entries } = this.#from;
    const to = this.#to.entries;
    let last = NONE;
    for (let entry = row.ringHead; entry !== NONE; entry = entries.after(entry)) {
      const now = this.#entry(entry);
      to.setBefore(now, last);
      if (last !== NONE) to.setAfter(last, now);
      this.#undo(row, entry, now);
      last = now;
    }
    if (row.ringHead !== NONE) row.ringHead = this.#entries[row.ringHead] as number;
    row.ringTail = last;
  }

  #undo(row: SimpleRow, entry: number, now: number): void {
    const { entries, undos } = this.#from;
    const to = this.#to;
    const at = entries.undoAt(entry);
    const count = entries.overwrote(entry);
    const own = to.undos.take(entries.writes(entry));
    to.entries.setUndoAt(now, own);
    to.entries.setOverwrote(now, count);
    for (let index = 0; index < count; index++) {
      const state = undos.state(at + index);
      const held = this.#held(row.group.isFirst(state), undos.held(at + index));
      to.undos.set(own + index, state, undos.startMs(at + index), held);
    }
  }

  #held(isFirst: boolean, held: number): number {
    if (held === NONE) return NONE;
    return isFirst ? this.#entry(held) : this.#node(held);
  }

  #node(node: number): number {
    if (node === NONE) return NONE;
    if (node < NONE) return asFirst(this.#entry(asFirst(node)));
    const known = this.#nodes[node] as number;
    if (known !== NONE) return known;
    const { nodes } = this.#from;
    // As deep as a rule has steps.
    const prev = this.#node(nodes.prev(node));
    const now = this.#to.nodes.add(this.#entry(nodes.entry(node)), prev, nodes.step(node));
    this.#nodes[node] = now;
    return now;
  }

  #entry(entry: number): number {
    const known = this.#entries[entry] as number;
    if (known !== NONE) return known;
    const { entries } = this.#from;
    const touches = entries.touches[entry];
    if (touches === undefined) return NONE;
    const to = this.#to.entries;
    const now = to.add(entries.placeOf(entry), touches);
    to.kept.copy(now, entries.kept, entry);
    this.#entries[entry] = now;
    return now;
  }
}
