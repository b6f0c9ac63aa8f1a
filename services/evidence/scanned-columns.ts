/**
 * An event and its row of `events` compared on their bytes: one pass over the line tells where its fields stand, and each
 * column is held to the bytes that it was made of. What it finds the same is the same for projectEvent, whose parts say
 * what is no copy of a field; whatever is out of the ordinary it leaves to the comparison of values.
 */
import { classify, destHost, type Classification } from '../../detectors/classify/index.ts';
import { destHostIn } from '../../detectors/classify/dest-host-bytes.ts';
import { effectiveTimeMs, timeMsAt } from '../../detectors/engine/time.ts';
import { numberOfField } from '../../schemas/event/line-fields.ts';
import { LineView } from '../../schemas/event/line-view.ts';
import type { Event } from '../../schemas/event/v1.ts';
import type { LedgerRow } from './block-entry.ts';
import { STREAM_ID_BYTES } from './bytes.ts';
import type { LedgerLine } from './lines.ts';
import {
  findingsOf,
  messageColumns,
  NONE,
  policyColumns,
  storable,
  trustText,
  type ClassMappingVersion,
  type MessageColumns,
  type PolicyColumns,
} from './projection.ts';
import type { RowReader } from './row-reader.ts';
import { isSame, LEDGER_AT } from './rows-block.ts';
import { isOptionalBool, isTextHere, isTexts } from './same-columns.ts';
import { TABLE_LAYOUTS } from './table-layout.ts';

/** What the columns of one row must be. */
interface Derived {
  readonly ledger: LedgerRow;
  readonly mapping: ClassMappingVersion;
  readonly eventMs: number;
  readonly effectiveMs: number;
  readonly classification: Classification;
  readonly message: MessageColumns;
  readonly policy: PolicyColumns;
  readonly findings: readonly string[];
}

/** Whether the column that comes next in the row is as it must be. */
type Holds = (row: RowReader, derived: Derived) => boolean;

const view = new LineView();
const { scanner } = view;
const event = view as unknown as Event;
/** As readLedgerLine answers; of the line that was scanned last. */
const line = { kind: 'event' as const, event, unknownFields: NONE, timeMs: 0 } satisfies LedgerLine;
export const scannedLine: Readonly<typeof line> = line;

const TIME = numberOfField('time');
/** With its quotes. */
const TIME_BYTES = 26;

/** True where the bytes are a usual event, which `scannedLine` is from now on. */
export function scanLine(bytes: Uint8Array, from: number, end: number): boolean {
  if (!scanner.scan(bytes, from, end) || scanner.kind === 'call.body') return false;
  const timeAt = scanner.starts[TIME] as number;
  if (scanner.plain[TIME] !== 1 || scanner.ends[TIME] !== timeAt + TIME_BYTES) return false;
  line.timeMs = timeMsAt(bytes, timeAt + 1);
  return true;
}

function isField(row: RowReader, number: number): boolean {
  const from = scanner.starts[number] as number;
  if (from === 0) return row.u8() === 0;
  if (scanner.plain[number] !== 1) return isTextHere(row, String(scanner.jsonOf(number)));
  const count = row.length();
  const at = row.skip(count);
  return count === (scanner.ends[number] as number) - from - 2 && isSame(row.bytes, at, from + 1, count);
}

const field = (name: string): Holds => {
  const number = numberOfField(name);
  return (row) => isField(row, number);
};
const count = (name: string): Holds => {
  const number = numberOfField(name);
  return (row) => row.u64() === (scanner.jsonOf(number) ?? 0);
};

const ARGS = numberOfField('args');
function hostOf({ bytes }: RowReader, { mapping: { internalHosts } }: Derived): string {
  const from = scanner.starts[ARGS] as number;
  if (from === 0) return '';
  return (
    destHostIn(bytes, { from, end: scanner.ends[ARGS] as number }, internalHosts) ??
    destHost(event, internalHosts)
  );
}

const COLUMNS: Readonly<Record<string, Holds>> = {
  tenant: (row, { ledger }) => isTextHere(row, ledger.tenant),
  topic: (row, { ledger }) => isTextHere(row, ledger.topic),
  partition: (row, { ledger }) => row.u32() === ledger.partition,
  offset: (row, { ledger }) => row.u64() === ledger.offset,
  line: (row, { ledger }) => row.u16() === ledger.line,
  append_time: (row, { ledger }) => row.i64() === ledger.append_ms,
  stream_id: (row, { ledger }) =>
    isSame(row.bytes, row.skip(STREAM_ID_BYTES), ledger.at + LEDGER_AT.stream, STREAM_ID_BYTES),
  seq: (row, { ledger }) => row.u64() === ledger.seq,
  session_id: field('session'),
  event_time: (row, { eventMs }) => row.i64() === storable(eventMs),
  effective_time: (row, { effectiveMs }) => row.i64() === effectiveMs,
  kind: field('kind'),
  agent: field('agent'),
  principal: field('principal'),
  host: field('host'),
  call_id: field('callId'),
  logical_call_id: field('logicalCallId'),
  trace_id: field('traceId'),
  span_id: field('spanId'),
  parent_span_id: field('parentSpanId'),
  server: field('server'),
  transport: field('transport'),
  tool: field('tool'),
  claimed_class: field('class'),
  class: (row, { classification }) => isTextHere(row, classification.class),
  class_source: (row, { classification }) => isTextHere(row, classification.source),
  class_version: (row, { mapping }) => isTextHere(row, mapping.version),
  dest_host: (row, derived) => isTextHere(row, hostOf(row, derived)),
  definition_hash: field('definitionHash'),
  args_hash: field('argsHash'),
  args_bytes: count('argsBytes'),
  result_hash: field('resultHash'),
  result_bytes: count('resultBytes'),
  schema_valid: (row) => isOptionalBool(row, event.schemaValid ?? null),
  outcome: field('outcome'),
  duration_ms: (row) => row.f64() === (event.durationMs ?? 0),
  trust: (row) => isTextHere(row, trustText(event.trust)),
  labels: (row) => isTexts(row, event.labels ?? NONE),
  verdict: field('verdict'),
  control_id: field('controlId'),
  approval_id: field('approvalId'),
  method: (row, { message }) => isTextHere(row, message.method),
  resource_uri: (row, { message }) => isTextHere(row, message.resource_uri),
  task_id: (row, { message }) => isTextHere(row, message.task_id),
  decision_id: (row, { message }) => isTextHere(row, message.decision_id),
  policy_id: (row, { policy }) => isTextHere(row, policy.policy_id),
  policy_version: (row, { policy }) => row.u64() === policy.policy_version,
  policy_mode: (row, { policy }) => isTextHere(row, policy.policy_mode),
  policy_effect: (row, { policy }) => isTextHere(row, policy.policy_effect),
  policy_rule: (row, { policy }) => isTextHere(row, policy.policy_rule),
  policy_hash: (row, { policy }) => isTextHere(row, policy.policy_hash),
  approval_ttl_ms: (row, { policy }) => row.u64() === policy.approval_ttl_ms,
  unknown_fields: (row) => row.u8() === 0,
  findings: (row, { findings }) => isTexts(row, findings),
};
/** A column that has no comparison is none that could be the same. */
const IN_ORDER: readonly Holds[] = TABLE_LAYOUTS.events.map(([name]) => COLUMNS[name] ?? (() => false));

export interface ScannedRow {
  readonly ledger: LedgerRow;
  readonly mapping: ClassMappingVersion;
  readonly previousEffectiveMs: number;
}

/** Effective time of the event that was scanned last, Unix ms, where `row` holds exactly the columns that it gives. */
export function sameScanned(
  row: RowReader,
  { ledger, mapping, previousEffectiveMs }: ScannedRow,
): number | undefined {
  const appendMs = ledger.append_ms;
  const eventMs = line.timeMs;
  const derived: Derived = {
    ledger,
    mapping,
    eventMs,
    effectiveMs: storable(effectiveTimeMs(eventMs, appendMs, previousEffectiveMs)),
    classification: classify(event, mapping.mappings),
    message: messageColumns(event),
    policy: policyColumns(event),
    findings: findingsOf({ event, unknownFields: NONE, appendMs, equivocation: false }, eventMs),
  };
  for (const holds of IN_ORDER) if (!holds(row, derived)) return undefined;
  return row.isOver ? derived.effectiveMs : undefined;
}
