/** Reads a journal of lines after its writer's death: which of them are not on record. Pure; nothing it reads is trusted. */
import { crc32 } from 'node:zlib';
import {
  CRC_BYTES,
  KINDS,
  LINE_HEAD_BYTES,
  MARK_BYTES,
  MAX_JOURNALLED_BYTES,
  NAMES_HEAD_BYTES,
  type JournalledLine,
  type JournalNames,
  type OpenCall,
} from './line-parts.ts';

export interface LeftLines {
  readonly names: JournalNames;
  /** When the batch began. */
  readonly openCalls: readonly OpenCall[];
  /** Lines of the batch that are on record already: they may have opened calls, or ended some. */
  readonly before: readonly JournalledLine[];
  /** In the order of the wire. */
  readonly lines: readonly JournalledLine[];
  /** The record of these lines was cut off: what the spool has from this sequence on is written again. */
  readonly fromSeq: number;
}

export interface ReadPart extends JournalledLine {
  readonly kind: (typeof KINDS)[number];
  readonly batch: number;
  readonly bytes: number;
}

/** `nextSeq`: the sequence after the last whole line of the spool. undefined where the file is no journal. */
export function readJournal(file: Uint8Array, nextSeq: number): LeftLines | undefined {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length);
  const named = readNames(bytes);
  if (named === undefined) return undefined;
  const parts = readBatch(bytes.subarray(MARK_BYTES + named.bytes));
  const { from, fromSeq } = firstLeft(bytes, parts[0]?.batch, nextSeq);
  const opening = parts.find(({ kind }) => kind === 'open_calls');
  return {
    names: named.names,
    openCalls: opening === undefined ? [] : openCallsOf(opening.line),
    before: parts.slice(0, from).filter(({ kind }) => kind !== 'open_calls'),
    lines: parts.slice(from).filter(({ kind }) => kind !== 'open_calls'),
    fromSeq,
  };
}

function isWhole(part: Buffer): boolean {
  return crc32(part.subarray(CRC_BYTES)) === part.readUInt32LE(0);
}

function readNames(bytes: Buffer): { readonly names: JournalNames; readonly bytes: number } | undefined {
  const head = bytes.subarray(MARK_BYTES);
  if (head.length < NAMES_HEAD_BYTES) return undefined;
  const length = head.readUInt32LE(CRC_BYTES);
  const text = head.subarray(NAMES_HEAD_BYTES, NAMES_HEAD_BYTES + length);
  if (text.length < length || crc32(text) !== head.readUInt32LE(0)) return undefined;
  const names = jsonOf(text) as Partial<JournalNames> | undefined;
  if (names?.format !== 'tripline-lines/1') return undefined;
  return { names: names as JournalNames, bytes: NAMES_HEAD_BYTES + length };
}

/** The parts of the batch that begins at the start, up to the first that is none or of another batch. */
function readBatch(bytes: Buffer): readonly ReadPart[] {
  const parts: ReadPart[] = [];
  let at = 0;
  for (;;) {
    const part = readPart(bytes.subarray(at), parts.length);
    if (part === undefined || (parts[0] !== undefined && part.batch !== parts[0].batch)) return parts;
    parts.push(part);
    at += part.bytes;
  }
}

/** The part at the beginning of `bytes`; undefined where there is no whole one of this number. */
export function readPart(bytes: Buffer, number: number): ReadPart | undefined {
  if (bytes.length < LINE_HEAD_BYTES || bytes.readUInt32LE(8) !== number) return undefined;
  const kind = KINDS[bytes.readUInt16LE(12)];
  const scopeEnd = LINE_HEAD_BYTES + bytes.readUInt16LE(14);
  const length = bytes.readUInt32LE(16);
  if (kind === undefined || length > MAX_JOURNALLED_BYTES || bytes.length < scopeEnd + length)
    return undefined;
  const whole = bytes.subarray(0, scopeEnd + length);
  if (!isWhole(whole)) return undefined;
  return {
    kind,
    direction: kind === 'to_client' ? 'to_client' : 'to_server',
    batch: whole.readUInt32LE(4),
    line: whole.subarray(scopeEnd),
    scope: whole.toString('utf8', LINE_HEAD_BYTES, scopeEnd),
    timeMs: whole.readDoubleLE(20),
    bytes: whole.length,
  };
}

/**
 * The first part that is not on record. The mark was written before the spool: where that has not come to the end of the
 * record, the lines of it are left. Without a mark of this batch all are.
 */
function firstLeft(
  bytes: Buffer,
  batch: number | undefined,
  nextSeq: number,
): { readonly from: number; readonly fromSeq: number } {
  const mark = bytes.subarray(0, MARK_BYTES);
  if (!isWhole(mark) || mark.readUInt32LE(4) !== batch) return { from: 0, fromSeq: nextSeq };
  const isOnRecord = nextSeq >= mark.readDoubleLE(24);
  if (isOnRecord) return { from: mark.readUInt32LE(12), fromSeq: nextSeq };
  return { from: mark.readUInt32LE(8), fromSeq: Math.min(mark.readDoubleLE(16), nextSeq) };
}

function openCallsOf(text: Uint8Array): readonly OpenCall[] {
  const value = jsonOf(text);
  if (!Array.isArray(value)) return [];
  return value.filter(
    (one: Partial<OpenCall> | null): one is OpenCall =>
      typeof one?.key === 'string' && typeof one.callId === 'string',
  );
}

function jsonOf(text: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(text).toString('utf8')) as unknown;
  } catch {
    return undefined;
  }
}
