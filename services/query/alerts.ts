/** Alerts: one item an alert id, newest first. */
import { z } from 'zod';
import { decodeCursor } from '../platform/http/cursor.ts';
import type { Store } from '../platform/store/port.ts';
import { alertName, latestDispositions, withDisposition, type DispositionItem } from './dispositions.ts';
import { andAlso, isoOf, pageOf, whereOf, type Page, type Where, type zAlertQuery } from './filters.ts';

export type AlertItem = Readonly<Record<string, unknown>>;

interface AlertRow {
  readonly tenant: string;
  readonly alert_id: string;
  readonly session_id: string;
  readonly agent: string;
  readonly effective_ms: string;
  readonly append_ms: string;
  readonly body: string;
}

const zKey = z.tuple([z.number().int(), z.string().max(256)]);
/** Fields of a call inside the stored body, by filter. */
const CALL_FIELDS = ['server', 'tool', 'class'] as const;

export async function listAlerts(
  store: Store,
  tenant: string,
  query: z.output<typeof zAlertQuery>,
): Promise<Page<AlertItem>> {
  const columns = { session_id: query.session, agent: query.agent, rule_id: query.rule, level: query.level };
  let where = whereOf(tenant, columns, query);
  for (const field of CALL_FIELDS) {
    const value = query[field];
    if (value === undefined) continue;
    const names = `arrayMap(call -> JSONExtractString(call, '${field}'), JSONExtractArrayRaw(body, 'calls'))`;
    where = andAlso(where, `has(${names}, {call_${field}:String})`, { [`call_${field}`]: value });
  }
  if (query.disposition !== undefined) where = withDisposition(where, tenant, query.disposition);
  if (query.cursor !== undefined) {
    const [c_ms, c_id] = decodeCursor(query.cursor, zKey);
    where = andAlso(
      where,
      '(toUnixTimestamp64Milli(effective_time), alert_id) < ({c_ms:Int64}, {c_id:String})',
      { c_ms, c_id },
    );
  }
  const rows = await selectAlerts(store, where, query.limit + 1);
  const dispositions = await latestDispositions(store, tenant, rows);
  return pageOf(rows, query.limit, {
    item: (row) => alertItem(row, dispositions.get(alertName(row))),
    key: (row) => [Number(row.effective_ms), row.alert_id],
  });
}

/** Alerts that cite a call of the session, or are keyed by it. */
export async function alertsOfSession(
  store: Store,
  tenant: string,
  session: string,
  limit: number,
): Promise<readonly AlertItem[]> {
  const cited = `has(arrayMap(call -> JSONExtractString(call, 'session'), JSONExtractArrayRaw(body, 'calls')), {of_session:String})`;
  const where = andAlso(whereOf(tenant, {}), `(session_id = {of_session:String} OR ${cited})`, {
    of_session: session,
  });
  const rows = await selectAlerts(store, where, limit);
  const dispositions = await latestDispositions(store, tenant, rows);
  return rows.map((row) => alertItem(row, dispositions.get(alertName(row))));
}

async function selectAlerts(store: Store, where: Where, limit: number): Promise<AlertRow[]> {
  return await store.query<AlertRow>(
    `SELECT tenant, alert_id, session_id, agent, body,
       toString(toUnixTimestamp64Milli(effective_time)) AS effective_ms,
       toString(toUnixTimestamp64Milli(append_time)) AS append_ms
     FROM alerts WHERE ${where.sql}
     ORDER BY effective_time DESC, alert_id DESC, append_time ASC
     LIMIT 1 BY tenant, alert_id LIMIT {row_limit:UInt32}`,
    { params: { ...where.params, row_limit: limit } },
  );
}

function alertItem(row: AlertRow, disposition: DispositionItem | undefined): AlertItem {
  const body: unknown = JSON.parse(row.body);
  return {
    ...(typeof body === 'object' ? body : {}),
    id: row.alert_id,
    tenant: row.tenant,
    session: row.session_id,
    agent: row.agent,
    time: isoOf(row.effective_ms),
    appendTime: isoOf(row.append_ms),
    disposition: disposition ?? null,
  };
}
