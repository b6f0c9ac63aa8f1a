/**
 * The parts of a journal of lines, as bytes, little-endian: the mark (which lines of which batch were looked at last, and
 * the sequences of their record: the spool itself tells whether it came to that), the names of the connection, and the
 * lines of a batch. Every part begins with the CRC-32 of the rest of it: what a crash cut off, and what an older batch
 * left behind, is no line.
 */
import { writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import type { Direction } from '../message.ts';

export const JOURNAL_FILE = 'lines.journal';
/** Longer ones are put on record before they go on. */
export const MAX_JOURNALLED_BYTES = 64 * 1024;
/** A batch that is longer is looked at before it goes on. */
export const MAX_BATCH_BYTES = 1024 * 1024;

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

export interface Part extends Omit<JournalledLine, 'direction' | 'line'> {
  readonly kind: (typeof KINDS)[number];
  readonly content: Uint8Array;
}

/** What keeps the lines of one stream. */
export interface StreamJournal {
  /**
   * True when the line is in the file and may go on. False for one that is too long or finds no room in its batch, and
   * once the disk has refused one: then it is to be put on record first. `openCalls`: asked where a batch begins.
   */
  keep(line: JournalledLine, openCalls: () => readonly OpenCall[]): boolean;
  /** The next `lines` of those that are kept are looked at, and put on record now: from `seq` on, before `nextSeq`. */
  looksAt(lines: number, seq: number, nextSeq: number): void;
  /** Nothing more is kept. */
  close(): void;
}

/** The part at the beginning of `into`, as number `number` of its batch. */
export function encodePart(
  into: Buffer,
  part: Part,
  place: { readonly batch: number; readonly number: number },
): Buffer {
  const { kind, content, scope, timeMs } = part;
  const scopeBytes = scope === '' ? 0 : into.write(scope, LINE_HEAD_BYTES);
  const bytes = into.subarray(0, LINE_HEAD_BYTES + scopeBytes + content.length);
  bytes.writeUInt32LE(place.batch, 4);
  bytes.writeUInt32LE(place.number, 8);
  bytes.writeUInt16LE(KINDS.indexOf(kind), 12);
  bytes.writeUInt16LE(scopeBytes, 14);
  bytes.writeUInt32LE(content.length, 16);
  bytes.writeDoubleLE(timeMs, 20);
  bytes.set(content, LINE_HEAD_BYTES + scopeBytes);
  bytes.writeUInt32LE(crc32(bytes.subarray(CRC_BYTES)), 0);
  return bytes;
}

export interface Mark {
  readonly batch: number;
  /** Parts of the batch: the first, and the one after the last. */
  readonly from: number;
  readonly to: number;
  readonly seq: number;
  readonly nextSeq: number;
}

export function encodeMark(into: Buffer, { batch, from, to, seq, nextSeq }: Mark): Buffer {
  const mark = into.subarray(0, MARK_BYTES);
  mark.writeUInt32LE(batch, 4);
  mark.writeUInt32LE(from, 8);
  mark.writeUInt32LE(to, 12);
  mark.writeDoubleLE(seq, 16);
  mark.writeDoubleLE(nextSeq, 24);
  mark.writeUInt32LE(crc32(mark.subarray(CRC_BYTES)), 0);
  return mark;
}

/** What stands before the first batch: no mark yet, and the names. */
export function encodeNames(names: Omit<JournalNames, 'format'>): Buffer {
  const { server, transport } = names;
  const text = Buffer.from(
    JSON.stringify({ format: 'tripline-lines/1', server, transport } satisfies JournalNames),
  );
  const head = Buffer.alloc(NAMES_HEAD_BYTES);
  head.writeUInt32LE(crc32(text), 0);
  head.writeUInt32LE(text.length, CRC_BYTES);
  return Buffer.concat([Buffer.alloc(MARK_BYTES), head, text]);
}

/** Writes all of it, or throws. */
export function writeWhole(fd: number, bytes: Uint8Array, position: number): void {
  let written = 0;
  while (written < bytes.length)
    written += writeSync(fd, bytes, written, bytes.length - written, position + written);
}
