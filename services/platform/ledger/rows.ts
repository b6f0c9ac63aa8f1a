/** Rows of the ledger tables in the form of an evidence bundle, range by range of one log. */
import type { Store } from '../store/port.ts';

export interface LogRange {
  /** Hex. */
  readonly logId: string;
  readonly tenant: string;
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

export type Columns = Readonly<Record<string, unknown>>;
export interface IndexedRow {
  readonly idx: string;
}

const hex = (column: string): string => `lower(hex(${column})) AS ${column}`;
const base64 = (column: string): string => `base64Encode(${column}) AS ${column}`;
const ms = (column: string): string => `toUnixTimestamp64Milli(${column}) AS ${column}`;

const LEDGER = `idx, type, ${hex('leaf_hash')}, ${hex('prev_leaf_hash')}, topic, partition, offset, line, append_ms,
  ${hex('stream_id')}, seq, ${hex('ev_hash')}, ${hex('key_id')}, flags, tenant, session_id`;
const PAYLOADS = `idx, topic, partition, offset, line, ${hex('prev_ev_hash')}, ${base64('bytes')}, ${base64('batch')}`;
const EVENTS = `idx, tenant, topic, partition, offset, line, ${ms('append_time')}, ${hex('stream_id')}, seq, session_id,
  ${ms('event_time')}, ${ms('effective_time')}, kind, agent, principal, host, call_id, logical_call_id, trace_id,
  span_id, parent_span_id, server, transport, tool, claimed_class, class, class_source, class_version, dest_host,
  definition_hash, args_hash, args_bytes, result_hash, result_bytes, schema_valid, outcome, duration_ms, trust, labels,
  verdict, control_id, approval_id, method, resource_uri, task_id, decision_id, unknown_fields, findings`;
const ALERTS = `idx, tenant, ${ms('append_time')}, alert_id, rule_id, rule_hash, title, level, mode, scope, session_id,
  agent, ${ms('effective_time')}, time_basis, tags, body`;
const DEAD_LETTERS = `idx, tenant, ${ms('append_time')}, code, path, message, origin, ${base64('raw')}, raw_bytes, raw_hash`;
const DISPOSITIONS = `idx, tenant, ${ms('append_time')}, alert_id, rule_id, disposition, reason, actor, role, ${ms('event_time')}`;

const RANGE = 'log_id = unhex({log:String}) AND idx >= {from:UInt64} AND idx < {to:UInt64}';

export interface RangeRows {
  readonly ledger: readonly (Columns & IndexedRow)[];
  readonly payloads: readonly (Columns & IndexedRow)[];
  readonly events: readonly (Columns & IndexedRow)[];
  readonly alerts: readonly (Columns & IndexedRow)[];
  readonly deadLetters: readonly (Columns & IndexedRow)[];
  readonly dispositions: readonly (Columns & IndexedRow)[];
}

/** All rows of all tables in the range, each list by index. */
export async function readRange(store: Store, range: LogRange): Promise<RangeRows> {
  const params = { log: range.logId, from: range.from, to: range.to, tenant: range.tenant };
  const select = (table: string, columns: string, more = ''): Promise<(Columns & IndexedRow)[]> =>
    store.query(`SELECT ${columns} FROM ${table} WHERE ${RANGE}${more} ORDER BY idx`, { params });
  return {
    ledger: await select('ledger', LEDGER),
    payloads: await select('payloads', PAYLOADS),
    events: await select('events', EVENTS),
    alerts: await select('alerts', ALERTS),
    deadLetters: await select('dead_letters', DEAD_LETTERS),
    dispositions: await select('dispositions', DISPOSITIONS),
  };
}

/** Where a range that starts at `from` ends, so that its payloads stay within `maxBytes` (one row at least). */
export async function rangeEnd(store: Store, range: LogRange, maxBytes: number): Promise<number> {
  const rows = await store.query<{ idx: string; bytes: string }>(
    `SELECT idx, toString(length(bytes)) AS bytes FROM payloads WHERE ${RANGE} ORDER BY idx`,
    { params: { log: range.logId, from: range.from, to: range.to } },
  );
  let total = 0;
  for (const row of rows) {
    total += Number(row.bytes);
    if (total > maxBytes && Number(row.idx) > range.from) return Number(row.idx);
  }
  return range.to;
}

/** Leaf hashes of a range in hex, by index; twin and missing rows show as they are. */
export function readLeaves(
  store: Store,
  range: Omit<LogRange, 'tenant'>,
): Promise<{ idx: string; leaf_hash: string }[]> {
  return store.query(`SELECT idx, ${hex('leaf_hash')} FROM ledger WHERE ${RANGE} ORDER BY idx`, {
    params: { log: range.logId, from: range.from, to: range.to },
  });
}

export interface EntryRow extends IndexedRow {
  readonly type: number;
  readonly prev_leaf_hash: string;
  readonly append_ms: string | number;
  readonly offset: string | number;
  readonly line: number;
  readonly stream_id: string;
  readonly seq: string | number;
  readonly ev_hash: string;
  readonly key_id: string;
  readonly flags: number;
}

/** What the entries of a range are made of, by index; twin and missing rows show as they are. */
export function readEntries(store: Store, range: Omit<LogRange, 'tenant'>): Promise<EntryRow[]> {
  return store.query(`SELECT ${LEDGER} FROM ledger WHERE ${RANGE} ORDER BY idx`, {
    params: { log: range.logId, from: range.from, to: range.to },
  });
}

export interface RowFilter {
  readonly session?: string | undefined;
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
}

/** Indexes of the entries that a filter keeps, in order. */
export async function filteredIndexes(
  store: Store,
  range: LogRange,
  filter: RowFilter,
): Promise<readonly number[]> {
  const rows = await store.query<IndexedRow>(
    `SELECT DISTINCT idx FROM ledger WHERE ${RANGE}
       AND ({any:UInt8} = 1 OR session_id = {session:String}) AND append_ms >= {since:UInt64} AND append_ms < {until:UInt64}
     ORDER BY idx`,
    {
      params: {
        log: range.logId,
        from: range.from,
        to: range.to,
        any: filter.session === undefined ? 1 : 0,
        session: filter.session ?? '',
        since: filter.sinceMs ?? 0,
        until: filter.untilMs ?? Number.MAX_SAFE_INTEGER,
      },
    },
  );
  return rows.map((row) => Number(row.idx));
}
