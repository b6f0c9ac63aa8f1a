/**
 * The line that has gone on to the server and is yet to be looked at, in the directory of its stream: a process that is
 * killed in between leaves it here, and whoever drains its spool puts it on record (left-line.ts). One write for a line
 * and none when it is done with: it stands beside the sequence that the stream had then, so that the spool itself tells
 * whether it came to that.
 *
 * The file, little-endian: bytes and CRC-32 of the names of the connection, the names as JSON; CRC-32 of what follows,
 * sequence, Unix ms, bytes of the line, the line. What a crash cut off is no line, and has not gone on.
 */
import { closeSync, fsyncSync, openSync, writeSync } from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';

export const JOURNAL_FILE = 'line.journal';
/** Longer ones are put on record before they go on. */
export const MAX_JOURNALLED_BYTES = 64 * 1024;

const CRC_BYTES = 4;
/** CRC-32, sequence, Unix ms, bytes of the line. */
const HEAD_BYTES = CRC_BYTES + 8 + 8 + 4;

/** The names that stand in the file. */
export interface JournalNames {
  readonly format: 'tripline-line/1';
  readonly server: string;
  readonly transport: string;
}

export interface LineJournalOptions {
  /** Of the stream's spool. */
  readonly directory: string;
  readonly server: string;
  readonly transport: string;
  /** fsync after each line: survives a crash of the machine, not only of the process. */
  readonly fsync: boolean;
}

/** A line with its place in time and in its stream. */
export interface JournalledLine {
  readonly line: Uint8Array;
  /** The next sequence of the stream when the line went on. */
  readonly seq: number;
  readonly timeMs: number;
}

export class LineJournal {
  readonly #options: LineJournalOptions;
  readonly #buffer = Buffer.allocUnsafeSlow(HEAD_BYTES + MAX_JOURNALLED_BYTES);
  #fd: number | undefined;
  #lineAt = 0;
  #isClosed = false;

  constructor(options: LineJournalOptions) {
    this.#options = options;
  }

  /**
   * True when the line is in the file (with fsync: on the disk) in place of the one before it, and may go on. False for
   * one that is too long, and once the disk has refused one: then it is to be put on record first.
   */
  keep(kept: JournalledLine): boolean {
    if (kept.line.length > MAX_JOURNALLED_BYTES || this.#isClosed) return false;
    try {
      const fd = (this.#fd ??= this.#open());
      writeWhole(fd, this.#bytesOf(kept), this.#lineAt);
      if (this.#options.fsync) fsyncSync(fd);
      return true;
    } catch {
      this.close();
      return false;
    }
  }

  #open(): number {
    const { server, transport, directory } = this.#options;
    const names = namesBytes({ format: 'tripline-line/1', server, transport });
    const fd = openSync(path.join(directory, JOURNAL_FILE), 'w', 0o600);
    writeWhole(fd, names, 0);
    this.#lineAt = names.length;
    return fd;
  }

  #bytesOf({ line, seq, timeMs }: JournalledLine): Uint8Array {
    const bytes = this.#buffer.subarray(0, HEAD_BYTES + line.length);
    bytes.writeDoubleLE(seq, CRC_BYTES);
    bytes.writeDoubleLE(timeMs, CRC_BYTES + 8);
    bytes.writeUInt32LE(line.length, CRC_BYTES + 16);
    bytes.set(line, HEAD_BYTES);
    bytes.writeUInt32LE(crc32(bytes.subarray(CRC_BYTES)), 0);
    return bytes;
  }

  /** Nothing more is kept. */
  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#isClosed = true;
  }
}

function namesBytes(names: JournalNames): Uint8Array {
  const text = Buffer.from(JSON.stringify(names));
  const bytes = Buffer.alloc(2 * CRC_BYTES + text.length);
  bytes.writeUInt32LE(text.length, 0);
  bytes.writeUInt32LE(crc32(text), CRC_BYTES);
  bytes.set(text, 2 * CRC_BYTES);
  return bytes;
}

/** What such a file says; undefined where it holds no whole line. */
export function parseJournal(file: Uint8Array): { names: JournalNames; kept: JournalledLine } | undefined {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length);
  const namesAt = 2 * CRC_BYTES;
  if (bytes.length < namesAt) return undefined;
  const lineAt = namesAt + bytes.readUInt32LE(0);
  if (bytes.length < lineAt + HEAD_BYTES) return undefined;
  const text = bytes.subarray(namesAt, lineAt);
  const head = bytes.subarray(lineAt);
  const end = HEAD_BYTES + head.readUInt32LE(CRC_BYTES + 16);
  if (head.length < end) return undefined;
  if (crc32(text) !== bytes.readUInt32LE(CRC_BYTES)) return undefined;
  if (crc32(head.subarray(CRC_BYTES, end)) !== head.readUInt32LE(0)) return undefined;
  const names = JSON.parse(text.toString('utf8')) as JournalNames;
  const [seq, timeMs] = [head.readDoubleLE(CRC_BYTES), head.readDoubleLE(CRC_BYTES + 8)];
  return { names, kept: { line: head.subarray(HEAD_BYTES, end), seq, timeMs } };
}

function writeWhole(fd: number, bytes: Uint8Array, position: number): void {
  let written = 0;
  while (written < bytes.length)
    written += writeSync(fd, bytes, written, bytes.length - written, position + written);
}
