/** What the tables hold of the entries of a part, and so what of it is missing. */
import { TOPICS } from '../../../schemas/topics.ts';
import { fromBase64, HASH_BYTES, toHex } from '../../evidence/bytes.ts';
import { ENTRY_TYPES } from '../../evidence/entry.ts';
import { readLedgerLine } from '../../evidence/lines.ts';
import { ErasedRanges } from '../../evidence/verify-erasures.ts';
import type { Store } from '../../platform/store/port.ts';
import { TABLE_ORDER, type EnteredRows, type KeepRow, type TableName } from '../outcome.ts';
import { leafOf } from './replay.ts';

const MAX_ROWS = 10_000_000;

/** What ERASURE entries name: the bytes of these must not come back, though the bus may hold them until its retention. */
export async function readErased(store: Store): Promise<ErasedRanges> {
  const erased = new ErasedRanges();
  const rows = await store.query<{ tenant: string; base64: string }>(
    `SELECT ledger.tenant AS tenant, base64Encode(payloads.bytes) AS base64 FROM ledger
     INNER JOIN payloads ON ledger.log_id = payloads.log_id AND ledger.idx = payloads.idx WHERE ledger.type = {erasure:UInt8}`,
    { params: { erasure: ENTRY_TYPES.erasure }, maxResultRows: MAX_ROWS },
  );
  for (const { tenant, base64 } of rows) {
    const read = readLedgerLine(TOPICS.audit.name, fromBase64(base64) ?? new Uint8Array(0));
    if (read.kind === 'audit' && read.event.audit.erasure !== undefined)
      erased.take(tenant, read.event.audit.erasure);
  }
  return erased;
}

export interface Stored {
  /** True for a row that is not there and that nobody erased. */
  readonly lacks: KeepRow;
  /** By log: the first entry whose row has another leaf hash than the one that was made again. */
  readonly differs: ReadonlyMap<string, number>;
}

/** `rows`: what the part enters. */
export async function storedOf(store: Store, rows: EnteredRows, erased: ErasedRanges): Promise<Stored> {
  const there = new Map<TableName, ReadonlyMap<string, string>>();
  for (const table of TABLE_ORDER) there.set(table, await rowsThere(store, table, rows));
  const differs = new Map<string, number>();
  for (const [place, leaf] of there.get('ledger') ?? []) {
    const [logId = '', index = ''] = place.split(' ');
    const made = leafOf(rows, logId, Number(index));
    if (made === undefined || toHex(made) === leaf) continue;
    differs.set(logId, Math.min(differs.get(logId) ?? Infinity, Number(index)));
  }
  const lacks: KeepRow = (table, { tenant, logId, index }) => {
    const log = toHex(logId);
    if (there.get(table)?.has(`${log} ${index}`) === true) return false;
    return table === 'ledger' || !erased.covers(tenant, log, index);
  };
  return { lacks, differs };
}

/** Leaf hashes (of `ledger`, else empty) by log and index. */
async function rowsThere(
  store: Store,
  table: TableName,
  rows: EnteredRows,
): Promise<ReadonlyMap<string, string>> {
  const spans = [...rows.entered].flatMap(([logId, { from, leaves }]) =>
    leaves.length === 0
      ? []
      : `(log_id = unhex('${logId}') AND idx >= ${from} AND idx < ${from + leaves.length / HASH_BYTES})`,
  );
  if (spans.length === 0) return new Map();
  const leaf = table === 'ledger' ? 'lower(hex(leaf_hash))' : `''`;
  const found = await store.query<{ log: string; at_idx: string; leaf: string }>(
    `SELECT lower(hex(log_id)) AS log, toString(idx) AS at_idx, ${leaf} AS leaf FROM ${table} WHERE ${spans.join(' OR ')}`,
    { maxResultRows: MAX_ROWS },
  );
  return new Map(found.map((row) => [`${row.log} ${row.at_idx}`, row.leaf]));
}
