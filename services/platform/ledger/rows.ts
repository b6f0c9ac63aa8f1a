/** Rows of the ledger tables in the form of an evidence bundle, range by range of one log. */
import { ENTRY_TYPES } from '../../evidence/entry.ts';
import { SEALED_COLUMNS, type PayloadReader, type SealedRow } from '../payloads/read.ts';
import type { Depth } from '../../evidence/depth.ts';
import type { Store } from '../store/port.ts';

export interface IndexRange {
  /** Hex. */
  readonly logId: string;
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  /** Of these alone. */
  readonly indexes?: readonly number[];
  /** Bytes and columns are wanted of these alone, ledger rows of all. */
  readonly depth?: Depth;
}

/** What lookOf calls deep. */
function lookedInto(depth: Depth | undefined): string {
  if (depth === undefined) return '';
  const { below, sample } = depth;
  const from = below > 0 ? ` AND idx >= ${Math.trunc(below)}` : '';
  if (sample === undefined) return from;
  return `${from} AND idx % ${Math.trunc(sample.every)} = ${Math.trunc(sample.phase)}`;
}

/** In the statement, not as a parameter: to a server those travel in the URL, which is too short for them. */
const among = (indexes: readonly number[] | undefined): string =>
  indexes === undefined ? '' : ` AND idx IN (${indexes.map(Math.trunc).join(',')})`;

export type Columns = Readonly<Record<string, unknown>>;
export interface IndexedRow {
  readonly idx: string;
}

const hex = (column: string): string => `lower(hex(${column})) AS ${column}`;
const base64 = (column: string): string => `base64Encode(${column}) AS ${column}`;
const ms = (column: string): string => `toUnixTimestamp64Milli(${column}) AS ${column}`;

const LEDGER = `type, ${hex('leaf_hash')}, ${hex('prev_leaf_hash')}, topic, partition, offset, line, append_ms,
  ${hex('stream_id')}, seq, ${hex('ev_hash')}, ${hex('key_id')}, flags, tenant, session_id`;
const PAYLOADS = `topic, partition, offset, line, ${hex('prev_ev_hash')}, ${base64('batch')}, ${SEALED_COLUMNS}`;
const EVENTS = `tenant, topic, partition, offset, line, ${ms('append_time')}, ${hex('stream_id')}, seq, session_id,
  ${ms('event_time')}, ${ms('effective_time')}, kind, agent, principal, host, call_id, logical_call_id, trace_id,
  span_id, parent_span_id, server, transport, tool, claimed_class, class, class_source, class_version, dest_host,
  definition_hash, args_hash, args_bytes, result_hash, result_bytes, schema_valid, outcome, duration_ms, trust, labels,
  verdict, control_id, approval_id, method, resource_uri, task_id, decision_id,
  policy_id, policy_version, policy_mode, policy_effect, policy_rule, policy_hash, approval_ttl_ms, unknown_fields,
  findings`;
const ALERTS = `tenant, ${ms('append_time')}, alert_id, rule_id, rule_hash, title, level, mode, scope, session_id,
  agent, ${ms('effective_time')}, time_basis, tags, body`;
const DEAD_LETTERS = `tenant, ${ms('append_time')}, code, path, message, origin, ${base64('raw')}, raw_bytes, raw_hash`;
const DISPOSITIONS = `tenant, ${ms('append_time')}, alert_id, rule_id, disposition, reason, actor, role, ${ms('event_time')}`;

const RANGE = 'log_id = unhex({log:String}) AND idx >= {from:UInt64} AND idx < {to:UInt64}';

/** A row as JSON text: the engine makes it, and it goes into the bundle as it is. */
export interface TextRow extends IndexedRow {
  readonly row: string;
}

const text = (columns: string): string => `formatRowNoNewline('JSONEachRow', ${columns}) AS row`;

/** The tables, and what opens their payloads. */
export interface StoredRows {
  readonly store: Store;
  readonly reader: PayloadReader;
}

/** Tables in the order of the log, of which a range is read in no time. */
export interface RangeRows {
  readonly ledger: readonly TextRow[];
  readonly payloads: readonly (Columns & IndexedRow)[];
}

/** Rows of the range, each list by index. */
export async function readRange({ store, reader }: StoredRows, range: IndexRange): Promise<RangeRows> {
  const params = { log: range.logId, from: range.from, to: range.to };
  const where = RANGE + among(range.indexes);
  const [ledger, payloads] = await Promise.all([
    store.query<TextRow>(`SELECT idx, ${text(LEDGER)} FROM ledger WHERE ${where} ORDER BY idx`, { params }),
    // Not as text: the engine writes each slash of base64 as two characters.
    store.query<Columns & IndexedRow>(
      `SELECT idx, ${PAYLOADS} FROM payloads WHERE ${where}${lookedIntoAlways(range.depth)} ORDER BY idx`,
      { params: { ...params, erasure: ENTRY_TYPES.erasure } },
    ),
  ]);
  return { ledger, payloads: await openedPayloads(payloads, reader) };
}

/** Tables that are kept in the order of sessions, by their names in a bundle. */
const PROJECTED = {
  events: ['events', EVENTS],
  alerts: ['alerts', ALERTS],
  deadLetters: ['dead_letters', DEAD_LETTERS],
  dispositions: ['dispositions', DISPOSITIONS],
} as const;
export type ProjectedTable = keyof typeof PROJECTED;

export interface ProjectedRow extends TextRow {
  /** Hex. */
  readonly log: string;
  readonly table: ProjectedTable;
}

/**
 * What these tables hold of the given logs and indexes, by log and index. They are read from end to end and sorted once
 * for all of it, as no range of a log lies together in them.
 */
export async function* readProjected(
  store: Store,
  spans: readonly IndexRange[],
): AsyncGenerator<ProjectedRow> {
  const where = spans.map(spanCondition).join(' OR ');
  const parts = Object.entries(PROJECTED).map(
    ([name, [table, columns]]) =>
      `SELECT log_id, idx, '${name}' AS table, ${text(columns)} FROM ${table} WHERE ${where}`,
  );
  const rows = store.queryStream<ProjectedRow>(
    `SELECT lower(hex(log_id)) AS log, idx, table, row FROM (${parts.join(' UNION ALL ')}) ORDER BY log_id, idx, table`,
  );
  for await (const some of rows) yield* some;
}

/** In the statement, not as parameters: to a server those travel in the URL. */
function spanCondition({ logId, from, to, indexes, depth }: IndexRange): string {
  if (!/^[0-9a-f]{64}$/.test(logId)) throw new RangeError('not the id of a log');
  return `(log_id = unhex('${logId}') AND idx >= ${Math.trunc(from)} AND idx < ${Math.trunc(to)}${among(indexes)}${lookedInto(depth)})`;
}

/** ERASURE entries are read whatever a verifier looks into: without them what is erased would be missing. */
function lookedIntoAlways(depth: Depth | undefined): string {
  const condition = lookedInto(depth);
  if (condition === '') return '';
  return ` AND ((1${condition}) OR idx IN (SELECT idx FROM ledger WHERE ${RANGE} AND type = {erasure:UInt8}))`;
}

type PayloadRow = Columns & IndexedRow;

/** In the form of a bundle: what was sealed is opened, where its key is still there. */
async function openedPayloads(rows: readonly PayloadRow[], reader: PayloadReader): Promise<PayloadRow[]> {
  const opened = await reader.open(rows as readonly (PayloadRow & SealedRow)[]);
  return rows.map((row, at) => {
    const { idx, topic, partition, offset, line, prev_ev_hash, batch } = row;
    const place = { idx, topic, partition, offset, line, prev_ev_hash, batch };
    const payload = opened[at];
    switch (payload?.kind) {
      case 'read':
        return { ...place, bytes: payload.bytes.toString('base64') };
      case 'erased':
        return { ...place, bytes: '', erased: true };
      case 'altered':
      case undefined:
        return { ...place, bytes: '' };
    }
  });
}

/** Where a range that starts at `from` ends, so that its payloads stay within `maxBytes` (one row at least). */
export async function rangeEnd(store: Store, range: IndexRange, maxBytes: number): Promise<number> {
  const rows = await store.query<{ idx: string; bytes: string }>(
    `SELECT idx, toString(if(subject = 0, length(bytes), size)) AS bytes FROM payloads WHERE ${RANGE}${among(range.indexes)}${lookedInto(range.depth)} ORDER BY idx`,
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
export function readLeaves(store: Store, range: IndexRange): Promise<{ idx: string; leaf_hash: string }[]> {
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
export function readEntries(store: Store, range: IndexRange): Promise<EntryRow[]> {
  return store.query(`SELECT idx, ${LEDGER} FROM ledger WHERE ${RANGE} ORDER BY idx`, {
    params: { log: range.logId, from: range.from, to: range.to },
  });
}

export interface RowFilter {
  readonly session?: string | undefined;
  /** Stream and seq: `<32 hex digits>-<number>`. The whole record comes along, since an entry may stand for its neighbour. */
  readonly event?: string | undefined;
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
}

/** Indexes of the entries that a filter keeps, in order. ERASURE entries always: without them what is erased would be missing. */
export async function filteredIndexes(
  store: Store,
  range: IndexRange,
  filter: RowFilter,
): Promise<readonly number[]> {
  const rows = await store.query<IndexedRow>(
    `SELECT DISTINCT idx FROM ledger WHERE ${RANGE}
       AND (({anyEvent:UInt8} = 1 OR offset IN
           (SELECT offset FROM ledger WHERE ${RANGE} AND stream_id = unhex({stream:String}) AND seq = {seq:UInt64}))
         AND ({any:UInt8} = 1 OR session_id = {session:String}) AND append_ms >= {since:UInt64} AND append_ms < {until:UInt64}
         OR type = {erasure:UInt8})
     ORDER BY idx`,
    {
      params: {
        log: range.logId,
        from: range.from,
        to: range.to,
        ...eventParams(filter.event),
        erasure: ENTRY_TYPES.erasure,
        any: filter.session === undefined ? 1 : 0,
        session: filter.session ?? '',
        since: filter.sinceMs ?? 0,
        until: filter.untilMs ?? Number.MAX_SAFE_INTEGER,
      },
    },
  );
  return rows.map((row) => Number(row.idx));
}

function eventParams(event: string | undefined) {
  const [stream = '', seq = '0'] = event?.split('-') ?? [];
  return {
    anyEvent: event === undefined ? 1 : 0,
    stream: event === undefined ? '0'.repeat(32) : stream,
    seq,
  };
}
