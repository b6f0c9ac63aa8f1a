/** The rows of table `events` of one batch, as one block. */
import type { EventProjection } from '../evidence/projection.ts';
import {
  encodeBlock,
  OptionalBoolColumn,
  PlainColumn,
  RepeatedTextColumn,
  TextListColumn,
  type NativeColumn,
} from './native-columns.ts';
import type { EntryPosition } from './tables.ts';

const TIME = "DateTime64(3, 'UTC')";
const NO_BYTES = new Uint8Array(0);

/** What the host's policy said. */
function policyColumns(rows: number) {
  const repeated = (): RepeatedTextColumn => new RepeatedTextColumn(rows);
  const count = (): PlainColumn => new PlainColumn('UInt64', 8 * rows);
  return {
    policy_id: repeated(),
    policy_version: count(),
    policy_mode: repeated(),
    policy_effect: repeated(),
    policy_rule: repeated(),
    policy_hash: repeated(),
    approval_ttl_ms: count(),
  } as const;
}

/** By the names of the table's columns. */
function eventColumns(rows: number) {
  const plain = (type: string, bytes: number): PlainColumn => new PlainColumn(type, bytes * rows);
  const text = (characters: number): PlainColumn => plain('String', 1 + characters);
  const repeated = (): RepeatedTextColumn => new RepeatedTextColumn(rows);
  return {
    tenant: repeated(),
    log_id: plain('FixedString(32)', 32),
    idx: plain('UInt64', 8),
    topic: repeated(),
    partition: plain('UInt32', 4),
    offset: plain('UInt64', 8),
    line: plain('UInt16', 2),
    append_time: plain(TIME, 8),
    stream_id: plain('FixedString(16)', 16),
    seq: plain('UInt64', 8),
    session_id: text(32),
    event_time: plain(TIME, 8),
    effective_time: plain(TIME, 8),
    kind: repeated(),
    agent: repeated(),
    principal: text(16),
    host: repeated(),
    call_id: text(32),
    logical_call_id: text(0),
    trace_id: text(32),
    span_id: text(16),
    parent_span_id: text(0),
    server: repeated(),
    transport: repeated(),
    tool: repeated(),
    claimed_class: repeated(),
    class: repeated(),
    class_source: repeated(),
    class_version: repeated(),
    dest_host: text(16),
    definition_hash: text(0),
    args_hash: text(32),
    args_bytes: plain('UInt64', 8),
    result_hash: text(32),
    result_bytes: plain('UInt64', 8),
    schema_valid: new OptionalBoolColumn(rows),
    outcome: repeated(),
    duration_ms: plain('Float64', 8),
    trust: repeated(),
    labels: new TextListColumn(rows),
    verdict: repeated(),
    control_id: text(0),
    approval_id: text(0),
    method: repeated(),
    resource_uri: text(0),
    task_id: text(0),
    decision_id: text(0),
    ...policyColumns(rows),
    unknown_fields: new TextListColumn(rows),
    findings: new TextListColumn(rows),
  } as const satisfies Record<string, NativeColumn>;
}

export class EventBlock {
  readonly format = 'Native';
  rows = 0;
  readonly #columns: ReturnType<typeof eventColumns>;
  #encoded: Uint8Array | undefined;

  constructor(expectedRows: number) {
    this.#columns = eventColumns(expectedRows);
  }

  /** The whole block; valid until the next row. */
  bytes(): Uint8Array {
    if (this.rows === 0) return NO_BYTES;
    this.#encoded ??= encodeBlock(this.#columns, this.rows);
    return this.#encoded;
  }

  add(at: EntryPosition, row: EventProjection): void {
    this.rows += 1;
    this.#encoded = undefined;
    this.#addPlace(at);
    this.#addWho(row);
    this.#addCall(row);
    this.#addOutcome(row);
    this.#addPolicy(row);
  }

  #addPlace(at: EntryPosition): void {
    const columns = this.#columns;
    columns.tenant.add(at.tenant);
    columns.log_id.cells.fixed(at.logId);
    columns.idx.cells.u64(at.index);
    columns.topic.add(at.topic);
    columns.partition.cells.u32(at.partition);
    columns.offset.cells.u64(at.offset);
    columns.line.cells.u16(at.line);
    columns.append_time.cells.time(at.appendMs);
    columns.stream_id.cells.fixed(at.stream);
    columns.seq.cells.u64(at.seq);
  }

  #addWho(row: EventProjection): void {
    const columns = this.#columns;
    columns.session_id.cells.string(row.session_id);
    columns.event_time.cells.time(row.event_time);
    columns.effective_time.cells.time(row.effective_time);
    columns.kind.add(row.kind);
    columns.agent.add(row.agent);
    columns.principal.cells.string(row.principal);
    columns.host.add(row.host);
    columns.call_id.cells.string(row.call_id);
    columns.logical_call_id.cells.string(row.logical_call_id);
    columns.trace_id.cells.string(row.trace_id);
    columns.span_id.cells.string(row.span_id);
    columns.parent_span_id.cells.string(row.parent_span_id);
  }

  #addCall(row: EventProjection): void {
    const columns = this.#columns;
    columns.server.add(row.server);
    columns.transport.add(row.transport);
    columns.tool.add(row.tool);
    columns.claimed_class.add(row.claimed_class);
    columns.class.add(row.class);
    columns.class_source.add(row.class_source);
    columns.class_version.add(row.class_version);
    columns.dest_host.cells.string(row.dest_host);
    columns.definition_hash.cells.string(row.definition_hash);
    columns.args_hash.cells.string(row.args_hash);
    columns.args_bytes.cells.u64(row.args_bytes);
    columns.result_hash.cells.string(row.result_hash);
    columns.result_bytes.cells.u64(row.result_bytes);
  }

  #addOutcome(row: EventProjection): void {
    const columns = this.#columns;
    columns.schema_valid.add(row.schema_valid);
    columns.outcome.add(row.outcome);
    columns.duration_ms.cells.f64(row.duration_ms);
    columns.trust.add(row.trust);
    columns.labels.add(row.labels);
    columns.verdict.add(row.verdict);
    columns.control_id.cells.string(row.control_id);
    columns.approval_id.cells.string(row.approval_id);
    columns.method.add(row.method);
    columns.resource_uri.cells.string(row.resource_uri);
    columns.task_id.cells.string(row.task_id);
    columns.decision_id.cells.string(row.decision_id);
    columns.unknown_fields.add(row.unknown_fields);
    columns.findings.add(row.findings);
  }

  #addPolicy(row: EventProjection): void {
    const columns = this.#columns;
    columns.policy_id.add(row.policy_id);
    columns.policy_version.cells.u64(row.policy_version);
    columns.policy_mode.add(row.policy_mode);
    columns.policy_effect.add(row.policy_effect);
    columns.policy_rule.add(row.policy_rule);
    columns.policy_hash.add(row.policy_hash);
    columns.approval_ttl_ms.cells.u64(row.approval_ttl_ms);
  }
}
