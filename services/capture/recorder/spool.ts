/**
 * The spool of one stream on disk: append-only segment files that are the queue to the service. A segment starts with
 * one JSON line that says where it stands (stream, first sequence, event hash before it), so that whoever finds it after
 * a crash can send it. Directory name = `<stream>@<owner>`; ownership moves by an atomic rename.
 */
import { closeSync, fsyncSync, ftruncateSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { makeDirectory } from '../../platform/directory.ts';
import { SEALED_FILE, sealedText, type SealedBatch } from './sealed.ts';

export interface SegmentHeader {
  readonly format: 'tripline-spool/1';
  readonly stream: string;
  readonly firstSeq: number;
  /** Event hash before the first line, 64 lower-case hex digits. */
  readonly prev: string;
}

export interface SpoolOptions {
  /** `<data dir>/spool`. */
  readonly directory: string;
  readonly stream: string;
  readonly owner: string;
  /** fsync after each append: survives a crash of the machine, not only of the process. */
  readonly fsync: boolean;
  /** Bytes on disk that are not taken by the service yet; more is refused. */
  readonly maxBytes: number;
  readonly segmentBytes: number;
}

interface Segment {
  readonly file: string;
  readonly fd: number;
  readonly headerBytes: number;
  /** Bytes written, header included. */
  size: number;
  /** Next byte to send. */
  sentTo: number;
}

/** Lines that were read to be sent; `bytes` is NDJSON with a newline after each. */
export interface SpoolBatch {
  readonly bytes: Uint8Array;
  readonly lines: readonly Uint8Array[];
}

export type AppendOutcome = 'stored' | 'full' | 'failed';

const NEWLINE = 0x0a;

export class Spool {
  readonly #options: SpoolOptions;
  readonly #path: string;
  readonly #segments: Segment[] = [];
  #unsentBytes = 0;
  #signatures: { readonly fd: number; size: number } | undefined;

  /** Creates the stream's directory; throws where that cannot be done. */
  constructor(options: SpoolOptions) {
    this.#options = options;
    this.#path = path.join(options.directory, `${options.stream}@${options.owner}`);
    makeDirectory(this.#path);
  }

  /** Of this stream. */
  get directory(): string {
    return this.#path;
  }

  /** Bytes that the service has not taken. */
  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  /** True when another `bytes` bytes are allowed. */
  hasRoom(bytes: number): boolean {
    return this.#unsentBytes + bytes <= this.#options.maxBytes;
  }

  /**
   * Appends whole lines (each with its newline). `stored`: in the file (with fsync: on the disk). `full`: over
   * maxBytes, nothing written. `failed`: the disk refused; what was written of it is cut off by the next reader.
   */
  append(lines: Uint8Array, place: { readonly firstSeq: number; readonly prev: string }): AppendOutcome {
    if (!this.hasRoom(lines.length)) return 'full';
    let segment: Segment | undefined;
    try {
      segment = this.#writable(place);
      writeAll(segment.fd, lines, segment.size);
      if (this.#options.fsync) fsyncSync(segment.fd);
      segment.size += lines.length;
      this.#unsentBytes += lines.length;
      return 'stored';
    } catch {
      if (segment !== undefined) cutTo(segment.fd, segment.size);
      return 'failed';
    }
  }

  /** True when the next append begins a new segment. */
  startsSegment(): boolean {
    const last = this.#segments.at(-1);
    return last === undefined || last.size >= this.#options.segmentBytes;
  }

  /**
   * Keeps a signature until the lines under it are sent. A disk that refuses costs the signature alone, and only after
   * a crash: the process itself has it.
   */
  keepSignature(batch: SealedBatch): void {
    try {
      const kept = (this.#signatures ??= {
        fd: openSync(path.join(this.#path, SEALED_FILE), 'w+', 0o600),
        size: 0,
      });
      const bytes = Buffer.from(`${sealedText(batch)}\n`);
      writeAll(kept.fd, bytes, kept.size);
      kept.size += bytes.length;
      if (this.#options.fsync) fsyncSync(kept.fd);
    } catch {
      // The next one is written over what there is of it.
    }
  }

  /** Everything that a kept signature is for is sent. */
  dropSignatures(): void {
    const kept = this.#signatures;
    if (kept === undefined || kept.size === 0) return;
    cutTo(kept.fd, 0);
    kept.size = 0;
  }

  #writable(place: { readonly firstSeq: number; readonly prev: string }): Segment {
    const last = this.#segments.at(-1);
    if (last !== undefined && last.size < this.#options.segmentBytes) return last;
    const header: SegmentHeader = { format: 'tripline-spool/1', stream: this.#options.stream, ...place };
    const bytes = Buffer.from(`${JSON.stringify(header)}\n`);
    const file = path.join(this.#path, `${String(place.firstSeq).padStart(16, '0')}.ndjson`);
    const fd = openSync(file, 'w+', 0o600);
    writeAll(fd, bytes, 0);
    const segment = { file, fd, headerBytes: bytes.length, size: bytes.length, sentTo: bytes.length };
    this.#segments.push(segment);
    if (last !== undefined && last.sentTo >= last.size) this.#drop(last);
    return segment;
  }

  /** The oldest unsent lines, at most `maxBytes` but at least one; undefined when all is sent. */
  read(maxBytes: number, maxLines: number): SpoolBatch | undefined {
    const segment = this.#segments.find((candidate) => candidate.sentTo < candidate.size);
    if (segment === undefined) return undefined;
    let wanted = Math.min(segment.size - segment.sentTo, maxBytes);
    for (;;) {
      const bytes = readAt(segment.fd, segment.sentTo, wanted);
      const batch = cutLines(bytes, maxLines);
      if (batch.lines.length > 0) return batch;
      if (wanted >= segment.size - segment.sentTo) return undefined;
      wanted = Math.min(segment.size - segment.sentTo, wanted * 2);
    }
  }

  /**
   * The service has `bytes` bytes more; segments that are sent are deleted, but for the newest: it says where the stream
   * stands.
   */
  advance(bytes: number): void {
    const segment = this.#segments.find((candidate) => candidate.sentTo < candidate.size);
    if (segment === undefined) return;
    segment.sentTo += bytes;
    this.#unsentBytes -= bytes;
    if (segment.sentTo >= segment.size && segment !== this.#segments.at(-1)) this.#drop(segment);
  }

  #drop(segment: Segment): void {
    closeSync(segment.fd);
    rmSync(segment.file, { force: true });
    this.#segments.splice(this.#segments.indexOf(segment), 1);
  }

  /** Ends the spool. What is not sent stays on disk for the next process that drains. */
  close(): void {
    if (this.#signatures !== undefined) closeSync(this.#signatures.fd);
    this.#signatures = undefined;
    if (this.#unsentBytes === 0) {
      while (this.#segments[0] !== undefined) this.#drop(this.#segments[0]);
      rmSync(this.#path, { recursive: true, force: true });
      return;
    }
    for (const segment of this.#segments) closeSync(segment.fd);
    this.#segments.length = 0;
  }
}

/** The first `count` lines of a batch. */
export function firstLines(batch: SpoolBatch, count: number): SpoolBatch {
  if (count >= batch.lines.length) return batch;
  const lines = batch.lines.slice(0, count);
  const length = lines.reduce((sum, line) => sum + line.length + 1, 0);
  return { bytes: batch.bytes.subarray(0, length), lines };
}

/** Takes back a torn append; where that fails too, the next append stands at the same place. */
function cutTo(fd: number, size: number): void {
  try {
    ftruncateSync(fd, size);
  } catch {
    // The disk refuses everything; readers cut at the last newline.
  }
}

function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  let written = 0;
  while (written < bytes.length) {
    written += writeSync(fd, bytes, written, bytes.length - written, position + written);
  }
}

function readAt(fd: number, position: number, length: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(length);
  let read = 0;
  while (read < length) {
    const count = readSync(fd, bytes, read, length - read, position + read);
    if (count === 0) break;
    read += count;
  }
  return bytes.subarray(0, read);
}

/** Whole lines at the start of `bytes`, at most `maxLines`; a torn last line is left out. */
export function cutLines(bytes: Uint8Array, maxLines: number): SpoolBatch {
  const lines: Uint8Array[] = [];
  let at = 0;
  while (lines.length < maxLines) {
    const end = bytes.indexOf(NEWLINE, at);
    if (end === -1) break;
    lines.push(bytes.subarray(at, end));
    at = end + 1;
  }
  return { bytes: bytes.subarray(0, at), lines };
}
