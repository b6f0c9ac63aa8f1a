/**
 * Lines that have gone on and are yet to be looked at, in the directory of their stream: a process that is killed in
 * between leaves them here, and whoever drains its spool puts them on record (left-lines.ts). One write for a line, one
 * more for each time that some are looked at, none when they are done with.
 *
 * The file, little-endian. First the mark: which lines of which batch were looked at last, and the sequences of their
 * record: the spool itself tells whether it came to that. Then the names of the connection. Then the lines of
 * one batch: until all are looked at, when the next batch is written over it. Every part begins with the CRC-32 of the
 * rest of it: what a crash cut off, and what an older batch left behind, is no line.
 */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import type { Direction } from '../message.ts';

export const JOURNAL_FILE = 'lines.journal';
/** Longer ones are put on record before they go on. */
export const MAX_JOURNALLED_BYTES = 64 * 1024;
/** A batch that is longer is looked at before it goes on. */
const MAX_BATCH_BYTES = 1024 * 1024;

export const CRC_BYTES = 4;
/** CRC-32, batch, first line, line after the last, first sequence of their record, the one after it. */
export const MARK_BYTES = CRC_BYTES + 4 + 4 + 4 + 8 + 8;
/** CRC-32, bytes. */
export const NAMES_HEAD_BYTES = CRC_BYTES + 4;
/** CRC-32, batch, number in the batch, kind, bytes of scope, bytes of content, Unix ms. */
export const LINE_HEAD_BYTES = CRC_BYTES + 4 + 4 + 2 + 2 + 4 + 8;

/** What a part of a batch is. */
export const KINDS = ['to_server', 'to_client', 'open_calls'] as const satisfies readonly (
  Direction | 'open_calls'
)[];

/** The names that stand in the file. */
export interface JournalNames {
  readonly format: 'tripline-lines/1';
  readonly server: string;
  readonly transport: string;
}

/** A call that is on record and waits for its answer: the key that its answer is found by, and its id. */
export interface OpenCall {
  readonly key: string;
  readonly callId: string;
}

export interface JournalledLine {
  readonly direction: Direction;
  readonly line: Uint8Array;
  readonly scope: string;
  readonly timeMs: number;
}

export interface LineJournalOptions {
  /** Of the stream's spool. */
  readonly directory: string;
  readonly server: string;
  readonly transport: string;
}

type Part = Omit<JournalledLine, 'direction' | 'line'> & {
  readonly kind: (typeof KINDS)[number];
  readonly content: Uint8Array;
};

/** Of all streams of the process: a part is written in the turn in which it is put together. */
const buffer = Buffer.allocUnsafeSlow(LINE_HEAD_BYTES + MAX_JOURNALLED_BYTES);

export class LineJournal {
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

  /**
   * True when the line is in the file and may go on. False for one that is too long or finds no room in its batch, and
   * once the disk has refused one: then it is to be put on record first. `openCalls`: asked where a batch begins.
   */
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
    const { server, transport, directory } = this.#options;
    const names: JournalNames = { format: 'tripline-lines/1', server, transport };
    const text = Buffer.from(JSON.stringify(names));
    const head = Buffer.alloc(NAMES_HEAD_BYTES);
    head.writeUInt32LE(crc32(text), 0);
    head.writeUInt32LE(text.length, CRC_BYTES);
    const fd = openSync(path.join(directory, JOURNAL_FILE), 'w', 0o600);
    writeWhole(fd, Buffer.concat([Buffer.alloc(MARK_BYTES), head, text]), 0);
    this.#firstAt = MARK_BYTES + NAMES_HEAD_BYTES + text.length;
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

  #write(fd: number, { kind, content, scope, timeMs }: Part): void {
    const scopeBytes = scope === '' ? 0 : buffer.write(scope, LINE_HEAD_BYTES);
    const bytes = buffer.subarray(0, LINE_HEAD_BYTES + scopeBytes + content.length);
    bytes.writeUInt32LE(this.#batch, 4);
    bytes.writeUInt32LE(this.#parts, 8);
    bytes.writeUInt16LE(KINDS.indexOf(kind), 12);
    bytes.writeUInt16LE(scopeBytes, 14);
    bytes.writeUInt32LE(content.length, 16);
    bytes.writeDoubleLE(timeMs, 20);
    bytes.set(content, LINE_HEAD_BYTES + scopeBytes);
    bytes.writeUInt32LE(crc32(bytes.subarray(CRC_BYTES)), 0);
    writeWhole(fd, bytes, this.#nextAt);
    this.#nextAt += bytes.length;
    this.#parts++;
  }

  /** The next `lines` of those that are kept are looked at, and put on record now: from `seq` on, before `nextSeq`. */
  looksAt(lines: number, seq: number, nextSeq: number): void {
    if (lines === 0 || this.#fd === undefined) return;
    const mark = buffer.subarray(0, MARK_BYTES);
    mark.writeUInt32LE(this.#batch, 4);
    mark.writeUInt32LE(this.#seen, 8);
    this.#seen += lines;
    mark.writeUInt32LE(this.#seen, 12);
    mark.writeDoubleLE(seq, 16);
    mark.writeDoubleLE(nextSeq, 24);
    mark.writeUInt32LE(crc32(mark.subarray(CRC_BYTES)), 0);
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
    try {
      rmSync(path.join(this.#options.directory, JOURNAL_FILE), { force: true });
    } catch {
      // The disk refuses everything.
    }
  }

  /** Nothing more is kept. */
  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#isClosed = true;
  }
}

function writeWhole(fd: number, bytes: Uint8Array, position: number): void {
  let written = 0;
  while (written < bytes.length)
    written += writeSync(fd, bytes, written, bytes.length - written, position + written);
}
