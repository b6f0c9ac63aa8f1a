/**
 * Frees the entries and nodes that no row reaches. Starts that no later event can follow inside their window are let go
 * first: they can complete nothing, so when this runs changes nothing that is told.
 */
import { asFirst, NONE, type SimpleMemory } from './simple-memory.ts';
import type { SimpleRow } from './simple-row.ts';

/** Entries and nodes that are free before an event is looked at; one that takes more makes the arrays grow. */
const LOW = 64;

export const isLow = ({ entries, nodes }: SimpleMemory): boolean =>
  entries.available < LOW || nodes.available < LOW;

interface SweptCounts {
  readonly entries: number;
  readonly nodes: number;
  readonly cells: number;
}

/** `nowMs`: no event will be appended before it. Answers what is in use, of cells the blocks of all rows. */
export function sweep(memory: SimpleMemory, rows: Iterable<SimpleRow>, nowMs: number): SweptCounts {
  const marker = new Marker(memory);
  let cells = 0;
  for (const row of rows) {
    letGo(memory, row, nowMs);
    marker.mark(row);
    cells += row.cellCount;
  }
  for (const entry of memory.told.keys()) if (memory.entries.marks[entry] === 0) memory.told.delete(entry);
  const swept = { entries: memory.entries.sweep(), nodes: memory.nodes.sweep(), cells };
  reserve(memory, swept);
  return swept;
}

/** What was looked at now is paid by as many events to come. */
export function reserve(memory: SimpleMemory, { entries, nodes, cells }: SweptCounts): void {
  const toCome = Math.max(2 * LOW, entries + nodes, cells >> 2);
  memory.entries.reserve(toCome);
  memory.nodes.reserve(toCome);
}

/** Empties what has passed in the cells of a row, and takes away the cells in which all has. */
function letGo({ cells, entries }: SimpleMemory, row: SimpleRow, nowMs: number): void {
  // No event will be put before those of the base any more, nor appended before now.
  const passedMs = row.baseEnd === NONE ? Number.NEGATIVE_INFINITY : entries.timeMs(row.baseEnd);
  let gone: number[] | undefined;
  for (let cell = row.cellAt; cell < row.cellAt + row.cellCount; cell++) {
    const state = cells.state(cell);
    if (state < 0) continue;
    const horizonMs = row.group.horizonOf(state);
    const left = cells.keepSince(cell, 0, passedMs - horizonMs);
    if (!cells.keepSince(cell, 1, nowMs - horizonMs) && !left) (gone ??= []).push(cell);
  }
  if (gone !== undefined) cells.remove(row, gone);
}

class Marker {
  private readonly memory: SimpleMemory;
  private readonly entries: Uint8Array;
  private readonly nodes: Uint8Array;

  constructor(memory: SimpleMemory) {
    this.memory = memory;
    this.entries = memory.entries.marks;
    this.nodes = memory.nodes.marks;
  }

  mark(row: SimpleRow): void {
    const { cells } = this.memory;
    if (row.baseEnd !== NONE) this.entries[row.baseEnd] = 1;
    for (let cell = row.cellAt; cell < row.cellAt + row.cellCount; cell++) {
      const state = cells.state(cell);
      if (state < 0) continue;
      const first = row.group.isFirst(state);
      this.held(first, cells.numbers[cell * 8 + 4] as number);
      this.held(first, cells.numbers[cell * 8 + 5] as number);
    }
    this.ring(row);
  }

  private ring(row: SimpleRow): void {
    const { entries, undos } = this.memory;
    for (let entry = row.ringHead; entry !== NONE; entry = entries.after(entry)) {
      this.entries[entry] = 1;
      const from = entries.undoAt(entry);
      const count = entries.overwrote(entry);
      for (let at = from; at < from + count; at++)
        this.held(row.group.isFirst(undos.state(at)), undos.held(at));
    }
  }

  private held(first: boolean, held: number): void {
    if (held === NONE) return;
    if (first) this.entries[held] = 1;
    else this.node(held);
  }

  private node(from: number): void {
    const { nodes } = this.memory;
    let node = from;
    while (node >= 0) {
      if (this.nodes[node] === 1) return;
      this.nodes[node] = 1;
      this.entries[nodes.entry(node)] = 1;
      node = nodes.prev(node);
    }
    if (node !== NONE) this.entries[asFirst(node)] = 1;
  }
}
