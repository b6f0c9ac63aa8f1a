/**
 * What of the ledger belongs to a subject. Events go by their columns; alerts, where they cite one of these events or
 * name the subject; lines that nobody could read, where their bytes do. All within the signed heads.
 */
import { z } from 'zod';
import { rangesOf, formatRanges } from '../../evidence/index-ranges.ts';
import { IN_THE_CLEAR } from '../../platform/payloads/keys.ts';
import type { SqlParameter, Store } from '../../platform/store/port.ts';
import type { Intent } from './intents.ts';

/** Log id in hex, and index. */
export interface Entry {
  readonly log: string;
  readonly index: number;
}

const PLACE = 'lower(hex(log_id)) AS log, toString(idx) AS at_idx';
interface PlaceRow {
  readonly log: string;
  readonly at_idx: string;
}
const MAX_ROWS = 50_000_000;
const IN_ONE_STATEMENT = 5_000;

function condition({ by, tenant, name }: Intent): { sql: string; params: Record<string, SqlParameter> } {
  const column = by === 'principal' ? 'principal' : 'session_id';
  return { sql: `tenant = {tenant:String} AND ${column} = {name:String}`, params: { tenant, name } };
}

/** Sessions and principals whose events would go. */
export async function concerned(
  store: Store,
  intent: Intent,
): Promise<readonly { readonly session: string; readonly principal: string }[]> {
  const { sql, params } = condition(intent);
  return await store.query(`SELECT DISTINCT session_id AS session, principal FROM events WHERE ${sql}`, {
    params,
    maxResultRows: MAX_ROWS,
  });
}

/** Entries of events, alerts and dead letters that go. */
export async function entriesOf(store: Store, intent: Intent): Promise<Entry[]> {
  const { sql, params } = condition(intent);
  const options = { params, maxResultRows: MAX_ROWS };
  const events = await store.query<PlaceRow & { stream: string; at_seq: string }>(
    `SELECT ${PLACE}, lower(hex(stream_id)) AS stream, toString(seq) AS at_seq FROM events WHERE ${sql}`,
    options,
  );
  // As a JSON string: a short name is part of many words.
  const quoted = JSON.stringify(intent.name);
  const ids = new Set(events.map(({ stream, at_seq }) => `${stream}-${at_seq}`));
  const alerts = await store.query<PlaceRow & { body: string }>(
    `SELECT ${PLACE}, body FROM alerts WHERE tenant = {tenant:String}`,
    options,
  );
  const dead = await store.query<PlaceRow>(
    `SELECT ${PLACE} FROM dead_letters WHERE tenant = {tenant:String}
       AND position(raw, {quoted:String}) > 0`,
    { ...options, params: { ...params, quoted } },
  );
  const cited = alerts.filter(({ body }) => body.includes(quoted) || cites(body, ids));
  return [...events, ...cited, ...dead].map(({ log, at_idx }) => ({ log, index: Number(at_idx) }));
}

const zCites = z.object({ calls: z.array(z.object({ eventId: z.string() })) });

function cites(body: string, ids: ReadonlySet<string>): boolean {
  try {
    const parsed = zCites.safeParse(JSON.parse(body));
    return parsed.success && parsed.data.calls.some(({ eventId }) => ids.has(eventId));
  } catch {
    return false; // Not a row of ours.
  }
}

/** Numbers of the keys that these entries are kept under; those in the clear have none. */
export async function subjectsOf(store: Store, entries: readonly Entry[]): Promise<number[]> {
  const subjects = new Set<number>();
  for (const { log, indexes } of byLog(entries)) {
    for (let from = 0; from < indexes.length; from += IN_ONE_STATEMENT) {
      const rows = await store.query<{ subject: string }>(
        `SELECT DISTINCT toString(subject) AS subject FROM payloads
         WHERE log_id = unhex({log:String}) AND idx IN {indexes:Array(UInt64)}`,
        { params: { log, indexes: indexes.slice(from, from + IN_ONE_STATEMENT) }, maxResultRows: MAX_ROWS },
      );
      for (const row of rows) subjects.add(Number(row.subject));
    }
  }
  subjects.delete(IN_THE_CLEAR);
  return [...subjects].toSorted((a, b) => a - b);
}

/** All entries that are kept under these keys. */
export async function entriesUnder(store: Store, subjects: readonly number[]): Promise<Entry[]> {
  const entries: Entry[] = [];
  for (let from = 0; from < subjects.length; from += IN_ONE_STATEMENT) {
    const rows = await store.query<PlaceRow>(
      `SELECT ${PLACE} FROM payloads WHERE subject IN {subjects:Array(UInt64)}`,
      { params: { subjects: subjects.slice(from, from + IN_ONE_STATEMENT) }, maxResultRows: MAX_ROWS },
    );
    for (const { log, at_idx } of rows) entries.push({ log, index: Number(at_idx) });
  }
  return entries;
}

/**
 * Keys of a tenant whose newest event, or unreadable line, is older; at most `limit`, without those of held sessions and
 * principals. What is erased has no row any more that people query, so that none is answered twice.
 */
export async function expiredSubjects(
  store: Store,
  { tenant, beforeMs, limit }: { readonly tenant: string; readonly beforeMs: number; readonly limit: number },
  held: { readonly sessions: readonly string[]; readonly principals: readonly string[] },
): Promise<number[]> {
  const rows = await store.query<{ number: string }>(
    `SELECT toString(subject) AS number FROM (SELECT log_id, idx, subject FROM payloads WHERE subject > 0) AS p
     INNER JOIN (
       SELECT log_id, idx, principal, session_id AS session, append_time AS time FROM events WHERE tenant = {tenant:String}
       UNION ALL SELECT log_id, idx, '', '', append_time FROM dead_letters WHERE tenant = {tenant:String}
     ) AS e USING (log_id, idx)
     GROUP BY subject
     HAVING max(toUnixTimestamp64Milli(time)) < {before:UInt64}
       AND max(has({sessions:Array(String)}, session)) = 0 AND max(has({principals:Array(String)}, principal)) = 0
     ORDER BY subject LIMIT {row_limit:UInt32}`,
    {
      params: {
        tenant,
        before: beforeMs,
        sessions: held.sessions,
        principals: held.principals,
        row_limit: limit,
      },
    },
  );
  return rows.map(({ number }) => Number(number));
}

/** As ERASURE entries name them: by log, ascending, none twice. */
export function listed(entries: readonly Entry[]): { readonly log: string; readonly indexes: string }[] {
  return byLog(entries).map(({ log, indexes }) => ({ log, indexes: formatRanges(rangesOf(indexes)) }));
}

function byLog(entries: readonly Entry[]): { readonly log: string; readonly indexes: readonly number[] }[] {
  const logs = new Map<string, Set<number>>();
  for (const { log, index } of entries) {
    const held = logs.get(log);
    if (held === undefined) logs.set(log, new Set([index]));
    else held.add(index);
  }
  return [...logs]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([log, indexes]) => ({ log, indexes: [...indexes].toSorted((a, b) => a - b) }));
}
