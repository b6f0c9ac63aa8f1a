/**
 * State of all simple rules of one key. Two tracks, by event time and by append time, side by side in its cells; the
 * newest events in order of effective time, each with what it overwrote, so that a late one can be put in its place:
 * those after it are taken back and run again.
 */
import type { Held } from './budget.ts';
import type { SimpleGroup, Touch, Touches } from './simple-group.ts';
import type { CellBlock } from './simple-cells.ts';
import { asFirst, NONE, type SimpleMemory } from './simple-memory.ts';
import { LATE_SPAN_MS, REPAIR_RING, type TimeBasis } from './state.ts';

/**
 * Events that a row keeps for repair: those that are not older than a late event may be, MIN_RING at least however old
 * they are, MAX_RING at most however often the key calls.
 */
const MIN_RING = 4;
const MAX_RING = 2 * REPAIR_RING;

/** By rule what the after_match policy remembers of its firings. */
export type Fired = Map<string, number>;

export interface SimpleRow extends Held, CellBlock {
  readonly group: SimpleGroup;
  readonly tenant: string;
  readonly keyText: string;
  /** Its name among the rows of its tenant. */
  readonly name: string;
  /** Entries in order of effective time, first and last. */
  ringHead: number;
  ringTail: number;
  ringLength: number;
  /** The last entry that has left the ring; NONE while none has. */
  baseEnd: number;
  readonly fired: (Fired | undefined)[];
  usedMs: number;
  horizonMs: number;
  /** Holds, or held, a prefix of more than one step or remembers a firing. */
  begun: boolean;
  /** As the budget knows it. */
  advanced: boolean;
  /** Where the expiry wheel holds it. */
  expirySlot: number;
}

export function newRow(group: SimpleGroup, tenant: string, keyText: string, name: string): SimpleRow {
  return {
    group,
    tenant,
    keyText,
    name,
    cellAt: NONE,
    cellCount: 0,
    cellsUsed: 0,
    ringHead: NONE,
    ringTail: NONE,
    ringLength: 0,
    baseEnd: NONE,
    fired: [],
    usedMs: Number.NEGATIVE_INFINITY,
    horizonMs: 0,
    begun: false,
    advanced: false,
    expirySlot: 0,
    queue: null,
    older: null,
    newer: null,
  };
}

/** A whole assignment of a rule: its last entry, and the prefix before it as a node has it. */
export interface SimpleCompleted {
  readonly touch: Touch;
  readonly timeBasis: TimeBasis;
  readonly entry: number;
  readonly prev: number;
  readonly startMs: number;
}

export interface RowOutcome {
  readonly completed: readonly SimpleCompleted[];
  /** Its place is before events that have left the ring, so only append time has seen it. */
  readonly unrepaired: boolean;
}

/** Runs entries of one row against its cells. What is at hand stands in fields: an object a step would cost as much as it. */
export class RowRunner implements RowOutcome {
  private readonly memory: SimpleMemory;
  /** Of the last entry that was applied. */
  completed: SimpleCompleted[] = [];
  unrepaired = false;
  private entry = NONE;
  private timeMs = 0;
  private appendMs = 0;
  /** What the entry extends, by event time and by append time. */
  private startMs = 0;
  private startAppendMs = 0;
  private prev = NONE;
  private prevByAppend = NONE;

  constructor(memory: SimpleMemory) {
    this.memory = memory;
  }

  /** One event of the row, in the order of arrival. What it answers stands until the next. */
  apply(row: SimpleRow, entry: number): RowOutcome {
    const { entries } = this.memory;
    this.completed = NO_COMPLETED;
    let after = row.ringTail;
    while (after !== NONE && entries.compare(after, entry) > 0) after = entries.before(after);
    this.unrepaired = after === NONE && row.baseEnd !== NONE && entries.compare(row.baseEnd, entry) > 0;
    if (this.unrepaired) this.run(row, entry, APPEND);
    else if (after === row.ringTail) {
      link(row, this.memory, entry, after);
      this.run(row, entry, EVENT | APPEND);
      this.trim(row, entries.appendMs(entry));
    } else {
      this.repair(row, entry, after);
      this.run(row, entry, APPEND);
      this.trim(row, entries.appendMs(entry));
    }
    return this;
  }

  /** Runs what a snapshot holds again: nothing is told. */
  replay(row: SimpleRow, entry: number): void {
    link(row, this.memory, entry, row.ringTail);
    this.run(row, entry, EVENT | SILENT);
  }

  private repair(row: SimpleRow, entry: number, after: number): void {
    const { entries } = this.memory;
    for (let at = row.ringTail; at !== after; at = entries.before(at)) this.undo(row, at);
    link(row, this.memory, entry, after);
    for (let at = entry; at !== NONE; at = entries.after(at)) this.run(row, at, EVENT);
  }

  private undo(row: SimpleRow, entry: number): void {
    const { entries, undos, cells } = this.memory;
    const from = entries.undoAt(entry);
    for (let at = from + entries.overwrote(entry) - 1; at >= from; at--) {
      const cell = cells.take(row, undos.state(at));
      cells.starts[cell * 4] = undos.startMs(at);
      cells.numbers[cell * 8 + 4] = undos.held(at);
    }
    entries.setOverwrote(entry, 0);
  }

  /** Keeps the ring short. */
  private trim(row: SimpleRow, nowMs: number): void {
    const { entries } = this.memory;
    while (row.ringLength > MIN_RING) {
      const head = row.ringHead;
      const newestMs = Math.max(entries.timeMs(head), entries.appendMs(head));
      if (row.ringLength <= MAX_RING && newestMs >= nowMs - LATE_SPAN_MS) return;
      dropUndo(this.memory, head);
      row.baseEnd = head;
      row.ringHead = entries.after(head);
      row.ringLength--;
      entries.setBefore(row.ringHead, NONE);
    }
  }

  /** Lets an entry act on the tracks: its later steps first, then it is the newest of its first steps. */
  private run(row: SimpleRow, entry: number, tracks: number): void {
    const { entries, cells } = this.memory;
    const touches = entries.touches[entry] as Touches;
    this.entry = entry;
    this.timeMs = entries.timeMs(entry);
    this.appendMs = entries.appendMs(entry);
    for (const touch of touches.later) this.touch(row, touch, tracks);
    for (const first of touches.firsts) {
      const cell = cells.take(row, first);
      if ((tracks & EVENT) !== 0) this.keepByEvent(cell, first, this.timeMs, entry);
      if ((tracks & APPEND) !== 0) this.keepByAppend(cell, this.appendMs, entry);
    }
  }

  private touch(row: SimpleRow, touch: Touch, tracks: number): void {
    const alive = tracks & this.follow(row, touch);
    if (alive === 0) return;
    if (touch.to !== NONE) this.extend(row, touch, alive);
    else if ((tracks & SILENT) === 0) this.complete(touch, alive);
  }

  /** Takes up what the entry at hand extends; answers the tracks in which it is inside the window. */
  private follow(row: SimpleRow, { from, fromFirst, withinMs }: Touch): number {
    if (from === NONE) {
      this.startMs = this.timeMs;
      this.startAppendMs = this.appendMs;
      this.prev = NONE;
      this.prevByAppend = NONE;
      return EVENT | APPEND;
    }
    const { cells } = this.memory;
    const cell = cells.find(row, from);
    if (cell === NONE) return 0;
    this.startMs = cells.starts[cell * 4] as number;
    this.startAppendMs = cells.starts[cell * 4 + 1] as number;
    const held = cells.numbers[cell * 8 + 4] as number;
    const heldByAppend = cells.numbers[cell * 8 + 5] as number;
    this.prev = fromFirst ? asFirst(held) : held;
    this.prevByAppend = fromFirst ? asFirst(heldByAppend) : heldByAppend;
    const byEvent = this.startMs >= this.timeMs - withinMs ? EVENT : 0;
    return byEvent | (this.startAppendMs >= this.appendMs - withinMs ? APPEND : 0);
  }

  private extend(row: SimpleRow, { to, step }: Touch, alive: number): void {
    const { cells, nodes } = this.memory;
    const cell = cells.take(row, to);
    let node = NONE;
    if ((alive & EVENT) !== 0) {
      row.begun = true;
      if ((cells.starts[cell * 4] as number) <= this.startMs) {
        node = nodes.add(this.entry, this.prev, step);
        this.keepByEvent(cell, to, this.startMs, node);
      }
    }
    if ((alive & APPEND) === 0 || (cells.starts[cell * 4 + 1] as number) > this.startAppendMs) return;
    const same = node !== NONE && this.prev === this.prevByAppend;
    this.keepByAppend(cell, this.startAppendMs, same ? node : nodes.add(this.entry, this.prevByAppend, step));
  }

  /** Each alert once, but event time speaks again after append time. */
  private complete(touch: Touch, alive: number): void {
    const { entry } = this;
    if ((alive & EVENT) !== 0 && this.isNew(touch.rule * 2)) {
      this.found({ touch, timeBasis: 'event', entry, prev: this.prev, startMs: this.startMs });
    }
    if ((alive & APPEND) === 0 || !this.isNew(touch.rule * 2 + 1)) return;
    const { prevByAppend: prev, startAppendMs: startMs } = this;
    this.found({ touch, timeBasis: 'append', entry, prev, startMs });
  }

  /** Notes that the entry has completed an alert of a rule; false where it had. `code`: as in the memory's `told`. */
  private isNew(code: number): boolean {
    const { told } = this.memory;
    const codes = told.get(this.entry);
    if (codes === undefined) {
      told.set(this.entry, [code]);
      return true;
    }
    if (codes.includes(code) || codes.includes(code & ~1)) return false;
    codes.push(code);
    return true;
  }

  private found(completed: SimpleCompleted): void {
    if (this.completed === NO_COMPLETED) this.completed = [];
    this.completed.push(completed);
  }

  private keepByEvent(cell: number, state: number, startMs: number, held: number): void {
    const { cells, undos, entries } = this.memory;
    const { entry } = this;
    const overwrote = entries.overwrote(entry);
    const at = entries.undoAt(entry) + overwrote;
    undos.set(at, state, cells.starts[cell * 4] as number, cells.numbers[cell * 8 + 4] as number);
    entries.setOverwrote(entry, overwrote + 1);
    cells.starts[cell * 4] = startMs;
    cells.numbers[cell * 8 + 4] = held;
  }

  private keepByAppend(cell: number, startMs: number, held: number): void {
    const { cells } = this.memory;
    cells.starts[cell * 4 + 1] = startMs;
    cells.numbers[cell * 8 + 5] = held;
  }
}

const EVENT = 1;
const APPEND = 2;
const SILENT = 4;
const NO_COMPLETED: SimpleCompleted[] = [];

/** Puts an entry into the ring behind another, NONE for its head. */
function link(row: SimpleRow, { entries, undos }: SimpleMemory, entry: number, after: number): void {
  entries.setUndoAt(entry, undos.take(entries.writes(entry)));
  const next = after === NONE ? row.ringHead : entries.after(after);
  entries.setBefore(entry, after);
  entries.setAfter(entry, next);
  if (after === NONE) row.ringHead = entry;
  else entries.setAfter(after, entry);
  if (next === NONE) row.ringTail = entry;
  else entries.setBefore(next, entry);
  row.ringLength++;
}

/** The entry has left the ring: it will not be taken back any more. */
function dropUndo({ entries, undos }: SimpleMemory, entry: number): void {
  undos.give(entries.undoAt(entry), entries.writes(entry));
  entries.setUndoAt(entry, NONE);
  entries.setOverwrote(entry, 0);
}

/** Gives back what the row owns. */
export function releaseRow(row: SimpleRow, memory: SimpleMemory): void {
  const { entries, cells } = memory;
  for (let entry = row.ringHead; entry !== NONE; entry = entries.after(entry)) dropUndo(memory, entry);
  cells.release(row);
}
