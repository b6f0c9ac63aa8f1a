/**
 * What simple rules remember, in typed arrays: as an object for each event and prefix it would be the collector's work,
 * which costs many times the matching. A row owns its cells and what its entries overwrote; entries and nodes are shared,
 * so what no row reaches any more is found by marking (simple-sweep.ts) when their space is used up. Nothing moves.
 */
import { CellArena } from './simple-cells.ts';
import { EntryArena } from './simple-entries.ts';
import { UndoArena } from './simple-undos.ts';
import { grown, NONE, SMALLEST, SweptArena } from './swept-arena.ts';

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

export { NONE };
