/**
 * Rows that nobody signed for: whoever may write to the store can add rows to a table that people query, under a log
 * that does not exist or beyond the end of one that does. The rows of a batch under way look alike, so the signer is
 * asked after the tables: a row of a writer was reserved before it was inserted.
 */
import type { BundleStray } from '../../evidence/bundle.ts';
import type { Store } from '../store/port.ts';
import type { HeadSource } from './heads.ts';

/** Somebody may have written any UInt64: what no log can reach is shown as the largest number that JSON carries exactly. */
const MAX_NUMBER = String(Number.MAX_SAFE_INTEGER);
const OFFSET = `toString(least(offset, ${MAX_NUMBER})) AS at_offset`;
/** What a table can say of where a row stands. */
const PLACES = {
  ledger: `topic, partition, ${OFFSET}, session_id AS session`,
  payloads: `topic, partition, ${OFFSET}, NULL AS session`,
  events: `topic, partition, ${OFFSET}, session_id AS session`,
  alerts: 'NULL AS topic, NULL AS partition, NULL AS at_offset, session_id AS session',
  dead_letters: 'NULL AS topic, NULL AS partition, NULL AS at_offset, NULL AS session',
  dispositions: 'NULL AS topic, NULL AS partition, NULL AS at_offset, NULL AS session',
} as const;
type Table = keyof typeof PLACES;
const TABLES = Object.keys(PLACES) as Table[];

interface LogEnd {
  readonly table: Table;
  /** Hex. */
  readonly log: string;
  readonly size: number;
}

/** `sizes`: of the signed heads that were taken before, by log id. `tenant` undefined: of all tenants. */
export interface StraySearch {
  readonly signer: HeadSource;
  readonly sizes: ReadonlyMap<string, number>;
  readonly tenant: string | undefined;
}

/** The first stray row of each table and log, by log and table. */
export async function strayRows(store: Store, search: StraySearch): Promise<readonly BundleStray[]> {
  const beyond: LogEnd[] = [];
  for (const table of TABLES)
    for (const end of await logEnds(store, table, search.tenant))
      if (end.size > (search.sizes.get(end.log) ?? 0)) beyond.push(end);
  if (beyond.length === 0) return [];
  const reserved = await reservedSizes(search.signer);
  const strays: BundleStray[] = [];
  for (const end of beyond.toSorted((a, b) => (a.log < b.log ? -1 : Number(a.log > b.log)))) {
    const size = reserved.get(end.log) ?? 0;
    if (end.size > size) strays.push(...(await firstStray(store, end, size)));
  }
  return strays;
}

/** Table payloads does not name the tenant: it is left out where one tenant alone may be shown. */
async function logEnds(store: Store, table: Table, tenant: string | undefined): Promise<readonly LogEnd[]> {
  if (table === 'payloads' && tenant !== undefined) return [];
  const rows = await store.query<{ log: string; size: string }>(
    `SELECT lower(hex(log_id)) AS log, toString(least(max(idx), ${MAX_NUMBER} - 1) + 1) AS size FROM ${table}
     ${tenant === undefined ? '' : 'WHERE tenant = {tenant:String}'} GROUP BY log_id`,
    { params: { tenant: tenant ?? '' } },
  );
  return rows.map(({ log, size }) => ({ table, log, size: Number(size) }));
}

/** Sizes of all logs as signed now, or as the batch under way will leave them. */
async function reservedSizes(signer: HeadSource): Promise<ReadonlyMap<string, number>> {
  const sizes = new Map<string, number>();
  for (const { topic, partition } of await signer.heads()) {
    const { heads, outstanding } = await signer.state(topic, partition);
    for (const { logId, size } of heads) sizes.set(logId, size);
    for (const { logId, newHead } of outstanding?.logs ?? []) sizes.set(logId, newHead.size);
  }
  return sizes;
}

interface StrayRow {
  readonly at_idx: string;
  readonly topic: string | null;
  readonly partition: number | null;
  readonly at_offset: string | null;
  readonly session: string | null;
}

async function firstStray(store: Store, { table, log }: LogEnd, size: number): Promise<BundleStray[]> {
  const rows = await store.query<StrayRow>(
    `SELECT toString(least(idx, ${MAX_NUMBER})) AS at_idx, ${PLACES[table]} FROM ${table}
     WHERE log_id = unhex({log:String}) AND idx >= {size:UInt64} ORDER BY idx LIMIT 1`,
    { params: { log, size } },
  );
  return rows.map(({ at_idx: idx, at_offset: offset, ...place }) => ({
    type: 'stray',
    table,
    logId: log,
    idx: Number(idx),
    offset: offset === null ? null : Number(offset),
    ...place,
  }));
}
