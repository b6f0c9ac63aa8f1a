/** Compares what the tables that people query hold of one index with what its bytes give. Pure. */
import type { ErasureBody } from '../../schemas/audit/v1.ts';
import { MAX_LINES_PER_RECORD } from '../../schemas/topics.ts';
import type { BundleRows, LedgerColumns } from './bundle.ts';
import { equalBytes, fromBase64, toHex, ZERO_STREAM, type EvidenceCrypto } from './bytes.ts';
import { projectDisposition } from './disposition.ts';
import { ENTRY_TYPES } from './entry.ts';
import { RECORD_FAULTS, type LedgerLine, type RejectedLine } from './lines.ts';
import {
  projectAlert,
  NO_POLICY,
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
  readonly hasBytes: boolean;
  /** Set when the entry has bytes. */
  readonly prevEventHash: string | undefined;
  readonly effectiveMs: number | undefined;
  readonly classDerived: boolean;
  /** False: the row was written before policies had columns, or somebody emptied all of them. */
  readonly policyProjected: boolean;
  /** What an ERASURE entry covers. */
  readonly erasure: ErasureBody | undefined;
}

/** Tables whose rows follow from bytes, as they are called in a bundle and in the store. */
const TABLES = [
  ['events', 'events'],
  ['alerts', 'alerts'],
  ['deadLetters', 'dead_letters'],
  ['dispositions', 'dispositions'],
] as const;

/** For an entry without bytes: no table may hold a row of it, except the one that is named. */
export function expectNone(rows: BundleRows, fail: Fail, except?: (typeof TABLES)[number][0]): void {
  for (const [table, name] of TABLES)
    if (table !== except && rows[table].length > 0) fail('projection_unexpected', name);
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

/** The one table that may hold a row of such a line. */
const TABLE_OF = {
  event: 'events',
  alert: 'alerts',
  dead_letter: 'deadLetters',
  audit: 'dispositions',
} as const;

type Projected = Pick<CheckedRows, 'effectiveMs' | 'classDerived' | 'policyProjected'>;
const PROJECTED: Projected = { effectiveMs: undefined, classDerived: true, policyProjected: true };

export function checkProjections(rows: BundleRows, content: Content, check: RowsCheck): Projected {
  const { row, read } = content;
  const dead = row.type === ENTRY_TYPES.deadLetter;
  const table = dead || read.kind === 'rejected' ? 'dead_letter' : read.kind;
  expectNone(rows, check.fail, TABLE_OF[table]);
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
      checkDispositionRow(rows, content, check.fail);
      return PROJECTED;
  }
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Below the surrogates, and below the order mark that a decoder takes for none. */
function isPlain(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) if (text.charCodeAt(at) >= 0xd800) return false;
  return true;
}

/** As ClickHouse gives a value back: lone surrogates became U+FFFD when the row was written. */
export function comparable(value: unknown): string {
  if (typeof value === 'string' && isPlain(value)) return value;
  if (Array.isArray(value)) return JSON.stringify(value.map(comparable));
  if (typeof value === 'string') return decoder.decode(encoder.encode(value));
  return String(value);
}

/** Columns that older bundles lack: an absent one says no more than an empty one. */
const LATER_COLUMNS: Columns = { method: '', resource_uri: '', task_id: '', decision_id: '', ...NO_POLICY };

function compare(table: string, found: Columns, expected: object, fail: Fail): void {
  for (const column in expected) {
    const value = (expected as Columns)[column];
    const held = found[column] === undefined ? LATER_COLUMNS[column] : found[column];
    if (isSame(held, value) || comparable(held) === comparable(value)) continue;
    fail('projection_altered', `${table}.${column}`);
  }
}

/** What needs no closer look: most columns of most rows. */
function isSame(held: unknown, value: unknown): boolean {
  if (held === value) return true;
  if (typeof value === 'number') return typeof held === 'string' && held === String(value);
  return Array.isArray(held) && Array.isArray(value) && held.length === 0 && value.length === 0;
}

function checkEventRow(found: Columns, content: Content, check: RowsCheck): Projected {
  const { row, read } = content;
  if (read.kind !== 'event') return check.fail('entry_type_wrong');
  const mapping = check.mappings.get(String(found['class_version']));
  if (mapping === undefined) return check.fail('mapping_unknown', 'events.class_version');
  const derived = projectEvent({
    event: read.event,
    unknownFields: read.unknownFields,
    appendMs: row.append_ms,
    previousEffectiveMs: check.previousEffectiveMs ?? Number(found['effective_time']),
    equivocation: row.type === ENTRY_TYPES.equivocation,
    mapping,
  });
  const policyProjected = derived.policy_hash === '' || (found['policy_hash'] ?? '') !== '';
  const expected = policyProjected ? derived : { ...derived, ...NO_POLICY };
  const taken = { class: found['class'], class_source: found['class_source'], dest_host: found['dest_host'] };
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
  compare('events', found, position, check.fail);
  compare('events', found, mapping.derivable ? expected : { ...expected, ...taken }, check.fail);
  return { effectiveMs: expected.effective_time, classDerived: mapping.derivable, policyProjected };
}

function checkAlertRow(found: Columns, content: Content, fail: Fail): void {
  const { row, read } = content;
  if (read.kind !== 'alert') return fail('entry_type_wrong');
  const position = { tenant: row.tenant, append_time: row.append_ms };
  compare('alerts', found, { ...position, ...projectAlert(read.event, row.append_ms) }, fail);
}

/** Only an audit event that gives an alert a disposition has a row. */
function checkDispositionRow(rows: BundleRows, content: Content, fail: Fail): void {
  const { row, read } = content;
  if (read.kind !== 'audit') return fail('entry_type_wrong');
  const expected = projectDisposition(read.event, row.append_ms);
  if (expected === undefined) return expectNone(rows, fail);
  const position = { tenant: row.tenant, append_time: row.append_ms };
  compare('dispositions', one('dispositions', rows.dispositions, fail), { ...position, ...expected }, fail);
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
