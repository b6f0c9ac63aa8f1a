/** Events: the listing, and one event with its exact bytes and place. */
import { z } from 'zod';
import { TriplineError } from '../../schemas/errors.ts';
import type { SubjectKeys } from '../platform/payloads/keys.ts';
import { PayloadReader, SEALED_COLUMNS, type SealedRow } from '../platform/payloads/read.ts';
import { decodeCursor } from '../platform/http/cursor.ts';
import type { Store } from '../platform/store/port.ts';
import { andAlso, isoOf, pageOf, whereOf, type Page, type Where, type zEventQuery } from './filters.ts';

const COLUMNS = `tenant, session_id, topic, partition, toString(offset) AS at_offset, line,
  toString(toUnixTimestamp64Milli(append_time)) AS append_ms,
  toString(toUnixTimestamp64Milli(event_time)) AS event_ms,
  toString(toUnixTimestamp64Milli(effective_time)) AS effective_ms,
  kind, lower(hex(stream_id)) AS stream, toString(seq) AS at_seq, agent, principal, host, call_id, logical_call_id,
  trace_id, span_id, parent_span_id, server, transport, tool, claimed_class, class, class_source, dest_host,
  definition_hash, args_hash, toString(args_bytes) AS args_size, result_hash, toString(result_bytes) AS result_size,
  schema_valid, outcome, duration_ms, trust, labels, verdict, control_id, approval_id, method, resource_uri, task_id,
  decision_id, policy_id, toString(policy_version) AS at_version, policy_mode, policy_effect, policy_rule, policy_hash,
  unknown_fields, findings`;

export interface EventRow {
  readonly tenant: string;
  readonly session_id: string;
  readonly topic: string;
  readonly partition: number;
  readonly at_offset: string;
  readonly line: number;
  readonly append_ms: string;
  readonly event_ms: string;
  readonly effective_ms: string;
  readonly kind: string;
  readonly stream: string;
  readonly at_seq: string;
  readonly [column: string]: unknown;
}

export type EventItem = Readonly<Record<string, unknown>>;

/** Columns that go out under their own name in the event's spelling; empty ones are left out. */
const NAMES: readonly (readonly [column: string, name: string])[] = [
  ['agent', 'agent'],
  ['principal', 'principal'],
  ['host', 'host'],
  ['call_id', 'callId'],
  ['logical_call_id', 'logicalCallId'],
  ['trace_id', 'traceId'],
  ['span_id', 'spanId'],
  ['parent_span_id', 'parentSpanId'],
  ['server', 'server'],
  ['transport', 'transport'],
  ['tool', 'tool'],
  ['claimed_class', 'claimedClass'],
  ['class', 'class'],
  ['class_source', 'classSource'],
  ['dest_host', 'destHost'],
  ['definition_hash', 'definitionHash'],
  ['args_hash', 'argsHash'],
  ['result_hash', 'resultHash'],
  ['schema_valid', 'schemaValid'],
  ['outcome', 'outcome'],
  ['duration_ms', 'durationMs'],
  ['trust', 'trust'],
  ['labels', 'labels'],
  ['verdict', 'verdict'],
  ['control_id', 'controlId'],
  ['approval_id', 'approvalId'],
  ['method', 'method'],
  ['resource_uri', 'resourceUri'],
  ['task_id', 'taskId'],
  ['decision_id', 'decisionId'],
  ['unknown_fields', 'unknownFields'],
  ['findings', 'findings'],
];

/** A row as the API answers it. */
export function eventItem(row: EventRow): EventItem {
  const item: Record<string, unknown> = {
    id: `${row.stream}-${row.at_seq}`,
    tenant: row.tenant,
    session: row.session_id,
    stream: row.stream,
    seq: Number(row.at_seq),
    kind: row.kind,
    time: isoOf(row.event_ms),
    effectiveTime: isoOf(row.effective_ms),
    appendTime: isoOf(row.append_ms),
    position: positionOf(row),
  };
  for (const [column, name] of NAMES) if (!isEmpty(row[column])) item[name] = row[column];
  for (const name of ['args', 'result'])
    if (row[`${name}_size`] !== '0') item[`${name}Bytes`] = Number(row[`${name}_size`]);
  const policy = policyOf(row);
  if (policy !== undefined) item['policy'] = policy;
  // The column knows no absence; a duration belongs to a result.
  if (row.kind !== 'call.result' && row.kind !== 'mcp.result') delete item['durationMs'];
  return item;
}

function isEmpty(value: unknown): boolean {
  return (
    value === '' || value === null || value === undefined || (Array.isArray(value) && value.length === 0)
  );
}

/** As in the event, without what is asked for. */
function policyOf(row: EventRow): EventItem | undefined {
  if (row['policy_hash'] === '') return undefined;
  const given = { effect: row['policy_effect'], rule: row['policy_rule'] };
  return {
    id: row['policy_id'],
    version: Number(row['at_version']),
    mode: row['policy_mode'],
    hash: row['policy_hash'],
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== '')),
  };
}

function positionOf(row: EventRow): EventItem {
  return { topic: row.topic, partition: row.partition, offset: Number(row.at_offset), line: row.line };
}

const zKey = z.tuple([
  z.number().int(),
  z.string().max(256),
  z.number().int().min(0).max(0xffff_ffff),
  z.number().int().min(0),
  z.number().int().min(0).max(0xffff),
]);
const SORT_KEY = '(toUnixTimestamp64Milli(effective_time), topic, partition, offset, line)';
const CURSOR_KEY =
  '({c_ms:Int64}, {c_topic:String}, {c_partition:UInt32}, {c_offset:UInt64}, {c_line:UInt16})';

/** Newest first. */
export async function listEvents(
  store: Store,
  tenant: string,
  query: z.output<typeof zEventQuery>,
): Promise<Page<EventItem>> {
  const columns = {
    session_id: query.session,
    agent: query.agent,
    server: query.server,
    tool: query.tool,
    class: query.class,
    kind: query.kind,
    outcome: query.outcome,
    call_id: query.callId,
    control_id: query.controlId,
    trace_id: query.traceId,
  };
  let where = whereOf(tenant, columns, query);
  if (query.cursor !== undefined) {
    const [c_ms, c_topic, c_partition, c_offset, c_line] = decodeCursor(query.cursor, zKey);
    where = andAlso(where, `${SORT_KEY} < ${CURSOR_KEY}`, { c_ms, c_topic, c_partition, c_offset, c_line });
  }
  const rows = await selectEvents(store, where, { order: 'DESC', limit: query.limit + 1 });
  return pageOf(rows, query.limit, {
    item: eventItem,
    key: (row) => [Number(row.effective_ms), row.topic, row.partition, Number(row.at_offset), row.line],
  });
}

/** Rows of `events` by effective time, then place. */
export async function selectEvents(
  store: Store,
  where: Where,
  { order, limit }: { readonly order: 'ASC' | 'DESC'; readonly limit: number },
): Promise<EventRow[]> {
  const by = ['effective_time', 'topic', 'partition', 'offset', 'line'].map((column) => `${column} ${order}`);
  return await store.query<EventRow>(
    `SELECT ${COLUMNS} FROM events WHERE ${where.sql} ORDER BY ${by.join(', ')} LIMIT {row_limit:UInt32}`,
    { params: { ...where.params, row_limit: limit } },
  );
}

const EVENT_ID = /^([0-9a-f]{32})-(0|[1-9]\d{0,15})$/;

/** The store, with the keys of its payloads where this process has them. */
export interface StoredPayloads {
  readonly store: Store;
  readonly keys?: SubjectKeys | undefined;
}

/** One event with its exact bytes (base64, and parsed where they are JSON). Throws not_found. */
export async function readEvent(
  { store, keys }: StoredPayloads,
  tenant: string,
  id: string,
): Promise<EventItem> {
  const match = EVENT_ID.exec(id);
  if (match === null) throw new TriplineError('not_found');
  const byId = andAlso(whereOf(tenant, {}), 'stream_id = unhex({stream:String}) AND seq = {seq:UInt64}', {
    stream: match[1] ?? '',
    seq: match[2] ?? '',
  });
  const rows = await selectEvents(store, byId, { order: 'ASC', limit: 2 });
  const [row] = rows;
  if (row === undefined) throw new TriplineError('not_found');
  if (new Set(rows.map((found) => found.tenant)).size > 1)
    throw new TriplineError('conflict', 'Several tenants have this event id; name one.', { path: 'tenant' });
  const [payload] = await store.query<SealedRow>(
    `SELECT ${SEALED_COLUMNS} FROM payloads
     WHERE (log_id, idx) IN (SELECT log_id, idx FROM events WHERE ${byId.sql}) LIMIT 1`,
    { params: byId.params },
  );
  if (payload === undefined) return eventItem(row);
  const ledger = { logId: payload.at_log, index: Number(payload.at_idx) };
  const [opened] = await new PayloadReader(store, keys).open([payload]);
  if (opened?.kind !== 'read') return { ...eventItem(row), ledger };
  const { bytes } = opened;
  return { ...eventItem(row), ledger, bytesBase64: bytes.toString('base64'), event: parsed(bytes) };
}

function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    return null;
  }
}
