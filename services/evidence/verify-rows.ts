/** Checks the rows of one index: entry against leaf hash, bytes against entry, projections against bytes. Pure. */
import type { BundleRows, LedgerColumns, PayloadColumns } from './bundle.ts';
import {
  equalBytes,
  fromBase64,
  fromHex,
  hashFromHex,
  STREAM_ID_BYTES,
  toHex,
  ZERO_STREAM,
} from './bytes.ts';
import { encodeEntry, ENTRY_FLAGS, ENTRY_TYPES, entryLeafHash, type LedgerEntry } from './entry.ts';
import { eventHash } from './event-hash.ts';
import { readLedgerLine, type LedgerLine } from './lines.ts';
import { isKeyChange } from './producer-keys.ts';
import { lineFlags } from './projection.ts';
import {
  checkProjections,
  comparable,
  expectNone,
  type CheckedRows,
  type Fail,
  type RowsCheck,
} from './verify-projections.ts';

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
  const leafHash = entryLeafHash(entryOf(row, rows.idx, prevLeafHash), check.crypto.sha256);
  if (toHex(leafHash) !== row.leaf_hash) return check.fail('entry_altered', 'ledger');
  return { row, leafHash };
}

function entryOf(row: LedgerColumns, index: number, prevLeafHash: Uint8Array): LedgerEntry {
  return {
    type: row.type,
    index,
    prevLeafHash,
    appendMs: row.append_ms,
    offset: row.offset,
    line: row.line,
    stream: fromHex(row.stream_id, STREAM_ID_BYTES) ?? ZERO_STREAM,
    seq: row.seq,
    eventHash: hashFromHex(row.ev_hash),
    keyId: hashFromHex(row.key_id),
    flags: row.flags,
  };
}

/** The leaf of a row: 166 bytes. */
export function encodeRow(row: LedgerColumns, index: number, prevLeafHash: Uint8Array): Uint8Array {
  return encodeEntry(entryOf(row, index, prevLeafHash));
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
    erasure: undefined,
    ledger: row,
    leafHash,
    hasBytes: false,
    prevEventHash: undefined,
    effectiveMs: undefined,
    classDerived: true,
    policyProjected: true,
  };
  if (payload === undefined) {
    const mayBeBare = WITHOUT_BYTES.has(row.type) || row.type === ENTRY_TYPES.equivocation;
    if (!mayBeBare) return check.fail('payload_missing');
    expectNone(rows, check.fail);
    return bare;
  }
  if (WITHOUT_BYTES.has(row.type)) return check.fail('payload_unexpected');
  checkPayloadPlace(row, payload, check.fail);
  // Its key is gone. What people query must be gone as well: nothing could show what such a row was made of.
  if (payload.erased === true) {
    expectNone(rows, check.fail);
    return check.fail('payload_missing');
  }
  const bytes = checkPayload(row, payload, check);
  const read = readLedgerLine(row.topic, bytes);
  checkLine(row, read, check.fail);
  const projected = checkProjections(rows, { row, read, bytes }, check);
  const erasure =
    row.type === ENTRY_TYPES.erasure && read.kind === 'audit' ? read.event.audit.erasure : undefined;
  return { ...bare, erasure, hasBytes: true, prevEventHash: payload.prev_ev_hash, ...projected };
}

function checkPayloadPlace(row: LedgerColumns, payload: PayloadColumns, fail: Fail): void {
  for (const column of ['topic', 'partition', 'offset', 'line'] as const) {
    if (payload[column] !== row[column]) fail('payload_altered', column);
  }
}

/** Bytes of an entry whose leaf hash holds, without the tables that follow from them: what is not read costs nothing. */
export function checkBytes(rows: BundleRows, row: LedgerColumns, check: RowsCheck): void {
  if (rows.payloads.length > 1) return check.fail('payload_twin');
  const [payload] = rows.payloads;
  const mayBeBare = WITHOUT_BYTES.has(row.type) || row.type === ENTRY_TYPES.equivocation;
  if (payload === undefined) return mayBeBare ? undefined : check.fail('payload_missing');
  if (WITHOUT_BYTES.has(row.type)) return check.fail('payload_unexpected');
  checkPayloadPlace(row, payload, check.fail);
  // Whether an ERASURE entry covers it is for a verification of everything to say.
  if (payload.erased === true) return;
  checkLine(row, readLedgerLine(row.topic, checkPayload(row, payload, check)), check.fail);
}

function checkPayload(row: LedgerColumns, payload: PayloadColumns, check: RowsCheck): Uint8Array {
  const bytes = fromBase64(payload.bytes);
  if (bytes === undefined) return check.fail('payload_altered', 'bytes');
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

/** The line must be what its entry says of it. */
export function checkLine(row: LedgerColumns, read: LedgerLine, fail: Fail): void {
  if (row.type === ENTRY_TYPES.deadLetter) {
    if (row.session_id !== '') fail('entry_altered', 'session_id');
    return;
  }
  if (read.kind === 'rejected') return fail('entry_type_wrong');
  const { event } = read;
  if (event.stream !== row.stream_id || event.seq !== row.seq) return fail('entry_type_wrong');
  if (comparable(event.session) !== row.session_id) return fail('entry_altered', 'session_id');
  if (!typeFits(row.type, read)) return fail('entry_type_wrong');
  const derived = read.kind === 'event' ? lineFlags(read.event, row.append_ms, read.timeMs) : 0;
  if ((row.flags & (ENTRY_FLAGS.backfill | ENTRY_FLAGS.oversizeBody)) !== derived) {
    return fail('entry_altered', 'flags');
  }
}

function erasureType(read: LedgerLine): number | undefined {
  return read.kind === 'audit' && read.event.audit.erasure !== undefined ? ENTRY_TYPES.erasure : undefined;
}

function typeFits(type: number, read: LedgerLine): boolean {
  if (type === ENTRY_TYPES.late || type === ENTRY_TYPES.equivocation) return true;
  if (read.kind === 'audit' && isKeyChange(read.event)) return type === ENTRY_TYPES.key;
  const ofKind = read.kind === 'event' ? TYPE_OF_KIND.get(read.event.kind) : erasureType(read);
  return type === (ofKind ?? ENTRY_TYPES.event);
}
