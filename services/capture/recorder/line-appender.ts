/**
 * The thread that stands in the way of calls: a line is kept in the journal and in the memory of the thread that puts it
 * on record (line-follower.ts), and may go on. Nothing here waits for the other thread.
 */
import { closeSync, openSync } from 'node:fs';
import { signsOf } from '../line-signs.ts';
import type { Direction } from '../message.ts';
import {
  encodePart,
  LINE_HEAD_BYTES,
  MAX_JOURNALLED_BYTES,
  partMemoryIn,
  removeJournal,
  writeWhole,
  type BegunJournal,
  type Part,
  type PartMemory,
} from './line-parts.ts';
import { CELL, MAX_PARTS, MAY_GO, type SharedLines } from './shared-lines.ts';

export interface LineAppenderOptions {
  readonly shared: SharedLines;
  /** Unix ms, and the process' monotonic ms. */
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
  /** Called when the other thread sleeps and there is a line for it. */
  readonly wake: () => void;
}

/** Where the other thread has begun the file. */
export type JournalPlace = Omit<BegunJournal, 'fd'>;

export class LineAppender {
  readonly #options: LineAppenderOptions;
  readonly #memory: PartMemory;
  #place: JournalPlace | undefined;
  #fd: number | undefined;
  #batch = 0;
  /** Bytes and parts of the batch. */
  #size = 0;
  #parts = 0;
  #added = 0;
  #mustBegin = false;

  constructor(options: LineAppenderOptions) {
    this.#options = options;
    this.#memory = partMemoryIn(options.shared.batch);
  }

  /** Lines may be kept from now on. */
  open(place: JournalPlace): void {
    if (this.#place !== undefined) return;
    this.#place = place;
    try {
      this.#fd = openSync(place.file, 'r+');
    } catch {
      // Then each line is on record before it goes on.
    }
  }

  /** True when the line is kept and may go on now; else the other thread is to be asked what becomes of it. */
  keeps(direction: Direction, line: Uint8Array): boolean {
    if (this.#fd === undefined || line.length > MAX_JOURNALLED_BYTES) return false;
    const { cells } = this.#options.shared;
    // Told before the leave is looked at: who takes it back waits until this is over.
    Atomics.store(cells, CELL.appending, 1);
    const isKept = this.#mayGo(direction, line) && this.#append(this.#fd, direction, line);
    Atomics.store(cells, CELL.appending, 0);
    if (isKept && Atomics.exchange(cells, CELL.asleep, 0) === 1) this.#options.wake();
    return isKept;
  }

  #mayGo(direction: Direction, line: Uint8Array): boolean {
    const isAnswer = direction === 'to_client';
    const bit = isAnswer ? MAY_GO.answers : MAY_GO.requests;
    if ((Atomics.load(this.#options.shared.cells, CELL.mayGo) & bit) === 0) return false;
    const signs = signsOf(direction, line);
    return !signs.mayHoldInput && (!isAnswer || signs.isOnlyAnswers);
  }

  #append(fd: number, direction: Direction, line: Uint8Array): boolean {
    const { cells } = this.#options.shared;
    const timeMs = this.#options.nowMs();
    try {
      const isAllLooked = Atomics.load(cells, CELL.looked) === this.#added;
      if (isAllLooked ? !this.#begin(fd, timeMs) : this.#mustBegin || !this.#hasRoom(line.length))
        return false;
      this.#write(fd, { kind: direction, content: line, scope: '', timeMs });
    } catch {
      this.#giveUp();
      return false;
    }
    this.#added = (this.#added + 1) | 0;
    Atomics.store(cells, CELL.added, this.#added);
    return true;
  }

  #hasRoom(bytes: number): boolean {
    return (
      this.#parts < MAX_PARTS && this.#size + LINE_HEAD_BYTES + bytes <= this.#options.shared.batch.length
    );
  }

  /** False while the open calls are being written: they belong to the batch. */
  #begin(fd: number, timeMs: number): boolean {
    const { cells, openCalls } = this.#options.shared;
    const version = Atomics.load(cells, CELL.openVersion);
    const content = Uint8Array.prototype.slice.call(openCalls, 0, Atomics.load(cells, CELL.openBytes));
    if (version % 2 !== 0 || Atomics.load(cells, CELL.openVersion) !== version) return false;
    this.#mustBegin = false;
    this.#batch = (this.#batch + 1) >>> 0;
    this.#size = 0;
    this.#parts = 0;
    Atomics.store(cells, CELL.batchStart, this.#added);
    if (content.length > 0) this.#write(fd, { kind: 'open_calls', content, scope: '', timeMs });
    return true;
  }

  #write(fd: number, part: Part): void {
    const bytes = encodePart(this.#memory, part, { batch: this.#batch, number: this.#parts, at: this.#size });
    writeWhole(fd, bytes, (this.#place?.firstAt ?? 0) + this.#size);
    this.#options.shared.arrivalsMs[this.#parts] = this.#options.monotonicMs();
    this.#size += bytes.length;
    this.#parts++;
  }

  /**
   * The other thread has put a line on record by itself, and may know of calls that the batch does not name: the next line
   * begins a batch.
   */
  beginAnew(): void {
    this.#mustBegin = true;
  }

  /** The line that the disk refused may be in the file all the same: whoever found it would put it on record twice. */
  #giveUp(): void {
    this.close();
    if (this.#place !== undefined) removeJournal(this.#place.file);
  }

  /** Nothing more is kept. */
  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
