/** Where a partition lacks rows of signed entries: and the records that say what stood there. */
import { TOPICS } from '../../../schemas/topics.ts';
import { ENTRY_TYPES } from '../../evidence/entry.ts';
import type { ErasedRanges } from '../../evidence/verify-erasures.ts';
import type { Store } from '../../platform/store/port.ts';
import type { LogHead } from '../ports.ts';
import type { TableName } from '../outcome.ts';

/** Offsets, both ends included. */
export interface OffsetSpan {
  readonly from: number;
  readonly to: number;
}

export interface SignedPartition {
  readonly topic: string;
  readonly partition: number;
  readonly nextOffset: number;
  readonly heads: readonly LogHeadOf[];
}
/** What of a head a repair goes by. */
export type LogHeadOf = Pick<LogHead, 'lastLeafHash' | 'logId' | 'origin' | 'size'>;

const MAX_ROWS = 10_000_000;

/** Entries [from, to] of a log that have no row in a table, or may lack one: some have none by right, as their bytes tell. */
export interface Hole {
  readonly logId: string;
  readonly table: TableName;
  readonly from: number;
  readonly to: number;
  /** Where their records are. */
  readonly span: OffsetSpan;
}

/** An entry that is erased lacks nothing. */
export async function holesOf(store: Store, at: SignedPartition, erased: ErasedRanges): Promise<Hole[]> {
  const holes: Hole[] = [];
  for (const head of at.heads) {
    holes.push(...(await missingEntries(store, head, at.nextOffset)));
    holes.push(...(await missingBeside(store, { head, topic: at.topic }, erased)));
  }
  return holes;
}

/** From the record of the entry before a run of missing ones to that of the entry behind it. */
async function missingEntries(store: Store, head: LogHeadOf, nextOffset: number): Promise<Hole[]> {
  const rows = await store.query<{
    from_idx: string;
    to_idx: string;
    from_offset: string;
    to_offset: string;
  }>(
    `SELECT toString(before + 1) AS from_idx, toString(at - 1) AS to_idx, toString(before_offset) AS from_offset, toString(at_offset) AS to_offset FROM (
       SELECT at, at_offset, lagInFrame(at, 1, toInt64(-1)) OVER w AS before, lagInFrame(at_offset, 1, toUInt64(0)) OVER w AS before_offset
       FROM (
         SELECT toInt64(idx) AS at, offset AS at_offset FROM ledger WHERE log_id = unhex({log:String}) AND idx < {size:UInt64}
         UNION ALL SELECT toInt64({size:UInt64}), {last:UInt64}
       )
       WINDOW w AS (ORDER BY at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
     ) WHERE at > before + 1`,
    { params: { log: head.logId, size: head.size, last: nextOffset - 1 }, maxResultRows: MAX_ROWS },
  );
  // An offset that somebody wrote into a row may be any number.
  const within = (offset: string): number => Math.min(Number(offset), nextOffset - 1);
  return rows.map((row) => ({
    logId: head.logId,
    table: 'ledger',
    from: Number(row.from_idx),
    to: Number(row.to_idx),
    span: { from: within(row.from_offset), to: within(row.to_offset) },
  }));
}

interface Beside {
  readonly table: TableName;
  /** Of the rows of `ledger` that should have a row there; those too of which only their bytes can tell. */
  readonly condition: string;
}

const NOT_GAP = `type != ${ENTRY_TYPES.gap}`;
const DEAD = `type = ${ENTRY_TYPES.deadLetter}`;
const READABLE = `${NOT_GAP} AND type != ${ENTRY_TYPES.deadLetter}`;
/** The audit trail is kept in the clear. */
const DISPOSED = `${READABLE} AND (log_id, idx) IN (SELECT log_id, idx FROM payloads WHERE log_id = unhex({log:String}) AND position(bytes, 'alert.disposition') > 0)`;

function tablesBeside(topic: string): readonly Beside[] {
  const always: readonly Beside[] = [
    { table: 'payloads', condition: NOT_GAP },
    { table: 'dead_letters', condition: DEAD },
  ];
  switch (topic) {
    case TOPICS.toolcalls.name:
      return [...always, { table: 'events', condition: READABLE }];
    case TOPICS.alerts.name:
      return [...always, { table: 'alerts', condition: READABLE }];
    case TOPICS.deadletters.name:
      return [...always, { table: 'dead_letters', condition: READABLE }];
    default:
      return [...always, { table: 'dispositions', condition: DISPOSED }];
  }
}

async function missingBeside(
  store: Store,
  { head, topic }: { readonly head: LogHeadOf; readonly topic: string },
  erased: ErasedRanges,
): Promise<Hole[]> {
  const { logId } = head;
  const holes: Hole[] = [];
  for (const { table, condition } of tablesBeside(topic)) {
    const rows = await store.query<{ at_idx: string; at_offset: string; tenant: string }>(
      `SELECT toString(idx) AS at_idx, toString(offset) AS at_offset, tenant FROM ledger
       WHERE log_id = unhex({log:String}) AND idx < {size:UInt64} AND ${condition}
         AND idx NOT IN (SELECT idx FROM ${table} WHERE log_id = unhex({log:String}))
       ORDER BY idx`,
      { params: { log: head.logId, size: head.size }, maxResultRows: MAX_ROWS },
    );
    for (const row of rows) {
      const [index, offset] = [Number(row.at_idx), Number(row.at_offset)];
      if (erased.covers(row.tenant, logId, index)) continue;
      holes.push({ logId, table, from: index, to: index, span: { from: offset, to: offset } });
    }
  }
  return holes;
}

/** Ascending, without overlaps; neighbours joined. */
export function joinedSpans(spans: readonly OffsetSpan[]): OffsetSpan[] {
  const joined: { from: number; to: number }[] = [];
  for (const { from, to } of spans.toSorted((a, b) => a.from - b.from)) {
    const last = joined.at(-1);
    if (last !== undefined && from <= last.to + 1) last.to = Math.max(last.to, to);
    else joined.push({ from, to });
  }
  return joined;
}
