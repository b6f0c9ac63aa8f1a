/**
 * The parts of a journal of lines, as bytes, little-endian: the mark (which lines of which batch were looked at last, and
 * the sequences of their record: the spool itself tells whether it came to that), the names of the connection, and the
 * lines of a batch. Every part begins with the CRC-32 of the rest of it: what a crash cut off, and what an older batch
 * left behind, is no line.
 */
import { openSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
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

/** Memory in which parts are put together. Its numbers are written by a DataView: this stands in the way of every line. */
export interface PartMemory {
  readonly bytes: Buffer;
  readonly view: DataView;
}

export function partMemoryIn(memory: Uint8Array): PartMemory {
  const { buffer, byteOffset, length } = memory;
  return { bytes: Buffer.from(buffer, byteOffset, length), view: new DataView(buffer, byteOffset, length) };
}

/** Where a part stands: its batch, its number there, and its first byte in the memory. */
export interface PartPlace {
  readonly batch: number;
  readonly number: number;
  readonly at: number;
}

/** The part as it now stands in the memory. */
export function encodePart(
  { bytes, view }: PartMemory,
  part: Part,
  { batch, number, at }: PartPlace,
): Buffer {
  const { kind, content, scope, timeMs } = part;
  const scopeBytes = scope === '' ? 0 : bytes.write(scope, at + LINE_HEAD_BYTES);
  const contentAt = at + LINE_HEAD_BYTES + scopeBytes;
  view.setUint32(at + 4, batch, true);
  view.setUint32(at + 8, number, true);
  view.setUint16(at + 12, KINDS.indexOf(kind), true);
  view.setUint16(at + 14, scopeBytes, true);
  view.setUint32(at + 16, content.length, true);
  view.setFloat64(at + 20, timeMs, true);
  bytes.set(content, contentAt);
  const end = contentAt + content.length;
  view.setUint32(at, crc32(bytes.subarray(at + CRC_BYTES, end)), true);
  return bytes.subarray(at, end);
}

export interface Mark {
  readonly batch: number;
  /** Parts of the batch: the first, and the one after the last. */
  readonly from: number;
  readonly to: number;
  readonly seq: number;
  readonly nextSeq: number;
}

/** The mark at the beginning of the memory. */
export function encodeMark({ bytes, view }: PartMemory, { batch, from, to, seq, nextSeq }: Mark): Buffer {
  view.setUint32(4, batch, true);
  view.setUint32(8, from, true);
  view.setUint32(12, to, true);
  view.setFloat64(16, seq, true);
  view.setFloat64(24, nextSeq, true);
  view.setUint32(0, crc32(bytes.subarray(CRC_BYTES, MARK_BYTES)), true);
  return bytes.subarray(0, MARK_BYTES);
}

/** What stands before the first batch: no mark yet, and the names. */
function encodeNames(names: Omit<JournalNames, 'format'>): Buffer {
  const { server, transport } = names;
  const text = Buffer.from(
    JSON.stringify({ format: 'tripline-lines/1', server, transport } satisfies JournalNames),
  );
  const head = Buffer.alloc(NAMES_HEAD_BYTES);
  head.writeUInt32LE(crc32(text), 0);
  head.writeUInt32LE(text.length, CRC_BYTES);
  return Buffer.concat([Buffer.alloc(MARK_BYTES), head, text]);
}

export interface BegunJournal {
  readonly file: string;
  readonly fd: number;
  /** Where batches begin. */
  readonly firstAt: number;
}

/** Begins the file in the directory of a spool. Throws what the disk says. */
export function beginJournal(directory: string, names: Omit<JournalNames, 'format'>): BegunJournal {
  const bytes = encodeNames(names);
  const file = path.join(directory, JOURNAL_FILE);
  const fd = openSync(file, 'w', 0o600);
  writeWhole(fd, bytes, 0);
  return { file, fd, firstAt: bytes.length };
}

/** So that nobody puts on record twice what stands in it. */
export function removeJournal(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // The disk refuses everything.
  }
}

/** Writes all of it, or throws. */
export function writeWhole(fd: number, bytes: Uint8Array, position: number): void {
  let written = 0;
  while (written < bytes.length)
    written += writeSync(fd, bytes, written, bytes.length - written, position + written);
}
