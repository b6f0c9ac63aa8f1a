/**
 * The usual entry of a binary bundle, checked on its bytes: one row of the ledger that follows the one before, one payload,
 * and of `events` the one row that the payload gives. It says yes or nothing: whatever is not exactly so goes the way of
 * every other row (verify-rows.ts), which says what is wrong, if anything is. So both forms of a bundle get one judgement.
 */
import { effectiveTimeMs } from '../../detectors/engine/time.ts';
import { TOPICS } from '../../schemas/topics.ts';
import {
  ALERTS,
  BlockEntry,
  DISPOSITIONS,
  EVENTS,
  LEDGER,
  LedgerRow,
  PAYLOADS,
  type PayloadRow,
} from './block-entry.ts';
import type { BundleRows, LedgerColumns } from './bundle.ts';
import { HASH_BYTES, STREAM_ID_BYTES, type EvidenceCrypto } from './bytes.ts';
import { ENTRY_TYPES } from './entry.ts';
import { eventHash } from './event-hash.ts';
import { readLedgerLine } from './lines.ts';
import { lineTimeMs, projectEvent, storable, type ClassMappingVersion } from './projection.ts';
import type { RowReader } from './row-reader.ts';
import { LEDGER_AT, PAYLOAD_AT } from './rows-block.ts';
import { hasColumns } from './same-columns.ts';
import { sameScanned, scanLine, scannedLine } from './scanned-columns.ts';
import { skipTo, TABLE_LAYOUTS } from './table-layout.ts';
import type { CheckedRows, RowsCheck } from './verify-projections.ts';
import { checkLine } from './verify-rows.ts';

interface UsualEntry {
  readonly row: LedgerRow;
  readonly leafHash: Uint8Array;
}

/** The row of the ledger, where it is one, whose link and leaf hash hold. */
export function usualEntry(
  rows: BundleRows,
  prevLeafHash: Uint8Array,
  check: RowsCheck,
): UsualEntry | undefined {
  if (!(rows instanceof BlockEntry)) return undefined;
  const { block, number } = rows;
  if (block.rowsOf(LEDGER, number) !== 1) return undefined;
  const place = block.firstRow(LEDGER, number);
  const at = block.fromOf(LEDGER, place);
  if (!holds(block.bytes, at + LEDGER_AT.prev, prevLeafHash)) return undefined;
  const hashes = block.leafHashes(check.crypto);
  const leafHash = hashes.subarray(place * HASH_BYTES, (place + 1) * HASH_BYTES);
  if (!holds(block.bytes, at + LEDGER_AT.leafHash, leafHash)) return undefined;
  const row = rows.ledger[0] as LedgerRow;
  const exact =
    Number.isSafeInteger(row.append_ms) && Number.isSafeInteger(row.offset) && Number.isSafeInteger(row.seq);
  return exact ? { row, leafHash } : undefined;
}

function holds(bytes: Uint8Array, at: number, hash: Uint8Array): boolean {
  for (let place = 0; place < HASH_BYTES; place += 1) if (bytes[at + place] !== hash[place]) return false;
  return true;
}

/** Types whose rows need more than their own bytes, or have none of `events`. */
const UNUSUAL: ReadonlySet<number> = new Set([
  ENTRY_TYPES.gap,
  ENTRY_TYPES.equivocation,
  ENTRY_TYPES.deadLetter,
  ENTRY_TYPES.key,
  ENTRY_TYPES.policy,
  ENTRY_TYPES.erasure,
]);

/** What checkContent answers, where all of it is as usual. */
export function usualContent(
  rows: BundleRows,
  { row, leafHash }: { readonly row: LedgerColumns; readonly leafHash: Uint8Array },
  check: RowsCheck,
): CheckedRows | undefined {
  if (!(rows instanceof BlockEntry && row instanceof LedgerRow)) return undefined;
  const { crypto, mappings, previousEffectiveMs } = check;
  if (previousEffectiveMs === undefined) return undefined;
  // What was not found the same before is looked into here: so a fault is told as if nobody had looked before.
  const times = foundTimes(rows) ?? usualTimes(rows, row, { crypto, mappings, previousEffectiveMs });
  const [payload] = rows.payloads;
  if (times === undefined || payload === undefined) return undefined;
  const effectiveMs = storable(effectiveTimeMs(times.eventMs, row.append_ms, previousEffectiveMs));
  if (effectiveMs !== times.effectiveMs) return undefined;
  return new UsualContent({ row, leafHash }, payload, effectiveMs);
}

/** Of an event: its own time, and the effective one in its row. */
export interface Times {
  readonly eventMs: number;
  readonly effectiveMs: number;
}

function foundTimes({ block: { findings }, number }: BlockEntry): Times | undefined {
  const effectiveMs = findings?.effectiveMs[number] ?? Number.NaN;
  if (findings === undefined || Number.isNaN(effectiveMs)) return undefined;
  return { eventMs: findings.eventMs[number] as number, effectiveMs };
}

export interface TimesCheck extends Pick<RowsCheck, 'crypto' | 'mappings'> {
  /** Undefined: the one that the row itself has, which is left to whoever knows the entries before. */
  readonly previousEffectiveMs: number | undefined;
}

/** Where all that can be told without the entries before is as usual. */
export function usualTimes(rows: BlockEntry, row: LedgerRow, check: TimesCheck): Times | undefined {
  if (UNUSUAL.has(row.type) || row.topic !== TOPICS.toolcalls.name) return undefined;
  if (!hasUsualRows(rows)) return undefined;
  const [payload] = rows.payloads;
  const mapping = soleMapping(check.mappings);
  if (mapping === undefined || payload === undefined || !isPayloadOf(payload, row, check.crypto))
    return undefined;
  const previousEffectiveMs = check.previousEffectiveMs ?? effectiveInRow(rows);
  const time = { row, payload, mapping, previousEffectiveMs };
  return scannedTimes(rows, time) ?? readTimes(rows, time);
}

function effectiveInRow(rows: BlockEntry): number {
  return skipTo(eventRow(rows), rows.block.layouts.events, 'effective_time').i64();
}

/** One payload, one row of `events`, and no other. */
function hasUsualRows({ block, number }: BlockEntry): boolean {
  // Whoever wrote the bundle says which columns it has: one that is left out must not go unchecked.
  if (block.layouts !== TABLE_LAYOUTS) return false;
  if (block.rowsOf(PAYLOADS, number) !== 1 || block.rowsOf(EVENTS, number) !== 1) return false;
  for (let table = ALERTS; table <= DISPOSITIONS; table += 1)
    if (block.rowsOf(table, number) !== 0) return false;
  return true;
}

class UsualContent implements CheckedRows {
  readonly ledger: LedgerRow;
  readonly leafHash: Uint8Array;
  readonly effectiveMs: number;
  readonly classDerived = true;
  readonly hasBytes = true;
  readonly policyProjected = true;
  readonly erasure = undefined;
  readonly #payload: PayloadRow;

  constructor({ row, leafHash }: UsualEntry, payload: PayloadRow, effectiveMs: number) {
    this.ledger = row;
    this.leafHash = leafHash;
    this.effectiveMs = effectiveMs;
    this.#payload = payload;
  }

  get prevEventHash(): string {
    return this.#payload.prev_ev_hash;
  }
}

/** At the same place, and the bytes that the entry commits to. */
function isPayloadOf(payload: PayloadRow, row: LedgerRow, { sha256 }: EvidenceCrypto): boolean {
  const isThere =
    payload.erased === undefined &&
    payload.partition === row.partition &&
    payload.offset === row.offset &&
    payload.line === row.line &&
    payload.namesTopicOf(row);
  if (!isThere) return false;
  const { bytes } = row.block;
  const streamAt = row.at + LEDGER_AT.stream;
  const prevAt = payload.at + PAYLOAD_AT.prev;
  const hash = eventHash(
    {
      stream: bytes.subarray(streamAt, streamAt + STREAM_ID_BYTES),
      seq: row.seq,
      prev: bytes.subarray(prevAt, prevAt + HASH_BYTES),
      line: payload.raw,
    },
    sha256,
  );
  return holds(bytes, row.at + LEDGER_AT.eventHash, hash);
}

class Unusual extends Error {}
const unusual = (): never => {
  throw new Unusual();
};

export interface Timed {
  readonly row: LedgerRow;
  readonly payload: PayloadRow;
  readonly mapping: ClassMappingVersion;
  readonly previousEffectiveMs: number;
}

/** By the bytes of line and row alone. */
export function scannedTimes(
  rows: BlockEntry,
  { row, payload, mapping, previousEffectiveMs }: Timed,
): Times | undefined {
  if (!scanLine(rows.block.bytes, payload.rawAt, payload.end) || !isLineOf(row, scannedLine))
    return undefined;
  const effectiveMs = sameScanned(eventRow(rows), { ledger: row, mapping, previousEffectiveMs });
  return effectiveMs === undefined ? undefined : { eventMs: scannedLine.timeMs, effectiveMs };
}

function eventRow({ block, number }: BlockEntry): RowReader {
  const at = block.firstRow(EVENTS, number);
  return block.reader.over(block.fromOf(EVENTS, at), block.toOf(EVENTS, at));
}

/** By the values of the event. */
export function readTimes(
  rows: BlockEntry,
  { row, payload, mapping, previousEffectiveMs }: Timed,
): Times | undefined {
  const read = readLedgerLine(row.topic, payload.raw);
  if (read.kind !== 'event' || !isLineOf(row, read)) return undefined;
  const expected = projectEvent({
    event: read.event,
    unknownFields: read.unknownFields,
    appendMs: row.append_ms,
    previousEffectiveMs,
    equivocation: false,
    mapping,
  });
  const { tenant, topic, partition, offset, line, append_ms: append_time, stream_id, seq } = row;
  const place = { tenant, topic, partition, offset, line, append_time, stream_id, seq };
  const columns = expected as unknown as Record<string, unknown>;
  const same = hasColumns(eventRow(rows), rows.block.layouts.events, place, columns);
  const eventMs = lineTimeMs(read.event.time, row.append_ms);
  return same ? { eventMs, effectiveMs: expected.effective_time } : undefined;
}

function isLineOf(row: LedgerRow, read: Parameters<typeof checkLine>[1]): boolean {
  try {
    checkLine(row, read, unusual);
    return true;
  } catch (error) {
    if (error instanceof Unusual) return false;
    throw error;
  }
}

/** The one that all rows were classified with; where there are several, each row is asked for its own. */
function soleMapping(mappings: RowsCheck['mappings']): ClassMappingVersion | undefined {
  if (mappings.size !== 1) return undefined;
  const [mapping] = mappings.values();
  return mapping?.derivable === true ? mapping : undefined;
}
