/**
 * A block: messages of one partition with following offsets that were appended by one transaction, as one value in lmdb.
 * One value for many records, since a put costs more than the copy of its bytes. Compacted topics use blocks of one.
 *
 * Layout, big-endian: u8 version 1 · f64 append time (Unix ms) · u32 count · count × message.
 * Message: u8 flags (1 key, 2 value) · u32 bytes of the rest · [u32 length, key] · [u32 length, value] · u16 count ·
 * count × (u16 length, name, u32 length, value), UTF-8.
 */
import { TriplineError } from '../../../../schemas/errors.ts';
import type { BusMessage, BusRecord, TopicPartition } from '../port.ts';

const VERSION = 1;
const HEAD_BYTES = 13;
const HAS_KEY = 1;
const HAS_VALUE = 2;

export function encodeBlock(appendMs: number, messages: readonly BusMessage[]): Buffer {
  const bodies = messages.map(bodyBytes);
  let size = HEAD_BYTES;
  for (const bytes of bodies) size += 5 + bytes;
  const block = Buffer.allocUnsafe(size);
  block.writeUInt8(VERSION, 0);
  block.writeDoubleBE(appendMs, 1);
  block.writeUInt32BE(messages.length, 9);
  let at = HEAD_BYTES;
  messages.forEach((message, index) => {
    block.writeUInt8((message.key === null ? 0 : HAS_KEY) | (message.value === null ? 0 : HAS_VALUE), at);
    block.writeUInt32BE(bodies[index] ?? 0, at + 1);
    at = writeBody(block, at + 5, message);
  });
  return block;
}

function bodyBytes(message: BusMessage): number {
  let bytes = 2;
  if (message.key !== null) bytes += 4 + message.key.length;
  if (message.value !== null) bytes += 4 + message.value.length;
  for (const name in message.headers)
    bytes += 6 + Buffer.byteLength(name) + Buffer.byteLength(message.headers[name] ?? '');
  return bytes;
}

function writeBody(block: Buffer, start: number, message: BusMessage): number {
  let at = start;
  if (message.key !== null) at = writeBytes(block, at, message.key);
  if (message.value !== null) at = writeBytes(block, at, message.value);
  const countAt = at;
  let count = 0;
  at += 2;
  for (const name in message.headers) {
    const nameBytes = block.write(name, at + 2);
    block.writeUInt16BE(nameBytes, at);
    at += 2 + nameBytes;
    const valueBytes = block.write(message.headers[name] ?? '', at + 4);
    block.writeUInt32BE(valueBytes, at);
    at += 4 + valueBytes;
    count++;
  }
  block.writeUInt16BE(count, countAt);
  return at;
}

function writeBytes(block: Buffer, at: number, bytes: Uint8Array): number {
  block.writeUInt32BE(bytes.length, at);
  block.set(bytes, at + 4);
  return at + 4 + bytes.length;
}

export interface BlockHead {
  readonly appendMs: number;
  readonly count: number;
}

/** Head of a block. Throws bus_failed for a layout of another version. */
export function readBlockHead(block: Buffer): BlockHead {
  if (block.length < HEAD_BYTES || block.readUInt8(0) !== VERSION)
    throw new TriplineError('bus_failed', 'A block of the embedded bus has an unknown layout.');
  return { appendMs: block.readDoubleBE(1), count: block.readUInt32BE(9) };
}

export interface ReadLimits {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  maxBytes: number;
  maxRecords: number;
}

/**
 * Appends the records of the block within [from, to) to `into`, as views into the block, and takes what they use off
 * the limits. Stops at a limit, but gives the first record of an empty `into` whatever its size.
 */
export function readBlock(
  at: TopicPartition & { readonly baseOffset: number },
  block: Buffer,
  limits: ReadLimits,
  into: BusRecord[],
): void {
  const { appendMs, count } = readBlockHead(block);
  let position = HEAD_BYTES;
  for (let index = 0; index < count; index++) {
    const offset = at.baseOffset + index;
    if (offset >= limits.to) return;
    const bytes = block.readUInt32BE(position + 1);
    if (offset >= limits.from) {
      if (into.length > 0 && (bytes > limits.maxBytes || limits.maxRecords <= 0)) return;
      limits.maxBytes -= bytes;
      limits.maxRecords -= 1;
      const message = readMessage(block, position);
      into.push({ topic: at.topic, partition: at.partition, offset, appendMs, ...message });
    }
    position += 5 + bytes;
  }
}

function readMessage(block: Buffer, start: number): BusMessage {
  const flags = block.readUInt8(start);
  let at = start + 5;
  let key: Buffer | null = null;
  let value: Buffer | null = null;
  if ((flags & HAS_KEY) !== 0) {
    key = block.subarray(at + 4, at + 4 + block.readUInt32BE(at));
    at += 4 + key.length;
  }
  if ((flags & HAS_VALUE) !== 0) {
    value = block.subarray(at + 4, at + 4 + block.readUInt32BE(at));
    at += 4 + value.length;
  }
  return { key, value, headers: readHeaders(block, at) };
}

/** Without a prototype: names come from producers, `__proto__` among them. */
function readHeaders(block: Buffer, start: number): Record<string, string> {
  const headers = Object.create(null) as Record<string, string>;
  const count = block.readUInt16BE(start);
  let at = start + 2;
  for (let index = 0; index < count; index++) {
    const nameEnd = at + 2 + block.readUInt16BE(at);
    const valueStart = nameEnd + 4;
    const valueEnd = valueStart + block.readUInt32BE(nameEnd);
    headers[block.toString('utf8', at + 2, nameEnd)] = block.toString('utf8', valueStart, valueEnd);
    at = valueEnd;
  }
  return headers;
}
