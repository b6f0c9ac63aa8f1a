/**
 * What simple rules remember, in typed arrays: as an object for each event and prefix it would be the collector's work,
 * which costs many times the matching. Four arenas, filled from the front; when one is full, what rows still reach is
 * copied into their twins (simple-collect.ts). Numbers in an arena hold until then.
 */
import type { KeptCall } from './call.ts';
import type { Touches } from './simple-group.ts';

export const NONE = -1;

/** An event: times and place in one array, links in another. */
export class EntryArena {
  readonly capacity: number;
  used = 0;
  /** Three an entry: effective time, append time (ms), offset. */
  readonly times: Float64Array;
  /** Six an entry: partition, line, first of its undo records, their count, entries of the row before and after it. */
  readonly links: Int32Array;
  readonly kept: (KeptCall | undefined)[] = [];
  readonly touches: (Touches | undefined)[] = [];

  constructor(capacity: number) {
    this.capacity = capacity;
    this.times = new Float64Array(capacity * 3);
    this.links = new Int32Array(capacity * 6);
  }

  add(timeMs: number, appendMs: number, kept: KeptCall, touches: Touches): number {
    const entry = this.used++;
    const { times, links } = this;
    times[entry * 3] = timeMs;
    times[entry * 3 + 1] = appendMs;
    times[entry * 3 + 2] = kept.offset;
    links[entry * 6] = kept.partition;
    links[entry * 6 + 1] = kept.line;
    links[entry * 6 + 2] = 0;
    links[entry * 6 + 3] = 0;
    links[entry * 6 + 4] = NONE;
    links[entry * 6 + 5] = NONE;
    this.kept[entry] = kept;
    this.touches[entry] = touches;
    return entry;
  }

  resized(capacity: number): EntryArena {
    const copy = new EntryArena(capacity);
    copy.used = this.used;
    copy.times.set(this.times.subarray(0, this.used * 3));
    copy.links.set(this.links.subarray(0, this.used * 6));
    for (let entry = 0; entry < this.used; entry++) {
      copy.kept.push(this.kept[entry]);
      copy.touches.push(this.touches[entry]);
    }
    return copy;
  }

  /** Empties it; what it held of calls is let go. */
  clear(): void {
    this.kept.fill(undefined, 0, this.used);
    this.touches.fill(undefined, 0, this.used);
    this.used = 0;
  }

  timeMs(entry: number): number {
    return this.times[entry * 3] as number;
  }

  appendMs(entry: number): number {
    return this.times[entry * 3 + 1] as number;
  }

  before(entry: number): number {
    return this.links[entry * 6 + 4] as number;
  }

  after(entry: number): number {
    return this.links[entry * 6 + 5] as number;
  }

  /** Order by effective time, then position: negative where `a` comes first. */
  compare(a: number, b: number): number {
    const { times, links } = this;
    return (
      (times[a * 3] as number) - (times[b * 3] as number) ||
      (links[a * 6] as number) - (links[b * 6] as number) ||
      (times[a * 3 + 2] as number) - (times[b * 3 + 2] as number) ||
      (links[a * 6 + 1] as number) - (links[b * 6 + 1] as number)
    );
  }
}

/** Prefixes of more than one step: entry, what it extends, step. */
export class NodeArena {
  readonly capacity: number;
  used = 0;
  readonly columns: Int32Array;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.columns = new Int32Array(capacity * 3);
  }

  /** `prev`: a node, or a first step's entry as `asFirst` writes it. */
  add(entry: number, prev: number, step: number): number {
    const node = this.used++;
    this.columns[node * 3] = entry;
    this.columns[node * 3 + 1] = prev;
    this.columns[node * 3 + 2] = step;
    return node;
  }

  resized(capacity: number): NodeArena {
    const copy = new NodeArena(capacity);
    copy.used = this.used;
    copy.columns.set(this.columns.subarray(0, this.used * 3));
    return copy;
  }
}

/** An entry where a node may stand: below NONE. Its own inverse. */
export const asFirst = (entry: number): number => -2 - entry;

/** Where the cells of a row stand. */
export interface CellBlock {
  /** First cell, NONE while the row has none. */
  cellAt: number;
  /** Cells of the block, a power of two; 0 while the row has none. */
  cellCount: number;
  cellsUsed: number;
}

const MIN_BLOCK = 4;
/** 2^32 divided by the golden ratio (Knuth, multiplicative hashing). */
const SPREAD = 0x9e3779b1;

/**
 * What a row knows of a state: latest start by event time and by append time, and which entry (of a first step) or node
 * it is. 32 bytes a cell, in blocks that are hash tables by number of the state.
 */
export class CellArena {
  readonly capacity: number;
  used = 0;
  /** Four a cell: the start by event time, by append time; the other two are seen through `numbers`. */
  readonly starts: Float64Array;
  /** Eight a cell: from the fifth on what holds by event time, by append time, number of the state plus one. */
  readonly numbers: Int32Array;

  constructor(capacity: number) {
    this.capacity = capacity;
    const buffer = new ArrayBuffer(capacity * 32);
    this.starts = new Float64Array(buffer);
    this.numbers = new Int32Array(buffer);
  }

  /** The cell of a state, NONE where there is none. */
  find(block: CellBlock, state: number): number {
    const mask = block.cellCount - 1;
    if (mask < 0) return NONE;
    const { numbers } = this;
    const { cellAt } = block;
    for (let slot = spread(state) & mask; ; slot = (slot + 1) & mask) {
      const held = numbers[(cellAt + slot) * 8 + 6] as number;
      if (held === state + 1) return cellAt + slot;
      if (held === 0) return NONE;
    }
  }

  /** The cell of a state, made where there is none. Room for a block of twice the size is the caller's to see to. */
  take(block: CellBlock, state: number): number {
    const known = this.find(block, state);
    if (known !== NONE) return known;
    if ((block.cellsUsed + 1) * 4 > block.cellCount * 3) this.grow(block);
    block.cellsUsed++;
    return this.put(block, state);
  }

  /** A block for so many cells. */
  open(block: CellBlock, cells: number): void {
    let count = MIN_BLOCK;
    while (cells * 4 > count * 3) count *= 2;
    block.cellAt = this.used;
    block.cellCount = count;
    block.cellsUsed = cells;
    this.used += count;
    this.empty(block);
  }

  /** Space is used again and again: what stood here before is of no one. */
  private empty({ cellAt, cellCount }: CellBlock): void {
    for (let cell = cellAt; cell < cellAt + cellCount; cell++) this.numbers[cell * 8 + 6] = 0;
  }

  private put(block: CellBlock, state: number): number {
    const { numbers, starts } = this;
    const mask = block.cellCount - 1;
    let slot = spread(state) & mask;
    while (numbers[(block.cellAt + slot) * 8 + 6] !== 0) slot = (slot + 1) & mask;
    const cell = block.cellAt + slot;
    starts[cell * 4] = Number.NEGATIVE_INFINITY;
    starts[cell * 4 + 1] = Number.NEGATIVE_INFINITY;
    numbers[cell * 8 + 4] = NONE;
    numbers[cell * 8 + 5] = NONE;
    numbers[cell * 8 + 6] = state + 1;
    return cell;
  }

  private grow(block: CellBlock): void {
    const { cellAt, cellCount } = block;
    block.cellCount = Math.max(MIN_BLOCK, cellCount * 2);
    block.cellAt = this.used;
    this.used += block.cellCount;
    this.empty(block);
    for (let cell = cellAt; cell < cellAt + cellCount; cell++) this.copy(this, cell, block);
  }

  resized(capacity: number): CellArena {
    const copy = new CellArena(capacity);
    copy.used = this.used;
    copy.numbers.set(this.numbers.subarray(0, this.used * 8));
    return copy;
  }

  /** Puts a cell of an arena into a block of this one; nothing where it is empty. */
  copy(from: CellArena, cell: number, block: CellBlock): number {
    const state = (from.numbers[cell * 8 + 6] as number) - 1;
    if (state < 0) return NONE;
    const own = this.put(block, state);
    this.starts[own * 4] = from.starts[cell * 4] as number;
    this.starts[own * 4 + 1] = from.starts[cell * 4 + 1] as number;
    this.numbers[own * 8 + 4] = from.numbers[cell * 8 + 4] as number;
    this.numbers[own * 8 + 5] = from.numbers[cell * 8 + 5] as number;
    return own;
  }
}

const spread = (state: number): number => Math.imul(state, SPREAD) >>> 16;

/** What an entry overwrote by event time, in the order of writing: state and what held it, and since when. */
export class UndoArena {
  readonly capacity: number;
  used = 0;
  readonly starts: Float64Array;
  /** Two a record: number of the state, entry or node. */
  readonly columns: Int32Array;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.starts = new Float64Array(capacity);
    this.columns = new Int32Array(capacity * 2);
  }

  add(state: number, startMs: number, held: number): void {
    const at = this.used++;
    this.starts[at] = startMs;
    this.columns[at * 2] = state;
    this.columns[at * 2 + 1] = held;
  }

  resized(capacity: number): UndoArena {
    const copy = new UndoArena(capacity);
    copy.used = this.used;
    copy.starts.set(this.starts.subarray(0, this.used));
    copy.columns.set(this.columns.subarray(0, this.used * 2));
    return copy;
  }
}

/** Room in each arena. */
export interface Room {
  readonly entries: number;
  readonly nodes: number;
  readonly cells: number;
  readonly undos: number;
}

export interface Arenas {
  readonly entries: EntryArena;
  readonly nodes: NodeArena;
  readonly cells: CellArena;
  readonly undos: UndoArena;
}

const SMALLEST: Room = { entries: 64, nodes: 64, cells: 256, undos: 128 };
/** New entries for each that is kept between two collections: what these cost is shared by so many. */
const NEW_PER_KEPT = 3;

export class SimpleMemory {
  arenas: Arenas = newArenas(SMALLEST);
  /** By entry the rules that it completed an alert of: the rule's number twice, plus one where by append time only. */
  told = new Map<number, number[]>();
  /** Empty, to be copied into. */
  private spare: Arenas | undefined;
  /** In use after the last collection. */
  private kept: Room = { entries: 0, nodes: 0, cells: 0, undos: 0 };

  has({ entries, nodes, cells, undos }: Room): boolean {
    const { arenas } = this;
    return (
      arenas.entries.used + entries <= arenas.entries.capacity &&
      arenas.nodes.used + nodes <= arenas.nodes.capacity &&
      arenas.cells.used + cells <= arenas.cells.capacity &&
      arenas.undos.used + undos <= arenas.undos.capacity
    );
  }

  /** Empty arenas into which all that is in use fits. */
  twin(): Arenas {
    const { spare } = this;
    this.spare = undefined;
    return spare ?? newArenas(capacityOf(this.arenas));
  }

  /** Goes on with what was copied; `asked` is to have room. */
  replace(copied: Arenas, told: Map<number, number[]>, asked: Room): void {
    const { arenas: old } = this;
    const room = this.roomAfter(copied, asked);
    this.kept = usedOf(copied);
    this.told = told;
    this.arenas = fit(copied, room);
    if (this.arenas !== copied) return;
    old.entries.clear();
    for (const arena of [old.nodes, old.cells, old.undos]) arena.used = 0;
    this.spare = old;
  }

  /** Capacities with which all arenas are full at about the same time, going by what was used since the last collection. */
  private roomAfter(copied: Arenas, asked: Room): Room {
    const [before, now] = [usedOf(this.arenas), usedOf(copied)];
    const added = Math.max(1, before.entries - this.kept.entries);
    const entriesToCome = Math.max(SMALLEST.entries, NEW_PER_KEPT * now.entries);
    const size = (name: keyof Room): number => {
      const each = Math.max(0, before[name] - this.kept[name]) / added;
      const toCome = Math.ceil(each * entriesToCome * 1.25);
      return now[name] + asked[name] + Math.max(SMALLEST[name], toCome);
    };
    return { entries: size('entries'), nodes: size('nodes'), cells: size('cells'), undos: size('undos') };
  }
}

function newArenas({ entries, nodes, cells, undos }: Room): Arenas {
  return {
    entries: new EntryArena(entries),
    nodes: new NodeArena(nodes),
    cells: new CellArena(cells),
    undos: new UndoArena(undos),
  };
}

function usedOf({ entries, nodes, cells, undos }: Arenas): Room {
  return { entries: entries.used, nodes: nodes.used, cells: cells.used, undos: undos.used };
}

function capacityOf({ entries, nodes, cells, undos }: Arenas): Room {
  return {
    entries: entries.capacity,
    nodes: nodes.capacity,
    cells: cells.capacity,
    undos: undos.capacity,
  };
}

/** Arenas of at least this room; the same ones where none is too small and none is four times too large. */
function fit(arenas: Arenas, room: Room): Arenas {
  const capacity = capacityOf(arenas);
  const names = Object.keys(room) as (keyof Room)[];
  if (names.every((name) => capacity[name] >= room[name] && capacity[name] <= 4 * room[name])) return arenas;
  const size = (name: keyof Room): number =>
    capacity[name] >= room[name] && capacity[name] <= 4 * room[name]
      ? capacity[name]
      : Math.ceil(room[name] * 1.25);
  return {
    entries: arenas.entries.resized(size('entries')),
    nodes: arenas.nodes.resized(size('nodes')),
    cells: arenas.cells.resized(size('cells')),
    undos: arenas.undos.resized(size('undos')),
  };
}
