/** Checks the rows of one index: entry against leaf hash, bytes against entry, projections against bytes. Pure. */
import {
  equalBytes,
  fromBase64,
  hashFromHex,
  fromHex,
  STREAM_ID_BYTES,
  toHex,
  ZERO_STREAM,
} from './bytes.ts';
import { MAX_LINES_PER_RECORD } from '../../schemas/topics.ts';
import type { EvidenceCrypto } from './bytes.ts';
import type { BundleRows, LedgerColumns, PayloadColumns } from './bundle.ts';
import { ENTRY_FLAGS, ENTRY_TYPES, entryLeafHash } from './entry.ts';
import { eventHash } from './event-hash.ts';
import { readLedgerLine, RECORD_FAULTS, type LedgerLine, type RejectedLine } from './lines.ts';
import {
  lineFlags,
  projectAlert,
  projectDeadLetter,
  projectEvent,
  projectRejected,
  type ClassMappingVersion,
} from './projection.ts';
import type { FaultCode } from './report.ts';

/** Reports a fault at the index that is being checked; does not return. */
export type Fail = (code: FaultCode, detail?: string) => never;

export interface RowsCheck {
  readonly crypto: EvidenceCrypto;
  readonly mappings: ReadonlyMap<string, ClassMappingVersion>;
  /** Effective time of the stream's entry before; undefined where a partial bundle does not tell. */
  readonly previousEffectiveMs: number | undefined;
  readonly fail: Fail;
}

export interface CheckedRows {
  readonly ledger: LedgerColumns;
  readonly leafHash: Uint8Array;
  /** Set when the entry has bytes. */
  readonly prevEventHash: string | undefined;
  readonly effectiveMs: number | undefined;
  readonly classDerived: boolean;
}

/** What is written as u64: larger numbers would be hashed as others. */
const UINT64_COLUMNS = ['offset', 'append_ms', 'seq'] as const;

/** The one ledger row, hashed again over `prevLeafHash`. */
export function checkEntry(rows: BundleRows, prevLeafHash: Uint8Array, check: RowsCheck) {
  const [row] = rows.ledger;
  if (row === undefined) return check.fail('entry_missing');
  if (rows.ledger.length > 1) return check.fail('entry_twin');
  for (const column of UINT64_COLUMNS) {
    if (!Number.isSafeInteger(row[column])) return check.fail('entry_altered', column);
  }
  if (row.prev_leaf_hash !== toHex(prevLeafHash)) return check.fail('link_broken');
  const leafHash = entryLeafHash(
    {
      type: row.type,
      index: rows.idx,
      prevLeafHash,
      appendMs: row.append_ms,
      offset: row.offset,
      line: row.line,
      stream: fromHex(row.stream_id, STREAM_ID_BYTES) ?? ZERO_STREAM,
      seq: row.seq,
      eventHash: hashFromHex(row.ev_hash),
      keyId: hashFromHex(row.key_id),
      flags: row.flags,
    },
    check.crypto.sha256,
  );
  if (toHex(leafHash) !== row.leaf_hash) return check.fail('entry_altered', 'ledger');
  return { row, leafHash };
}

const WITHOUT_BYTES: ReadonlySet<number> = new Set([ENTRY_TYPES.gap]);

/** Payload, line and projections of an entry whose leaf hash holds. */
export function checkContent(
  rows: BundleRows,
  entry: { readonly row: LedgerColumns; readonly leafHash: Uint8Array },
  check: RowsCheck,
): CheckedRows {
  const { row, leafHash } = entry;
  if (rows.payloads.length > 1) return check.fail('payload_twin');
  const [payload] = rows.payloads;
  const bare = {
    ledger: row,
    leafHash,
    prevEventHash: undefined,
    effectiveMs: undefined,
    classDerived: true,
  };
  if (payload === undefined) {
    const mayBeBare = WITHOUT_BYTES.has(row.type) || row.type === ENTRY_TYPES.equivocation;
    if (!mayBeBare) return check.fail('payload_missing');
    expectNone(rows, check.fail);
    return bare;
  }
  if (WITHOUT_BYTES.has(row.type)) return check.fail('payload_unexpected');
  const bytes = checkPayload(row, payload, check);
  const read = readLedgerLine(row.topic, bytes);
  checkLine(row, read, check.fail);
  const projected = checkProjections(rows, { row, read, bytes }, check);
  return { ...bare, prevEventHash: payload.prev_ev_hash, ...projected };
}

function checkPayload(row: LedgerColumns, payload: PayloadColumns, check: RowsCheck): Uint8Array {
  const bytes = fromBase64(payload.bytes);
  if (bytes === undefined) return check.fail('payload_altered', 'bytes');
  for (const column of ['topic', 'partition', 'offset', 'line'] as const) {
    if (payload[column] !== row[column]) return check.fail('payload_altered', column);
  }
  const hash = eventHash(
    {
      stream: fromHex(row.stream_id, STREAM_ID_BYTES) ?? ZERO_STREAM,
      seq: row.seq,
      prev: hashFromHex(payload.prev_ev_hash),
      line: bytes,
    },
    check.crypto.sha256,
  );
  if (!equalBytes(hash, hashFromHex(row.ev_hash))) return check.fail('payload_altered', 'bytes');
  return bytes;
}

const TYPE_OF_KIND: ReadonlyMap<string, number> = new Map([
  ['stream.open', ENTRY_TYPES.streamOpen],
  ['stream.heartbeat', ENTRY_TYPES.streamHeartbeat],
  ['stream.close', ENTRY_TYPES.streamClose],
]);

function checkLine(row: LedgerColumns, read: LedgerLine, fail: Fail): void {
  if (row.type === ENTRY_TYPES.deadLetter) {
    if (row.session_id !== '') fail('entry_altered', 'session_id');
    return;
  }
  if (read.kind === 'rejected') return fail('entry_type_wrong');
  const { event } = read;
  if (event.stream !== row.stream_id || event.seq !== row.seq) return fail('entry_type_wrong');
  if (comparable(event.session) !== row.session_id) return fail('entry_altered', 'session_id');
  if (!typeFits(row.type, read)) return fail('entry_type_wrong');
  const derived = read.kind === 'event' ? lineFlags(read.event, row.append_ms) : 0;
  if ((row.flags & (ENTRY_FLAGS.backfill | ENTRY_FLAGS.oversizeBody)) !== derived) {
    return fail('entry_altered', 'flags');
  }
}

function typeFits(type: number, read: LedgerLine): boolean {
  if (type === ENTRY_TYPES.late || type === ENTRY_TYPES.equivocation) return true;
  const ofKind = read.kind === 'event' ? TYPE_OF_KIND.get(read.event.kind) : undefined;
  return type === (ofKind ?? ENTRY_TYPES.event);
}

function expectNone(rows: BundleRows, fail: Fail): void {
  if (rows.events.length > 0) fail('projection_unexpected', 'events');
  if (rows.alerts.length > 0) fail('projection_unexpected', 'alerts');
  if (rows.deadLetters.length > 0) fail('projection_unexpected', 'dead_letters');
}

type Columns = Readonly<Record<string, unknown>>;

interface Content {
  readonly row: LedgerColumns;
  readonly read: LedgerLine;
  readonly bytes: Uint8Array;
}

function one(table: string, rows: readonly Columns[], fail: Fail): Columns {
  const [row] = rows;
  if (row === undefined) return fail('projection_missing', table);
  if (rows.length > 1) return fail('projection_twin', table);
  return row;
}

const PROJECTED = { effectiveMs: undefined, classDerived: true } as const;

function checkProjections(
  rows: BundleRows,
  content: Content,
  check: RowsCheck,
): Pick<CheckedRows, 'effectiveMs' | 'classDerived'> {
  const { row, read } = content;
  const dead = row.type === ENTRY_TYPES.deadLetter;
  const table = dead || read.kind === 'rejected' ? 'dead_letter' : read.kind;
  const others = {
    ...rows,
    ...(table === 'event' ? { events: [] } : {}),
    ...(table === 'alert' ? { alerts: [] } : {}),
    ...(table === 'dead_letter' ? { deadLetters: [] } : {}),
  };
  expectNone(others, check.fail);
  switch (table) {
    case 'event':
      return checkEventRow(one('events', rows.events, check.fail), content, check);
    case 'alert':
      checkAlertRow(one('alerts', rows.alerts, check.fail), content, check.fail);
      return PROJECTED;
    case 'dead_letter':
      checkDeadLetterRow(one('dead_letters', rows.deadLetters, check.fail), content, check);
      return PROJECTED;
    case 'audit':
      return PROJECTED;
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** As ClickHouse gives a value back: lone surrogates became U+FFFD when the row was written. */
function comparable(value: unknown): string {
  if (Array.isArray(value)) return JSON.stringify(value.map(comparable));
  if (typeof value === 'string') return decoder.decode(encoder.encode(value));
  return String(value);
}

function compare(table: string, found: Columns, expected: object, fail: Fail): void {
  for (const [column, value] of Object.entries(expected)) {
    if (comparable(found[column]) !== comparable(value)) fail('projection_altered', `${table}.${column}`);
  }
}

function checkEventRow(
  found: Columns,
  content: Content,
  check: RowsCheck,
): Pick<CheckedRows, 'effectiveMs' | 'classDerived'> {
  const { row, read } = content;
  if (read.kind !== 'event') return check.fail('entry_type_wrong');
  const mapping = check.mappings.get(String(found['class_version']));
  if (mapping === undefined) return check.fail('mapping_unknown', 'events.class_version');
  const expected = projectEvent({
    event: read.event,
    unknownFields: read.unknownFields,
    appendMs: row.append_ms,
    previousEffectiveMs: check.previousEffectiveMs ?? Number(found['effective_time']),
    equivocation: row.type === ENTRY_TYPES.equivocation,
    mapping,
  });
  const taken = mapping.derivable
    ? {}
    : { class: found['class'], class_source: found['class_source'], dest_host: found['dest_host'] };
  const position = {
    tenant: row.tenant,
    topic: row.topic,
    partition: row.partition,
    offset: row.offset,
    line: row.line,
    append_time: row.append_ms,
    stream_id: row.stream_id,
    seq: row.seq,
  };
  compare('events', found, { ...position, ...expected, ...taken }, check.fail);
  return { effectiveMs: expected.effective_time, classDerived: mapping.derivable };
}

function checkAlertRow(found: Columns, content: Content, fail: Fail): void {
  const { row, read } = content;
  if (read.kind !== 'alert') return fail('entry_type_wrong');
  const position = { tenant: row.tenant, append_time: row.append_ms };
  compare('alerts', found, { ...position, ...projectAlert(read.event, row.append_ms) }, fail);
}

const NEWLINE = 10;

/** Every reason for which record would have entered this line, alone or by the record around it, as a dead letter. */
function possibleReasons({ row, read, bytes }: Content): readonly RejectedLine[] {
  if (row.line === MAX_LINES_PER_RECORD) return [RECORD_FAULTS.tooManyLines];
  const reasons: RejectedLine[] = [];
  if (read.kind === 'rejected') reasons.push(read);
  else if (read.event.stream !== row.stream_id) reasons.push(RECORD_FAULTS.otherStream);
  // The headers are no part of the evidence: a whole record that they make unreadable has no place in a stream.
  const isWholeRecord = row.line === 0 && row.seq === 0 && row.stream_id === toHex(ZERO_STREAM);
  if (!isWholeRecord) return reasons;
  if (bytes.every((byte) => byte === NEWLINE)) reasons.push(RECORD_FAULTS.noLine);
  return [...reasons, RECORD_FAULTS.noTenant, RECORD_FAULTS.unknownFormat];
}

function checkDeadLetterRow(found: Columns, content: Content, check: RowsCheck): void {
  const { row, read, bytes } = content;
  const position = { tenant: row.tenant, append_time: row.append_ms };
  if (row.type !== ENTRY_TYPES.deadLetter && read.kind === 'dead_letter') {
    const raw = fromBase64(read.event.deadLetter.rawBase64) ?? new Uint8Array(0);
    checkRaw(found, raw, check.fail);
    return compare('dead_letters', found, { ...position, ...projectDeadLetter(read.event) }, check.fail);
  }
  checkRaw(found, bytes, check.fail);
  const origin = `${row.topic}/${row.partition}/${row.offset}/${row.line}`;
  const reasons = possibleReasons(content);
  const reason =
    reasons.find(({ code, path }) => code === found['code'] && path === found['path']) ?? reasons[0];
  if (reason === undefined) return check.fail('entry_type_wrong');
  const expected = projectRejected(reason, { origin, bytes }, check.crypto.sha256);
  return compare('dead_letters', found, { ...position, ...expected }, check.fail);
}

function checkRaw(found: Columns, raw: Uint8Array, fail: Fail): void {
  const stored = fromBase64(String(found['raw']));
  if (stored === undefined || !equalBytes(stored, raw)) fail('projection_altered', 'dead_letters.raw');
}
