/** Sessions: the listing, and one as a timeline of calls with its alerts and decisions. */
import { z } from 'zod';
import { TriplineError } from '../../schemas/errors.ts';
import { ENTRY_FLAGS } from '../evidence/entry.ts';
import { PayloadReader, SEALED_COLUMNS, type Opened, type SealedRow } from '../platform/payloads/read.ts';
import { decodeCursor } from '../platform/http/cursor.ts';
import type { Store } from '../platform/store/port.ts';
import { alertsOfSession } from './alerts.ts';
import { eventItem, selectEvents, type EventItem, type StoredPayloads } from './events.ts';
import { andAlso, isoOf, pageOf, whereOf, type Page, type zSessionQuery } from './filters.ts';

interface SessionRow {
  readonly tenant: string;
  readonly session_id: string;
  readonly agents: readonly string[];
  readonly servers: readonly string[];
  readonly calls: string;
  readonly refused: string;
  readonly events: string;
  readonly first_ms: string;
  readonly last_ms: string;
}

export type SessionItem = Readonly<Record<string, unknown>>;

const zKey = z.tuple([z.number().int(), z.string().max(256), z.string().max(256)]);
/** Events of one session that are read at once; a longer one says so (`truncated`). */
const MAX_TIMELINE_EVENTS = 10_000;
const MAX_ALERTS = 1000;
const MAX_NAMES = 32;
const MAX_STREAMS = 1000;

/** Most recently active first. */
export async function listSessions(
  store: Store,
  tenant: string,
  query: z.output<typeof zSessionQuery>,
): Promise<Page<SessionItem>> {
  const { session, agent, server, tool } = query;
  const where = whereOf(tenant, { session_id: session, agent, server, tool, class: query.class }, query);
  let having = '1';
  let cursor: Readonly<Record<string, string | number>> = {};
  if (query.cursor !== undefined) {
    const [c_ms, c_tenant, c_session] = decodeCursor(query.cursor, zKey);
    having = '(last_at, tenant, session_id) < ({c_ms:Int64}, {c_tenant:String}, {c_session:String})';
    cursor = { c_ms, c_tenant, c_session };
  }
  const rows = await store.query<SessionRow>(
    `SELECT tenant, session_id, groupUniqArray(${MAX_NAMES})(agent) AS agents,
       arrayFilter(name -> name != '', groupUniqArray(${MAX_NAMES})(server)) AS servers,
       toString(countIf(kind = 'call.intent')) AS calls,
       toString(countIf(kind = 'call.result' AND outcome = 'refused')) AS refused,
       toString(count()) AS events,
       toString(min(toUnixTimestamp64Milli(effective_time))) AS first_ms,
       max(toUnixTimestamp64Milli(effective_time)) AS last_at, toString(last_at) AS last_ms
     FROM events WHERE ${where.sql} GROUP BY tenant, session_id HAVING ${having}
     ORDER BY last_at DESC, tenant DESC, session_id DESC LIMIT {row_limit:UInt32}`,
    { params: { ...where.params, ...cursor, row_limit: query.limit + 1 } },
  );
  const alerts = await alertCounts(store, tenant, rows);
  return pageOf(rows, query.limit, {
    item: (row) => sessionItem(row, alerts.get(nameOf(row)) ?? 0),
    key: (row) => [Number(row.last_ms), row.tenant, row.session_id],
  });
}

const nameOf = (row: { readonly tenant: string; readonly session_id: string }): string =>
  `${row.tenant}\0${row.session_id}`;

async function alertCounts(
  store: Store,
  tenant: string,
  rows: readonly SessionRow[],
): Promise<ReadonlyMap<string, number>> {
  if (rows.length === 0) return new Map();
  const where = andAlso(whereOf(tenant, {}), 'session_id IN {sessions:Array(String)}', {
    sessions: rows.map((row) => row.session_id),
  });
  const counts = await store.query<{ tenant: string; session_id: string; alerts: string }>(
    `SELECT tenant, session_id, toString(uniqExact(alert_id)) AS alerts FROM alerts WHERE ${where.sql} GROUP BY tenant, session_id`,
    { params: where.params },
  );
  return new Map(counts.map((row) => [nameOf(row), Number(row.alerts)]));
}

function sessionItem(row: SessionRow, alerts: number): SessionItem {
  return {
    session: row.session_id,
    tenant: row.tenant,
    agents: row.agents,
    servers: row.servers,
    calls: Number(row.calls),
    refused: Number(row.refused),
    events: Number(row.events),
    alerts,
    firstTime: isoOf(row.first_ms),
    lastTime: isoOf(row.last_ms),
  };
}

/** The timeline of one session. Throws not_found; conflict where several tenants have a session of this name. */
export async function readSession(
  { store, keys }: StoredPayloads,
  tenant: string,
  session: string,
): Promise<SessionItem> {
  const where = whereOf(tenant, { session_id: session });
  const rows = await selectEvents(store, where, { order: 'ASC', limit: MAX_TIMELINE_EVENTS + 1 });
  const [first] = rows;
  if (first === undefined) throw new TriplineError('not_found');
  if (rows.some((row) => row.tenant !== first.tenant))
    throw new TriplineError('conflict', 'Several tenants have a session of this name; name one.', {
      path: 'tenant',
    });
  const items = rows.slice(0, MAX_TIMELINE_EVENTS).map(eventItem);
  const calls = joinCalls(items);
  const ofKind = (kind: string): readonly EventItem[] => items.filter((item) => item['kind'] === kind);
  return {
    session,
    tenant: first.tenant,
    agents: [...new Set(items.map((item) => item['agent']))],
    calls,
    messages: joinCalls(items, MESSAGE_KINDS),
    decisions: withCalls(await withDecisions({ store, keys }, first.tenant, ofKind('decision')), calls),
    streams: await streamsOf(store, first.tenant, session),
    approvals: ofKind('approval'),
    acknowledgements: ofKind('control.ack'),
    alerts: await alertsOfSession(store, first.tenant, session, MAX_ALERTS),
    truncated: rows.length > MAX_TIMELINE_EVENTS,
  };
}

interface StreamRow {
  readonly stream: string;
  readonly entries: string;
  readonly signed: string;
  readonly keys: readonly string[];
}

/** The session's writers: how many of their entries (events, gaps left out) bear a signature of the host's own key, and which. */
async function streamsOf(store: Store, tenant: string, session: string): Promise<readonly SessionItem[]> {
  const rows = await store.query<StreamRow>(
    `SELECT lower(hex(stream_id)) AS stream, toString(count()) AS entries,
       toString(countIf(bitAnd(flags, {signed:UInt8}) != 0)) AS signed,
       arrayFilter(key -> key != repeat('0', 64), groupUniqArray(${MAX_NAMES})(lower(hex(key_id)))) AS keys
     FROM ledger WHERE (log_id, idx) IN
       (SELECT log_id, idx FROM events WHERE tenant = {tenant:String} AND session_id = {session:String}
        ORDER BY effective_time LIMIT {row_limit:UInt32})
     GROUP BY stream ORDER BY stream LIMIT ${MAX_STREAMS}`,
    { params: { tenant, session, row_limit: MAX_TIMELINE_EVENTS, signed: ENTRY_FLAGS.signed } },
  );
  return rows.map(({ stream, entries, signed, keys }) => ({
    stream,
    entries: Number(entries),
    signed: Number(signed),
    keyIds: keys,
  }));
}

type IdName = 'intentId' | 'resultId';
const CALL_KINDS = { 'call.intent': 'intentId', 'call.result': 'resultId' } as const;
/** Messages of MCP beside tool calls: requests of either side with their answers. */
const MESSAGE_KINDS = { 'mcp.request': 'intentId', 'mcp.result': 'resultId' } as const;

/** Intents in order, each with its result; a result whose intent is not there stands for itself. Pure. */
export function joinCalls(
  items: readonly EventItem[],
  kinds: Readonly<Record<string, IdName>> = CALL_KINDS,
): readonly EventItem[] {
  const calls = new Map<unknown, Record<string, unknown>>();
  for (const item of items) {
    const idName = kinds[String(item['kind'])];
    if (idName === undefined) continue;
    // A call id is unique inside one stream only: another writer may use the same one.
    const key = `${String(item['stream'])}/${String(item['callId'])}`;
    const known = calls.get(key);
    if (known === undefined) calls.set(key, callOf(item, idName));
    else addTo(known, item, idName);
  }
  return [...calls.values()];
}

function callOf(item: EventItem, idName: IdName): Record<string, unknown> {
  const call: Record<string, unknown> = { ...item };
  delete call['id'];
  delete call['kind'];
  call[idName] = item['id'];
  addLabels(call, item, idName);
  return call;
}

/** `labels` are all of the call's; beside them those of the arguments and of the result alone. */
function addLabels(call: Record<string, unknown>, item: EventItem, idName: IdName): void {
  const labels = item['labels'];
  if (!Array.isArray(labels)) return;
  const known: readonly unknown[] = Array.isArray(call['labels']) ? call['labels'] : [];
  call[idName === 'intentId' ? 'argsLabels' : 'resultLabels'] = labels;
  call['labels'] = [...new Set<unknown>([...known, ...(labels as readonly unknown[])])];
}

/** The first intent and the first result count; what a repeated one says stays readable under its own event id. */
function addTo(call: Record<string, unknown>, item: EventItem, idName: IdName): void {
  if (call[idName] !== undefined) return;
  for (const [name, value] of Object.entries(item))
    if (call[name] === undefined && name !== 'id' && name !== 'kind') call[name] = value;
  addLabels(call, item, idName);
  call[idName] = item['id'];
  if (idName === 'resultId') call['endTime'] = item['time'];
}

/** A decision that was made before its call had an id: the call names the decision instead. Pure. */
export function withCalls(
  decisions: readonly EventItem[],
  calls: readonly EventItem[],
): readonly EventItem[] {
  const key = (item: EventItem): string => `${String(item['stream'])}/${String(item['decisionId'])}`;
  const byDecision = new Map(
    calls.filter((call) => call['decisionId'] !== undefined).map((call) => [key(call), call]),
  );
  return decisions.map((decision) => {
    const call = decision['callId'] === undefined ? byDecision.get(key(decision)) : undefined;
    return call === undefined ? decision : { ...decision, callId: call['callId'] };
  });
}

/** What a decision says is in its bytes only. */
async function withDecisions(
  { store, keys }: StoredPayloads,
  tenant: string,
  items: readonly EventItem[],
): Promise<readonly EventItem[]> {
  if (items.length === 0) return [];
  const rows = await store.query<SealedRow & { stream: string; at_seq: string }>(
    `SELECT lower(hex(e.stream_id)) AS stream, toString(e.seq) AS at_seq, ${SEALED_COLUMNS}
     FROM payloads AS p INNER JOIN
       (SELECT log_id, idx, stream_id, seq FROM events WHERE tenant = {tenant:String} AND session_id = {session:String} AND kind = 'decision' LIMIT {row_limit:UInt32}) AS e
     USING (log_id, idx)`,
    { params: { tenant, session: String(items[0]?.['session']), row_limit: MAX_TIMELINE_EVENTS } },
  );
  const opened = await new PayloadReader(store, keys).open(rows);
  const bodies = new Map(
    rows.map((row, at): [string, unknown] => [`${row.stream}-${row.at_seq}`, decisionOf(opened[at])]),
  );
  return items.map((item) => {
    const decision = bodies.get(String(item['id']));
    return decision === undefined ? item : { ...item, decision };
  });
}

/** Undefined where the bytes are gone, or hold none. */
function decisionOf(opened: Opened | undefined): unknown {
  if (opened?.kind !== 'read') return undefined;
  try {
    const line: unknown = JSON.parse(opened.bytes.toString('utf8'));
    return typeof line === 'object' && line !== null && 'decision' in line ? line.decision : undefined;
  } catch {
    return undefined; // Bytes in a database may be anybody's.
  }
}
