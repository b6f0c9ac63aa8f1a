/** Rows of the ledger tables in the form of an evidence bundle, range by range of one log. */
import { BlockWriter } from '../../evidence/bundle-binary.ts';
import { ENTRY_TYPES } from '../../evidence/entry.ts';
import { RowReader } from '../../evidence/row-reader.ts';
import { TABLE_LAYOUTS, type Layout, type TableLayouts } from '../../evidence/table-layout.ts';
import { IN_THE_CLEAR } from '../payloads/keys.ts';
import type { PayloadReader, SealedRow } from '../payloads/read.ts';
import { equalBytes, HASH_BYTES, toHex } from '../../evidence/bytes.ts';
import { RowWriter } from '../../evidence/row-binary.ts';
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
const bigEndian = (column: string): string => `reinterpretAsFixedString(byteSwap(${column}))`;
const byte = (column: string): string => `reinterpretAsFixedString(${column})`;

const LEDGER = `type, ${hex('leaf_hash')}, ${hex('prev_leaf_hash')}, topic, partition, offset, line, append_ms,
  ${hex('stream_id')}, seq, ${hex('ev_hash')}, ${hex('key_id')}, flags, tenant, session_id`;
/** As a block of a bundle has it: the entry first, as it was hashed. */
const LEDGER_ROW = `toFixedString(concat(${byte('type')}, ${bigEndian('idx')}, prev_leaf_hash, ${bigEndian('append_ms')},
  ${bigEndian('offset')}, ${bigEndian('line')}, stream_id, ${bigEndian('seq')}, ev_hash, key_id, ${byte('flags')}), 148),
  leaf_hash, partition, topic, tenant, session_id`;
const PAYLOADS = 'idx, subject, block, place, partition, offset, line, prev_ev_hash, topic, batch, bytes';

const columnsOf = (layout: Layout): string =>
  layout.map(([name, type]) => (type === 'ms' ? `toUnixTimestamp64Milli(${name})` : name)).join(', ');

const RANGE = 'log_id = unhex({log:String}) AND idx >= {from:UInt64} AND idx < {to:UInt64}';

/** The tables, and what opens their payloads. */
export interface StoredRows {
  readonly store: Store;
  readonly reader: PayloadReader;
}

/** Tables in the order of the log, of which a range is read in no time: its rows, each table by index. */
export async function readRange({ store, reader }: StoredRows, range: IndexRange): Promise<BlockWriter> {
  const params = { log: range.logId, from: range.from, to: range.to };
  const where = RANGE + among(range.indexes);
  const [ledger, payloads] = await Promise.all([
    store.queryBlock(
      `SELECT idx, formatRow('RowBinary', ${LEDGER_ROW}) FROM ledger WHERE ${where} ORDER BY idx`,
      {
        params,
      },
    ),
    store.queryBlock(
      `SELECT ${PAYLOADS} FROM payloads WHERE ${where}${lookedIntoAlways(range.depth)} ORDER BY idx`,
      {
        params: { ...params, erasure: ENTRY_TYPES.erasure },
      },
    ),
  ]);
  const block = new BlockWriter();
  block.rowsOf('ledger').fixed(ledger);
  await addPayloads(block, { logId: range.logId, reader, rows: payloadRows(payloads) });
  return block;
}

/** Tables that are kept in the order of sessions. */
const PROJECTED = {
  events: 'events',
  alerts: 'alerts',
  deadLetters: 'dead_letters',
  dispositions: 'dispositions',
} as const satisfies Record<keyof TableLayouts, string>;
export type ProjectedTable = keyof typeof PROJECTED;
const TABLES = Object.keys(PROJECTED) as readonly ProjectedTable[];

export interface ProjectedRow {
  /** Hex. */
  readonly log: string;
  readonly idx: number;
  readonly table: ProjectedTable;
  /** RowBinary of its columns. */
  readonly row: Uint8Array;
}

/**
 * What these tables hold of the given logs and indexes, by log and index. They are read from end to end and sorted once
 * for all of it, as no range of a log lies together in them.
 */
export async function* readProjected(
  store: Store,
  spans: readonly IndexRange[],
): AsyncGenerator<ProjectedRow[]> {
  const where = spans.map(spanCondition).join(' OR ');
  const parts = TABLES.map(
    (table, number) =>
      `SELECT log_id, idx, toUInt8(${number}) AS table, formatRow('RowBinary', ${columnsOf(TABLE_LAYOUTS[table])}) AS row
       FROM ${PROJECTED[table]} WHERE ${where}`,
  );
  const pieces = store.queryBinary(
    `SELECT log_id, idx, table, row FROM (${parts.join(' UNION ALL ')}) ORDER BY log_id, idx, table`,
  );
  let rest: Uint8Array = new Uint8Array(0);
  for await (const piece of pieces) {
    const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    const { rows, read } = projectedRows(bytes);
    rest = bytes.subarray(read);
    yield rows;
  }
}

/** Whole rows of a piece that is cut anywhere, and where they end. */
function projectedRows(bytes: Uint8Array): { readonly rows: ProjectedRow[]; readonly read: number } {
  const reader = new RowReader(bytes);
  const rows: ProjectedRow[] = [];
  let read = 0;
  let log = '';
  let logId: Uint8Array = new Uint8Array(0);
  while (bytes.length - read >= MIN_PROJECTED_BYTES) {
    reader.at = read;
    const id = reader.fixed(HASH_BYTES);
    const idx = reader.u64();
    const table = TABLES[reader.u8()] as ProjectedTable;
    const length = reader.length();
    if (length > bytes.length - reader.at) break;
    const row = reader.fixed(length);
    if (!equalBytes(id, logId)) log = toHex(id);
    logId = id;
    rows.push({ log, idx, table, row });
    read = reader.at;
  }
  return { rows, read };
}

/** Log, index, table, and the longest length of a row. */
const MIN_PROJECTED_BYTES = 32 + 8 + 1 + 5;

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

interface PayloadRow {
  readonly idx: number;
  readonly subject: number;
  readonly block: number;
  readonly place: number;
  /** Partition to prev_ev_hash, as they are. */
  readonly head: Uint8Array;
  readonly topic: Uint8Array;
  readonly batch: Uint8Array;
  readonly bytes: Uint8Array;
}

const PAYLOAD_HEAD_BYTES = 4 + 8 + 2 + HASH_BYTES;

function payloadRows(bytes: Uint8Array): PayloadRow[] {
  const reader = new RowReader(bytes);
  const rows: PayloadRow[] = [];
  while (!reader.isOver) {
    const [idx, subject, block, place] = [reader.u64(), reader.u64(), reader.u64(), reader.u16()];
    const head = reader.fixed(PAYLOAD_HEAD_BYTES);
    const [topic, batch, content] = [reader.blob(), reader.blob(), reader.blob()];
    rows.push({ idx, subject, block, place, head, topic, batch, bytes: content });
  }
  return rows;
}

interface Payloads {
  readonly logId: string;
  readonly reader: PayloadReader;
  readonly rows: readonly PayloadRow[];
}

/** In the form of a bundle: what was sealed is opened, where its key is still there. */
async function addPayloads(block: BlockWriter, { logId, reader, rows }: Payloads): Promise<void> {
  const sealed = rows.filter(({ subject }) => subject !== IN_THE_CLEAR);
  const opened = sealed.length === 0 ? [] : await reader.open(sealed.map((row) => sealedRow(row, logId)));
  const contents = new Map(sealed.map((row, at) => [row, opened[at]]));
  const one = new RowWriter();
  const into = block.rowsOf('payloads');
  for (const row of rows) {
    const content = contents.get(row);
    const bytes =
      row.subject === IN_THE_CLEAR ? row.bytes : content?.kind === 'read' ? content.bytes : NO_BYTES;
    one.clear();
    one.fixed(row.head);
    one.u8(content?.kind === 'erased' ? 1 : 0);
    one.blob(row.topic);
    one.blob(row.batch);
    one.blob(bytes);
    into.u64(row.idx);
    into.blob(one.bytes());
  }
}

const NO_BYTES = new Uint8Array(0);

function sealedRow({ idx, subject, block, place, bytes }: PayloadRow, logId: string): SealedRow {
  const base64 = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
  return {
    at_log: logId,
    at_idx: String(idx),
    subject: String(subject),
    block: String(block),
    place,
    base64,
  };
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
