/**
 * Copies what rows still reach into new arenas. Starts that no later event can follow inside their window are left
 * behind: they can complete nothing, so when this runs changes nothing that is told.
 */
import { asFirst, NONE, type Arenas, type Room, type SimpleMemory } from './simple-memory.ts';
import type { SimpleRow } from './simple-row.ts';

/** Makes room for what is asked; `nowMs`: no event will be appended before it. */
export function collect(memory: SimpleMemory, rows: Iterable<SimpleRow>, asked: Room, nowMs: number): void {
  const collection = new Collection(memory, nowMs);
  for (const row of rows) collection.move(row);
  memory.replace(collection.target, collection.told, asked);
}

class Collection {
  readonly target: Arenas;
  readonly told = new Map<number, number[]>();
  private readonly source: Arenas;
  private readonly toldBefore: SimpleMemory['told'];
  private readonly nowMs: number;
  /** New numbers plus one, 0 where not moved yet. */
  private readonly movedEntries: Int32Array;
  private readonly movedNodes: Int32Array;

  constructor(memory: SimpleMemory, nowMs: number) {
    this.source = memory.arenas;
    this.target = memory.twin();
    this.toldBefore = memory.told;
    this.nowMs = nowMs;
    this.movedEntries = new Int32Array(this.source.entries.used);
    this.movedNodes = new Int32Array(this.source.nodes.used);
  }

  move(row: SimpleRow): void {
    this.moveRing(row);
    if (row.baseEnd !== NONE) row.baseEnd = this.entry(row.baseEnd);
    this.moveCells(row);
  }

  private moveRing(row: SimpleRow): void {
    const { entries, undos } = this.source;
    const { links } = this.target.entries;
    let before = NONE;
    for (let old = row.ringHead; old !== NONE; old = entries.after(old)) {
      const entry = this.entry(old);
      if (before === NONE) row.ringHead = entry;
      else links[before * 6 + 5] = entry;
      links[entry * 6 + 4] = before;
      links[entry * 6 + 2] = this.target.undos.used;
      const from = entries.links[old * 6 + 2] as number;
      const count = entries.links[old * 6 + 3] as number;
      links[entry * 6 + 3] = count;
      for (let at = from; at < from + count; at++) {
        const state = undos.columns[at * 2] as number;
        const held = this.held(row, state, undos.columns[at * 2 + 1] as number);
        this.target.undos.add(state, undos.starts[at] as number, held);
      }
      before = entry;
    }
    if (before !== NONE) row.ringTail = before;
  }

  /** What may still be followed, into a block that fits. */
  private moveCells(row: SimpleRow): void {
    const { source, target } = this;
    const block = { cellAt: row.cellAt, cellCount: row.cellCount };
    const passedMs = row.baseEnd === NONE ? Number.NEGATIVE_INFINITY : target.entries.timeMs(row.baseEnd);
    let live = 0;
    for (let cell = block.cellAt; cell < block.cellAt + block.cellCount; cell++) {
      if (this.forget(row, cell, passedMs)) live++;
    }
    row.cellAt = NONE;
    row.cellCount = 0;
    row.cellsUsed = 0;
    if (live === 0) return;
    target.cells.open(row, live);
    for (let cell = block.cellAt; cell < block.cellAt + block.cellCount; cell++) {
      const own = target.cells.copy(source.cells, cell, row);
      if (own === NONE) continue;
      const state = (target.cells.numbers[own * 8 + 6] as number) - 1;
      for (const at of [own * 8 + 4, own * 8 + 5]) {
        target.cells.numbers[at] = this.held(row, state, target.cells.numbers[at] as number);
      }
    }
  }

  /** Empties what has passed in a cell, and the cell where all has; true when something is left. */
  private forget(row: SimpleRow, cell: number, passedMs: number): boolean {
    const { starts, numbers } = this.source.cells;
    const state = (numbers[cell * 8 + 6] as number) - 1;
    if (state < 0) return false;
    const horizonMs = row.group.horizonOf(state);
    // No event will be put before those of the base any more, nor appended before now.
    if (passedMs - (starts[cell * 4] as number) > horizonMs) numbers[cell * 8 + 4] = NONE;
    if (this.nowMs - (starts[cell * 4 + 1] as number) > horizonMs) numbers[cell * 8 + 5] = NONE;
    if (numbers[cell * 8 + 4] === NONE) starts[cell * 4] = Number.NEGATIVE_INFINITY;
    if (numbers[cell * 8 + 5] === NONE) starts[cell * 4 + 1] = Number.NEGATIVE_INFINITY;
    if (numbers[cell * 8 + 4] !== NONE || numbers[cell * 8 + 5] !== NONE) return true;
    numbers[cell * 8 + 6] = 0;
    return false;
  }

  private held(row: SimpleRow, state: number, held: number): number {
    if (held === NONE) return NONE;
    return row.group.isFirst(state) ? this.entry(held) : this.node(held);
  }

  private node(old: number): number {
    const moved = (this.movedNodes[old] as number) - 1;
    if (moved >= 0) return moved;
    const { columns } = this.source.nodes;
    const prev = columns[old * 3 + 1] as number;
    const newPrev = prev >= 0 ? this.node(prev) : prev === NONE ? NONE : asFirst(this.entry(asFirst(prev)));
    const entry = this.entry(columns[old * 3] as number);
    const node = this.target.nodes.add(entry, newPrev, columns[old * 3 + 2] as number);
    this.movedNodes[old] = node + 1;
    return node;
  }

  private entry(old: number): number {
    const moved = (this.movedEntries[old] as number) - 1;
    if (moved >= 0) return moved;
    const { entries } = this.source;
    const kept = entries.kept[old];
    const touches = entries.touches[old];
    if (kept === undefined || touches === undefined) throw new Error(`no entry ${old}`);
    const entry = this.target.entries.add(entries.timeMs(old), entries.appendMs(old), kept, touches);
    const rules = this.toldBefore.get(old);
    if (rules !== undefined) this.told.set(entry, rules);
    this.movedEntries[old] = entry + 1;
    return entry;
  }
}
