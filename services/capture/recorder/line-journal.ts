/**
 * Lines that have gone on and are yet to be looked at, in the directory of their stream: a process that is killed in
 * between leaves them here, and whoever drains its spool puts them on record (left-lines.ts). One write for a line, one
 * more for each time that some are looked at, none when they are done with.
 *
 * The file (line-parts.ts): the mark, the names of the connection, and the lines of one batch: until all are looked at,
 * when the next batch is written over it.
 */
import { closeSync } from 'node:fs';
import path from 'node:path';
import {
  beginJournal,
  encodeMark,
  encodePart,
  JOURNAL_FILE,
  LINE_HEAD_BYTES,
  MAX_BATCH_BYTES,
  MAX_JOURNALLED_BYTES,
  partMemoryIn,
  removeJournal,
  writeWhole,
  type JournalledLine,
  type OpenCall,
  type Part,
  type StreamJournal,
} from './line-parts.ts';

export interface LineJournalOptions {
  /** Of the stream's spool. */
  readonly directory: string;
  readonly server: string;
  readonly transport: string;
}

/** Of all streams of the process: a part is written in the turn in which it is put together. */
const memory = partMemoryIn(new Uint8Array(LINE_HEAD_BYTES + MAX_JOURNALLED_BYTES));

export class LineJournal implements StreamJournal {
  readonly #options: LineJournalOptions;
  #fd: number | undefined;
  #batch = 0;
  #firstAt = 0;
  #nextAt = 0;
  /** Parts of the batch, and how many of them are looked at. */
  #parts = 0;
  #seen = 0;
  #isClosed = false;

  constructor(options: LineJournalOptions) {
    this.#options = options;
  }

  keep({ direction, line, scope, timeMs }: JournalledLine, openCalls: () => readonly OpenCall[]): boolean {
    if (line.length + scope.length > MAX_JOURNALLED_BYTES || this.#isClosed) return false;
    if (this.#parts > 0 && this.#nextAt - this.#firstAt > MAX_BATCH_BYTES) return false;
    try {
      const fd = (this.#fd ??= this.#open());
      if (this.#parts === 0) this.#begin(fd, openCalls(), timeMs);
      this.#write(fd, { kind: direction, content: line, scope, timeMs });
      return true;
    } catch {
      this.#giveUp();
      return false;
    }
  }

  #open(): number {
    const { fd, firstAt } = beginJournal(this.#options.directory, this.#options);
    this.#firstAt = firstAt;
    return fd;
  }

  #begin(fd: number, openCalls: readonly OpenCall[], timeMs: number): void {
    this.#batch = (this.#batch + 1) >>> 0;
    this.#nextAt = this.#firstAt;
    if (openCalls.length === 0) return;
    const content = Buffer.from(JSON.stringify(openCalls));
    if (content.length > MAX_JOURNALLED_BYTES) return;
    this.#write(fd, { kind: 'open_calls', content, scope: '', timeMs });
    this.#seen = 1;
  }

  #write(fd: number, part: Part): void {
    const bytes = encodePart(memory, part, { batch: this.#batch, number: this.#parts, at: 0 });
    writeWhole(fd, bytes, this.#nextAt);
    this.#nextAt += bytes.length;
    this.#parts++;
  }

  looksAt(lines: number, seq: number, nextSeq: number): void {
    if (lines === 0 || this.#fd === undefined) return;
    const from = this.#seen;
    this.#seen += lines;
    const mark = encodeMark(memory, { batch: this.#batch, from, to: this.#seen, seq, nextSeq });
    if (this.#seen === this.#parts) {
      this.#parts = 0;
      this.#seen = 0;
    }
    try {
      writeWhole(this.#fd, mark, 0);
    } catch {
      this.#giveUp();
    }
  }

  /** A mark that is missing would put lines on record twice after a crash: what is kept is given up, too. */
  #giveUp(): void {
    this.close();
    removeJournal(path.join(this.#options.directory, JOURNAL_FILE));
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#isClosed = true;
  }
}
