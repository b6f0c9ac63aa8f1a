/**
 * A record of the bus, pure: key, partition, value and headers. A value is NDJSON, 1-64 lines of one stream, the exact
 * bytes that were hashed, joined by one LF and without a final one. Headers and lines come from producers: both are
 * attacker-controlled.
 */
import { TriplineError, type ErrorCode } from '../errors.ts';
import { FORMAT_EVENTS, FORMAT_TICK, HEADERS, MAX_LINES_PER_RECORD, MAX_RECORD_BYTES } from '../topics.ts';

const LF = 0x0a;
const encoder = new TextEncoder();

/** Structurally the bus port's message; this folder imports nothing of ours. */
export interface RecordMessage {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}

/** Key of a record: tenant, 0x00, entity (session, agent, …), UTF-8. Neither part may hold U+0000 (zName sees to it). */
export function recordKey(tenant: string, entity: string): Uint8Array {
  return encoder.encode(`${tenant}\0${entity}`);
}

/** Java murmur2 as Kafka's org.apache.kafka.common.utils.Utils.murmur2 has it (seed 0x9747b28c): a signed 32-bit hash. */
export function murmur2(bytes: Uint8Array): number {
  const M = 0x5bd1e995;
  const length = bytes.length;
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  const whole = length & ~3;
  let h = 0x9747b28c ^ length;
  for (let i = 0; i < whole; i += 4) {
    let k = Math.imul(view.getInt32(i, true), M);
    k = Math.imul(k ^ (k >>> 24), M);
    h = Math.imul(h, M) ^ k;
  }
  if (length > whole) {
    for (let i = length - 1; i >= whole; i--) h ^= view.getUint8(i) << ((i - whole) * 8);
    h = Math.imul(h, M);
  }
  h = Math.imul(h ^ (h >>> 13), M);
  return h ^ (h >>> 15);
}

/** Partition of a key, 0 … count-1: (murmur2 & 0x7fffffff) % count, as Kafka's own default partitioner. */
export function partitionFor(key: Uint8Array, count: number): number {
  return (murmur2(key) & 0x7fffffff) % count;
}

/**
 * Lines of a value, as views into it. A final LF ends the last line and starts none; an empty line in between is a line
 * (it keeps the numbers of the others), and an empty value has none.
 */
export function splitLines(value: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  let start = 0;
  while (start < value.length) {
    const end = endOfLine(value, start);
    lines.push(value.subarray(start, end));
    start = end + 1;
  }
  return lines;
}

/** Where the line that begins at `start` ends: at its LF, or with the value. */
export function endOfLine(value: Uint8Array, start: number): number {
  const end = value.indexOf(LF, start);
  return end < 0 ? value.length : end;
}

export interface EventRecord {
  readonly tenant: string;
  readonly session: string;
  /** 32 lower-case hex digits. */
  readonly stream: string;
  /** Sequence of the first line; the others follow without a gap. */
  readonly firstSeq: number;
  /** Event hash before the first line, 64 lower-case hex digits; left out where the writer does not know it. */
  readonly prev?: string | undefined;
  readonly traceparent?: string | undefined;
  /** Signature of the producer over exactly these lines, base64. */
  readonly batchSignature?: string | undefined;
  readonly lines: readonly Uint8Array[];
}

/**
 * The record of 1-64 lines of one stream. Throws bus_record_too_large over 64 lines or 768 KiB, event_invalid for no
 * line, an empty line or a line with a raw LF in it (it would read back as two).
 */
export function encodeEventRecord(record: EventRecord): RecordMessage {
  const headers: Record<string, string> = {
    [HEADERS.format]: FORMAT_EVENTS,
    [HEADERS.tenant]: record.tenant,
    [HEADERS.stream]: record.stream,
    [HEADERS.firstSeq]: String(record.firstSeq),
  };
  if (record.prev !== undefined) headers[HEADERS.prev] = record.prev;
  if (record.traceparent !== undefined) headers[HEADERS.traceparent] = record.traceparent;
  if (record.batchSignature !== undefined) headers[HEADERS.batchSignature] = record.batchSignature;
  return { key: recordKey(record.tenant, record.session), value: joinLines(record.lines), headers };
}

function joinLines(lines: readonly Uint8Array[]): Uint8Array {
  if (lines.length === 0) throw new TriplineError('event_invalid', 'A record needs at least one line.');
  if (lines.length > MAX_LINES_PER_RECORD)
    throw new TriplineError('bus_record_too_large', `A record holds at most ${MAX_LINES_PER_RECORD} lines.`);
  let bytes = lines.length - 1;
  for (const line of lines) {
    if (line.length === 0 || line.includes(LF))
      throw new TriplineError('event_invalid', 'A line is empty or holds a raw line break.');
    bytes += line.length;
  }
  if (bytes > MAX_RECORD_BYTES)
    throw new TriplineError('bus_record_too_large', `A record holds at most ${MAX_RECORD_BYTES} bytes.`);
  const value = new Uint8Array(bytes);
  let at = 0;
  for (const line of lines) {
    if (at > 0) value[at++] = LF;
    value.set(line, at);
    at += line.length;
  }
  return value;
}

/** A TICK: moves the watermark of its partition, holds no event. */
export function tickMessage(): RecordMessage {
  return { key: null, value: new Uint8Array(0), headers: { [HEADERS.format]: FORMAT_TICK } };
}

export interface EventHeaders {
  readonly kind: 'events';
  readonly tenant: string;
  readonly stream: string;
  readonly firstSeq: number;
  readonly prev: string | undefined;
  readonly traceparent: string | undefined;
  readonly batchSignature: string | undefined;
}

export type RecordHeaders =
  | EventHeaders
  | { readonly kind: 'tick' }
  /** `path` names the header at fault. */
  | { readonly kind: 'unreadable'; readonly code: ErrorCode; readonly path: string };

const HEX_32 = /^[0-9a-f]{32}$/;
const HEX_64 = /^[0-9a-f]{64}$/;
const DECIMAL = /^(0|[1-9]\d{0,15})$/;
const NAME = /^\P{Cc}{1,256}$/u;
/** W3C Trace Context §3.2.2, version 00. */
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
const MAX_SIGNATURE_CHARS = 1024;

/** Reads the headers of a record as anybody may have written them. Never throws. A malformed traceparent is left out, as W3C asks. */
export function readRecordHeaders(headers: Readonly<Record<string, string>>): RecordHeaders {
  const format = headers[HEADERS.format];
  if (format === FORMAT_TICK) return { kind: 'tick' };
  if (format !== FORMAT_EVENTS) return unreadable(HEADERS.format);
  const tenant = headers[HEADERS.tenant];
  const stream = headers[HEADERS.stream];
  const firstSeq = headers[HEADERS.firstSeq];
  if (tenant === undefined || !NAME.test(tenant)) return unreadable(HEADERS.tenant);
  if (stream === undefined || !HEX_32.test(stream)) return unreadable(HEADERS.stream);
  if (!isSequence(firstSeq)) return unreadable(HEADERS.firstSeq);
  return withOptional(headers, { tenant, stream, firstSeq: Number(firstSeq) });
}

function withOptional(
  headers: Readonly<Record<string, string>>,
  required: Pick<EventHeaders, 'tenant' | 'stream' | 'firstSeq'>,
): RecordHeaders {
  const prev = headers[HEADERS.prev];
  const traceparent = headers[HEADERS.traceparent];
  const batchSignature = headers[HEADERS.batchSignature];
  if (prev !== undefined && !HEX_64.test(prev)) return unreadable(HEADERS.prev);
  if (batchSignature !== undefined && batchSignature.length > MAX_SIGNATURE_CHARS)
    return unreadable(HEADERS.batchSignature);
  return {
    kind: 'events',
    ...required,
    prev,
    traceparent: traceparent !== undefined && TRACEPARENT.test(traceparent) ? traceparent : undefined,
    batchSignature,
  };
}

function isSequence(text: string | undefined): text is string {
  return text !== undefined && DECIMAL.test(text) && Number.isSafeInteger(Number(text));
}

function unreadable(header: string): RecordHeaders {
  return { kind: 'unreadable', code: 'record_headers_invalid', path: `headers.${header}` };
}
