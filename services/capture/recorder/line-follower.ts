/**
 * The thread that puts on record the lines that another one has let go (line-appender.ts), in their order, and says which
 * may. It marks in their journal how far it is.
 */
import { closeSync } from 'node:fs';
import path from 'node:path';
import type { QueuedLine } from '../line-queue.ts';
import { readPart } from './journal-reader.ts';
import type { JournalPlace } from './line-appender.ts';
import {
  beginJournal,
  encodeMark,
  JOURNAL_FILE,
  LINE_HEAD_BYTES,
  MARK_BYTES,
  partMemoryIn,
  removeJournal,
  writeWhole,
  type OpenCall,
  type StreamJournal,
} from './line-parts.ts';
import { CELL, MAY_GO, processMs, type SharedLines } from './shared-lines.ts';

export interface LineFollowerOptions {
  readonly shared: SharedLines;
  readonly server: string;
  readonly transport: string;
  /** Called once the file is there. */
  readonly opened: (place: JournalPlace) => void;
}

export interface MayGo {
  readonly answers: boolean;
  readonly requests: boolean;
}

/** Between two looks at whether the other thread is done with its line, which takes it some µs. */
const APPENDING_POLL_MS = 1;

export class LineFollower implements StreamJournal {
  readonly #options: LineFollowerOptions;
  readonly #batchBytes: Buffer;
  readonly #mark = partMemoryIn(new Uint8Array(MARK_BYTES));
  /** performance.now() of this thread is that much more than the process' clock says. */
  readonly #aheadMs = performance.now() - processMs();
  #directory: string | undefined;
  #fd: number | undefined;
  #isClosed = false;
  #looked = 0;
  /** Of the batch: its number, the bytes and parts that were taken, and the parts that are marked. */
  #batch = 0;
  #at = 0;
  #parts = 0;
  #marked = 0;

  constructor(options: LineFollowerOptions) {
    this.#options = options;
    const { batch } = options.shared;
    this.#batchBytes = Buffer.from(batch.buffer, batch.byteOffset, batch.length);
  }

  /** Of the stream's spool. */
  set directory(directory: string) {
    this.#directory = directory;
  }

  /** The other thread keeps them. */
  keep(): boolean {
    return false;
  }

  /**
   * Says which lines may go on before they are on record. Once it returns no line goes on by a leave that has been taken
   * back: those that did are here to be taken.
   */
  allow({ answers, requests }: MayGo): void {
    const { cells } = this.#options.shared;
    const isOpen = (answers || requests) && this.#open();
    const bits = isOpen ? (answers ? MAY_GO.answers : 0) | (requests ? MAY_GO.requests : 0) : 0;
    const before = Atomics.exchange(cells, CELL.mayGo, bits);
    if ((before & ~bits) === 0) return;
    while (Atomics.load(cells, CELL.appending) === 1)
      Atomics.wait(cells, CELL.appending, 1, APPENDING_POLL_MS);
  }

  #open(): boolean {
    if (this.#fd !== undefined) return true;
    if (this.#isClosed || this.#directory === undefined) return false;
    try {
      const { fd, ...place } = beginJournal(this.#directory, this.#options);
      this.#fd = fd;
      this.#options.opened(place);
      return true;
    } catch {
      this.#giveUp();
      return false;
    }
  }

  /** The next lines that have gone on, at most so many; `looked` is to be called before the next ones are taken. */
  take(most: number): readonly QueuedLine[] {
    const { cells } = this.#options.shared;
    const waiting = Math.min(most, (Atomics.load(cells, CELL.added) - this.#looked) | 0);
    if (waiting > 0 && Atomics.load(cells, CELL.batchStart) === this.#looked) this.#beginBatch();
    const lines: QueuedLine[] = [];
    while (lines.length < waiting) lines.push(this.#next());
    return lines;
  }

  #beginBatch(): void {
    this.#at = 0;
    this.#parts = 0;
    this.#marked = 0;
  }

  #next(): QueuedLine {
    const number = this.#parts;
    const bytes = this.#batchBytes.readUInt32LE(this.#at + 16) + LINE_HEAD_BYTES;
    // A copy: the next batch is written over it, and events may keep parts of a line.
    const part = readPart(Buffer.from(this.#batchBytes.subarray(this.#at, this.#at + bytes)), number);
    if (part === undefined) throw new Error('the memory of lines that have gone on is not as it was written');
    this.#at += bytes;
    this.#parts++;
    this.#batch = part.batch;
    if (part.kind === 'open_calls') {
      this.#marked = this.#parts;
      return this.#next();
    }
    return {
      direction: part.direction,
      line: part.line,
      scope: part.scope,
      isJournalled: true,
      timeMs: part.timeMs,
      monotonicMs: (this.#options.shared.arrivalsMs[number] ?? 0) + this.#aheadMs,
    };
  }

  looksAt(lines: number, seq: number, nextSeq: number): void {
    if (lines === 0 || this.#fd === undefined) return;
    const from = this.#marked;
    this.#marked += lines;
    const mark = { batch: this.#batch, from, to: this.#marked, seq, nextSeq };
    try {
      writeWhole(this.#fd, encodeMark(this.#mark, mark), 0);
    } catch {
      this.#giveUp();
    }
  }

  /** The lines that were taken are on record. */
  looked(lines: number): void {
    this.#looked = (this.#looked + lines) | 0;
    Atomics.store(this.#options.shared.cells, CELL.looked, this.#looked);
  }

  /** The calls that wait for their answers now: the next batch begins with them. */
  waitFor(openCalls: readonly OpenCall[]): void {
    const { cells, openCalls: memory } = this.#options.shared;
    const text = Buffer.from(openCalls.length === 0 ? '' : JSON.stringify(openCalls));
    const content = text.length > memory.length ? Buffer.alloc(0) : text;
    Atomics.add(cells, CELL.openVersion, 1);
    memory.set(content);
    Atomics.store(cells, CELL.openBytes, content.length);
    Atomics.add(cells, CELL.openVersion, 1);
  }

  /** False when there are lines to be taken; else this thread is told of the next one. */
  sleep(): boolean {
    const { cells } = this.#options.shared;
    Atomics.store(cells, CELL.asleep, 1);
    if (Atomics.load(cells, CELL.added) === this.#looked) return true;
    Atomics.store(cells, CELL.asleep, 0);
    return false;
  }

  /** A mark that is missing would put lines on record twice after a crash: what is kept is given up, too. */
  #giveUp(): void {
    this.close();
    if (this.#directory !== undefined) removeJournal(path.join(this.#directory, JOURNAL_FILE));
  }

  close(): void {
    this.#isClosed = true;
    this.allow({ answers: false, requests: false });
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}
