/**
 * From a record of the bus to its lines, read and placed in their stream. Pure. Headers and bytes are the producer's:
 * whatever does not fit becomes a rejected line, never an exception and never a loss.
 */
import { zName } from '../../schemas/event/v1.ts';
import { FORMAT_EVENTS, FORMAT_TICK, HEADERS, MAX_LINES_PER_RECORD } from '../../schemas/topics.ts';
import { readBatchSignatureHeader, type BatchSignature } from '../evidence/batch-signature.ts';
import { fromHex, HASH_BYTES, STREAM_ID_BYTES, ZERO_STREAM } from '../evidence/bytes.ts';
import { readLedgerLine, RECORD_FAULTS, type LedgerLine, type RejectedLine } from '../evidence/lines.ts';
import type { BusRecord } from '../platform/bus/port.ts';
import { searchable } from './cut.ts';

/** Owner of lines whose record names no tenant: kept, and seen by nobody but the operator. */
export const UNATTRIBUTED_TENANT = '_unattributed';

export interface PreparedLine {
  /** Index inside the record. */
  readonly line: number;
  readonly bytes: Uint8Array;
  readonly read: LedgerLine;
  /** False for an unreadable line that has no place in a stream; stream and seq are zero then. */
  readonly placed: boolean;
  readonly stream: string;
  readonly streamId: Uint8Array;
  readonly seq: number;
}

export interface PreparedRecord {
  readonly record: BusRecord;
  readonly tenant: string;
  /** Event hash before the first line, as the header claims it. */
  readonly prev: Uint8Array | undefined;
  /** As the header brings it: nothing of it is checked yet. */
  readonly batch: BatchSignature | undefined;
  readonly lines: readonly PreparedLine[];
  readonly tick: boolean;
}

const NEWLINE = 10;
const EMPTY = new Uint8Array(0);

interface Cut {
  readonly line: number;
  readonly bytes: Uint8Array;
  /** More lines than a record may have: the rest of the record as one unreadable line. */
  readonly excess: boolean;
}

function cutLines(value: Uint8Array): Cut[] {
  const cuts: Cut[] = [];
  const bytes = searchable(value);
  let start = 0;
  let line = 0;
  while (start < value.length) {
    if (line === MAX_LINES_PER_RECORD) {
      cuts.push({ line, bytes: value.subarray(start), excess: true });
      break;
    }
    const found = bytes.indexOf(NEWLINE, start);
    const end = found < 0 ? value.length : found;
    if (end > start) cuts.push({ line, bytes: value.subarray(start, end), excess: false });
    start = end + 1;
    line += 1;
  }
  return cuts;
}

interface Headers {
  readonly tenant: string;
  readonly stream: string | undefined;
  readonly streamId: Uint8Array | undefined;
  readonly firstSeq: number | undefined;
  readonly prev: Uint8Array | undefined;
  readonly batch: BatchSignature | undefined;
  /** Set when no line of the record may be read. */
  readonly fault: RejectedLine | undefined;
}

function readHeaders(headers: BusRecord['headers']): Headers {
  const tenant = zName.safeParse(headers[HEADERS.tenant]);
  const stream = headers[HEADERS.stream];
  const firstSeq = headers[HEADERS.firstSeq];
  const prev = headers[HEADERS.prev];
  const batch = headers[HEADERS.batchSignature];
  const streamId = stream === undefined ? undefined : fromHex(stream, STREAM_ID_BYTES);
  return {
    tenant: tenant.success ? tenant.data : UNATTRIBUTED_TENANT,
    stream: streamId === undefined ? undefined : stream,
    streamId,
    firstSeq: firstSeq !== undefined && /^\d{1,15}$/u.test(firstSeq) ? Number(firstSeq) : undefined,
    prev: prev === undefined ? undefined : fromHex(prev, HASH_BYTES),
    batch: batch === undefined ? undefined : readBatchSignatureHeader(batch),
    fault: headerFault(headers, tenant.success),
  };
}

function headerFault(headers: BusRecord['headers'], hasTenant: boolean): RejectedLine | undefined {
  if (!hasTenant) return RECORD_FAULTS.noTenant;
  return headers[HEADERS.format] === FORMAT_EVENTS ? undefined : RECORD_FAULTS.unknownFormat;
}

/** Reads a record. `tick` records have no lines; a record that cannot be taken apart is one rejected line. */
export function prepareRecord(record: BusRecord): PreparedRecord {
  const headers = readHeaders(record.headers);
  const value = record.value ?? EMPTY;
  if (record.headers[HEADERS.format] === FORMAT_TICK && value.length === 0) {
    return { record, tenant: headers.tenant, prev: undefined, batch: undefined, lines: [], tick: true };
  }
  const lines = headers.fault === undefined ? placeLines(record.topic, value, headers) : [];
  if (lines.length === 0) {
    const read = headers.fault ?? RECORD_FAULTS.noLine;
    lines.push(unplaced({ line: 0, bytes: value, excess: false }, read));
  }
  const { tenant, prev, batch } = headers;
  return { record, tenant, prev, batch, lines, tick: false };
}

function unplaced(cut: Cut, read: LedgerLine): PreparedLine {
  const { line, bytes } = cut;
  return { line, bytes, read, placed: false, stream: '', streamId: ZERO_STREAM, seq: 0 };
}

/** Where the lines of a record stand: its stream, and the seq that the next line should have. */
interface Place {
  stream: string | undefined;
  streamId: Uint8Array | undefined;
  expectedSeq: number | undefined;
}

function placeLines(topic: string, value: Uint8Array, headers: Headers): PreparedLine[] {
  const { stream, streamId, firstSeq } = headers;
  const place: Place = { stream, streamId, expectedSeq: firstSeq };
  return cutLines(value).map((cut) => placeLine(cut, readIn(topic, cut, place), place));
}

/** A readable line of a record without stream header names the stream; one of another stream is refused. */
function readIn(topic: string, cut: Cut, place: Place): LedgerLine {
  if (cut.excess) return RECORD_FAULTS.tooManyLines;
  const read = readLedgerLine(topic, cut.bytes);
  if (read.kind === 'rejected') return read;
  if (place.stream === undefined) {
    place.stream = read.event.stream;
    place.streamId = fromHex(read.event.stream, STREAM_ID_BYTES);
  }
  if (read.event.stream === place.stream) return read;
  return RECORD_FAULTS.otherStream;
}

function placeLine(cut: Cut, read: LedgerLine, place: Place): PreparedLine {
  const { stream, streamId } = place;
  const seq = read.kind === 'rejected' ? place.expectedSeq : read.event.seq;
  if (stream === undefined || streamId === undefined || seq === undefined) {
    return unplaced(cut, read);
  }
  place.expectedSeq = seq + 1;
  return { line: cut.line, bytes: cut.bytes, read, placed: true, stream, streamId, seq };
}

/** Which hashes of streams a batch will ask for, so that they can be read back before the pure step runs. */
export interface StreamNeed {
  readonly tenant: string;
  readonly stream: string;
  /** Lowest seq that is asked for. */
  readonly fromSeq: number;
}

/** One need a stream; key of the map: streamKey. */
export function streamNeeds(records: readonly PreparedRecord[]): Map<string, StreamNeed> {
  const needs = new Map<string, StreamNeed>();
  for (const { tenant, lines } of records) {
    for (const line of lines) {
      if (line.placed) addNeed(needs, { tenant, stream: line.stream, fromSeq: Math.max(0, line.seq - 1) });
    }
  }
  return needs;
}

/**
 * What the headers of a batch let expect, without reading a line, so that one query can ask for all of it. The headers
 * are the producer's claim: what the lines then need beyond it is asked for when they are read.
 */
export function claimedNeeds(records: readonly BusRecord[]): Map<string, StreamNeed> {
  const needs = new Map<string, StreamNeed>();
  for (const record of records) {
    const { tenant, stream, firstSeq, fault } = readHeaders(record.headers);
    if (fault !== undefined || stream === undefined || firstSeq === undefined) continue;
    addNeed(needs, { tenant, stream, fromSeq: Math.max(0, firstSeq - 1) });
  }
  return needs;
}

function addNeed(needs: Map<string, StreamNeed>, need: StreamNeed): void {
  const key = streamKey(need.tenant, need.stream);
  const known = needs.get(key);
  if (known === undefined || need.fromSeq < known.fromSeq) needs.set(key, need);
}

/** A stream inside a tenant; stream ids have a fixed length. */
export function streamKey(tenant: string, stream: string): string {
  return stream + tenant;
}
