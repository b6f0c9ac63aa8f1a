/** Columns of the tables that record writes, and their RowBinary rows (of `events`: event-block); the order of columns is the order of bytes. */
import type { DispositionProjection } from '../evidence/disposition.ts';
import type { AlertProjection, DeadLetterProjection } from '../evidence/projection.ts';
import type { RowWriter } from '../evidence/row-binary.ts';

export const LEDGER_COLUMNS: readonly string[] =
  'log_id idx type leaf_hash prev_leaf_hash topic partition offset line append_ms stream_id seq ev_hash key_id flags tenant session_id'.split(
    ' ',
  );
export const PAYLOAD_COLUMNS: readonly string[] =
  'log_id idx topic partition offset line prev_ev_hash bytes batch'.split(' ');
/** Of rows whose bytes are sealed. */
export const SEALED_PAYLOAD_COLUMNS: readonly string[] = [
  ...PAYLOAD_COLUMNS,
  'subject',
  'block',
  'place',
  'size',
];
export const EVENT_COLUMNS: readonly string[] =
  'tenant log_id idx topic partition offset line append_time stream_id seq session_id event_time effective_time kind agent principal host call_id logical_call_id trace_id span_id parent_span_id server transport tool claimed_class class class_source class_version dest_host definition_hash args_hash args_bytes result_hash result_bytes schema_valid outcome duration_ms trust labels verdict control_id approval_id method resource_uri task_id decision_id policy_id policy_version policy_mode policy_effect policy_rule policy_hash approval_ttl_ms unknown_fields findings'.split(
    ' ',
  );
export const ALERT_COLUMNS: readonly string[] =
  'tenant log_id idx append_time alert_id rule_id rule_hash title level mode scope session_id agent effective_time time_basis tags body'.split(
    ' ',
  );
export const DEAD_LETTER_COLUMNS: readonly string[] =
  'tenant log_id idx append_time code path message origin raw raw_bytes raw_hash'.split(' ');

export const DISPOSITION_COLUMNS: readonly string[] =
  'tenant log_id idx append_time alert_id rule_id disposition reason actor role event_time'.split(' ');

/** Where an entry stands. */
export interface EntryPosition {
  readonly tenant: string;
  readonly logId: Uint8Array;
  readonly index: number;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly line: number;
  readonly appendMs: number;
  readonly stream: Uint8Array;
  readonly seq: number;
}

export interface LedgerRow extends EntryPosition {
  readonly type: number;
  readonly leafHash: Uint8Array;
  readonly prevLeafHash: Uint8Array;
  readonly eventHash: Uint8Array;
  readonly keyId: Uint8Array;
  readonly flags: number;
  readonly session: string;
}

export function writeLedgerRow(out: RowWriter, row: LedgerRow): void {
  out.rows += 1;
  out.fixed(row.logId);
  out.u64(row.index);
  out.u8(row.type);
  out.fixed(row.leafHash);
  out.fixed(row.prevLeafHash);
  out.string(row.topic);
  out.u32(row.partition);
  out.u64(row.offset);
  out.u16(row.line);
  out.u64(row.appendMs);
  out.fixed(row.stream);
  out.u64(row.seq);
  out.fixed(row.eventHash);
  out.fixed(row.keyId);
  out.u8(row.flags);
  out.string(row.tenant);
  out.string(row.session);
}

export function writePayloadRow(
  out: RowWriter,
  at: EntryPosition,
  payload: { readonly prev: Uint8Array; readonly bytes: Uint8Array; readonly batch: Uint8Array },
): void {
  out.rows += 1;
  out.fixed(at.logId);
  out.u64(at.index);
  out.string(at.topic);
  out.u32(at.partition);
  out.u64(at.offset);
  out.u16(at.line);
  out.fixed(payload.prev);
  out.blob(payload.bytes);
  out.blob(payload.batch);
}

/** Which line of which sealed block a row is; its bytes are the block where it is the first, else empty. */
export interface SealedPlace {
  readonly subject: number;
  readonly block: number;
  readonly place: number;
  /** Of the line, bytes. */
  readonly size: number;
}

export function writeSealedPayloadRow(
  out: RowWriter,
  at: EntryPosition,
  payload: Parameters<typeof writePayloadRow>[2] & SealedPlace,
): void {
  writePayloadRow(out, at, payload);
  out.u64(payload.subject);
  out.u64(payload.block);
  out.u16(payload.place);
  out.u32(payload.size);
}

/** What a row of a projection begins with: whose it is, and which entry it was made of. */
function beginProjection(out: RowWriter, at: EntryPosition): void {
  out.rows += 1;
  out.string(at.tenant);
  out.fixed(at.logId);
  out.u64(at.index);
  out.time(at.appendMs);
}

export function writeAlertRow(out: RowWriter, at: EntryPosition, row: AlertProjection): void {
  beginProjection(out, at);
  out.string(row.alert_id);
  out.string(row.rule_id);
  out.string(row.rule_hash);
  out.string(row.title);
  out.string(row.level);
  out.string(row.mode);
  out.string(row.scope);
  out.string(row.session_id);
  out.string(row.agent);
  out.time(row.effective_time);
  out.string(row.time_basis);
  out.strings(row.tags);
  out.string(row.body);
}

export function writeDeadLetterRow(
  out: RowWriter,
  at: EntryPosition,
  letter: { readonly row: DeadLetterProjection; readonly raw: Uint8Array },
): void {
  beginProjection(out, at);
  out.string(letter.row.code);
  out.string(letter.row.path);
  out.string(letter.row.message);
  out.string(letter.row.origin);
  out.blob(letter.raw);
  out.u64(letter.row.raw_bytes);
  out.string(letter.row.raw_hash);
}

export function writeDispositionRow(out: RowWriter, at: EntryPosition, row: DispositionProjection): void {
  beginProjection(out, at);
  out.string(row.alert_id);
  out.string(row.rule_id);
  out.string(row.disposition);
  out.string(row.reason);
  out.string(row.actor);
  out.string(row.role);
  out.time(row.event_time);
}
