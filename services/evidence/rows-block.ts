/**
 * Rows of one log in a binary bundle: for each table its rows in order of their index, as they came out of the store. Read
 * in place; an entry's rows become objects in the form of NDJSON only where somebody asks for them. Whoever wrote the block
 * may have written anything: each read stays within its row, and what does not fit throws export_invalid.
 *
 *   block    = 7 x (LEB128 length || rows)      ledger, payloads, events, alerts, dead letters, dispositions, proofs
 *   rows     = n x (u64 idx || LEB128 length || row)
 *   row      = RowBinary of its columns; of a proof, hashes of 32 bytes each
 *   ledger   = entry[148] (what follows its domain in entry.ts) || leaf_hash[32] || u32 partition || topic || tenant || session_id
 *   payloads = u32 partition || u64 offset || u16 line || prev_ev_hash[32] || u8 erased || topic || batch || bytes
 *   others   : columns as the header of the bundle names them (table-layout.ts)
 */
import { TriplineError } from '../../schemas/errors.ts';
import { HASH_BYTES, PaddedMessages, sha256EachOf, toHex, type EvidenceCrypto } from './bytes.ts';
import { ENTRY_DOMAIN } from './entry.ts';
import { RowReader, textAt } from './row-reader.ts';
import type { TableLayouts } from './table-layout.ts';

export const BLOCK_TABLES = [
  'ledger',
  'payloads',
  'events',
  'alerts',
  'deadLetters',
  'dispositions',
  'proofs',
] as const;
export type BlockTable = (typeof BLOCK_TABLES)[number];

/** Places in a row of the ledger: the entry, and what is not hashed. Those of the entry are big endian. */
export const LEDGER_AT = {
  type: 0,
  index: 1,
  prev: 9,
  appendMs: 41,
  offset: 49,
  line: 57,
  stream: 59,
  seq: 75,
  eventHash: 83,
  keyId: 115,
  flags: 147,
  leafHash: 148,
  partition: 180,
  texts: 184,
} as const;
export const ENTRY_BODY_BYTES = LEDGER_AT.leafHash;
/** Places in a row of payloads. */
export const PAYLOAD_AT = { partition: 0, offset: 4, line: 12, prev: 14, erased: 46, texts: 47 } as const;

/** With three texts that are empty. */
const SHORTEST: Readonly<Partial<Record<BlockTable, number>>> = {
  ledger: LEDGER_AT.texts + 3,
  payloads: PAYLOAD_AT.texts + 3,
};

/** Where the rows of one table lie. */
export interface Places {
  readonly count: number;
  readonly idx: Float64Array;
  readonly from: Uint32Array;
  readonly to: Uint32Array;
}

/** idx and the length of an empty row. */
const MIN_ROW_BYTES = 9;

function placesOf(reader: RowReader, table: BlockTable): Places {
  const bytes = reader.length();
  const start = reader.skip(bytes);
  const most = Math.floor(bytes / MIN_ROW_BYTES);
  const places = {
    idx: new Float64Array(most),
    from: new Uint32Array(most),
    to: new Uint32Array(most),
  };
  const rows = new RowReader(reader.bytes).over(start, start + bytes);
  const shortest = SHORTEST[table] ?? 0;
  let count = 0;
  let before = 0;
  while (!rows.isOver) {
    const idx = rows.u64();
    if (idx < before || !Number.isSafeInteger(idx))
      throw new TriplineError('export_invalid', 'rows are not in order');
    before = idx;
    const length = rows.length();
    if (length < shortest) throw new TriplineError('export_invalid', 'a row of the bundle is cut off');
    const from = rows.skip(length);
    places.idx[count] = idx;
    places.from[count] = from;
    places.to[count] = from + length;
    count += 1;
  }
  return { ...places, count };
}

/** Rows of the same index are one entry: rows [first[e], first[e + 1]) of each table. */
export interface Entries {
  readonly count: number;
  readonly idx: Float64Array;
  readonly first: readonly Uint32Array[];
}

function joined(tables: readonly Places[]): Entries {
  const most = tables.reduce((sum, { count }) => sum + count, 0);
  const idx = new Float64Array(most);
  const first = tables.map(({ count }) => (count === 0 ? NO_ROWS : new Uint32Array(most + 1)));
  const filled = tables.flatMap((places, table) =>
    places.count === 0 ? [] : [{ ...places, at: 0, first: first[table] as Uint32Array }],
  );
  let count = 0;
  for (;;) {
    let next = Infinity;
    for (const table of filled)
      if (table.at < table.count) next = Math.min(next, table.idx[table.at] as number);
    if (next === Infinity) return { count, idx, first };
    idx[count] = next;
    count += 1;
    for (const table of filled) {
      while (table.at < table.count && table.idx[table.at] === next) table.at += 1;
      table.first[count] = table.at;
    }
  }
}

/** Of a table without rows. */
const NO_ROWS = new Uint32Array(0);

/** What rows that follow each other mostly have in common: read again only where its bytes are others. */
class LastValue {
  readonly #read: (bytes: Uint8Array, from: number, to: number) => string;
  #from = 0;
  #to = 0;
  #value: string | undefined;

  constructor(read: (bytes: Uint8Array, from: number, to: number) => string) {
    this.#read = read;
  }

  of(bytes: Uint8Array, from: number, to: number): string {
    const isLast = to - from === this.#to - this.#from && isSame(bytes, from, this.#from, to - from);
    if (isLast && this.#value !== undefined) return this.#value;
    this.#value = this.#read(bytes, from, to);
    this.#from = from;
    this.#to = to;
    return this.#value;
  }

  /** A text that begins here. */
  next(reader: RowReader): string {
    const count = reader.length();
    const at = reader.skip(count);
    return this.of(reader.bytes, at, at + count);
  }
}

/** Whether the bytes at two places of the same array are the same. */
export function isSame(bytes: Uint8Array, a: number, b: number, count: number): boolean {
  for (let at = 0; at < count; at += 1) if (bytes[a + at] !== bytes[b + at]) return false;
  return true;
}

/** Hashes of so many entries are made at a time. */
const HASHED_AT_ONCE = 1024;
const LEAF_INPUT = 1 + ENTRY_DOMAIN.length;
const leaves = new PaddedMessages(LEAF_INPUT + ENTRY_BODY_BYTES, HASHED_AT_ONCE);
for (let at = 0; at < HASHED_AT_ONCE; at += 1) leaves.bytes.set(ENTRY_DOMAIN, at * leaves.stride + 1);

/** What reading a block finds out, by whomever; it holds for these bytes alone. */
export interface BlockPlaces {
  readonly tables: readonly Places[];
  readonly entries: Entries;
}

/** Of a block whose places stand: what was found of its entries without those before it (find-block.ts). */
export interface BlockFindings {
  /** As `leafHashes` answers. */
  readonly leafHashes: Uint8Array;
  /** By entry: time of its event, and effective time in its row. The latter is NaN where the entry is not as usual. */
  readonly eventMs: Float64Array;
  readonly effectiveMs: Float64Array;
  /** Numbers of the entries whose batch signature holds, ascending, and ids of the agent keys, 32 bytes each. */
  readonly signed: Uint32Array;
  readonly keyIds: Uint8Array;
}

export class RowsBlock {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** For whoever reads a row, from its first byte to its last. */
  readonly reader: RowReader;
  readonly layouts: TableLayouts;
  readonly #tables: readonly Places[];
  readonly #entries: Entries;
  readonly topics = new LastValue(textAt);
  readonly tenants = new LastValue(textAt);
  readonly sessions = new LastValue(textAt);
  readonly streams = new LastValue((bytes, from, to) => toHex(bytes.subarray(from, to)));
  /** Absent: nobody looked before. */
  readonly findings: BlockFindings | undefined;
  #leafHashes: Uint8Array | undefined;

  /** Throws export_invalid for what is no block. */
  constructor(bytes: Uint8Array, layouts: TableLayouts, found?: BlockPlaces & { findings: BlockFindings }) {
    const reader = new RowReader(bytes);
    this.bytes = bytes;
    this.view = reader.view;
    this.reader = reader;
    this.layouts = layouts;
    this.findings = found?.findings;
    this.#leafHashes = found?.findings.leafHashes;
    this.#tables = found?.tables ?? BLOCK_TABLES.map((table) => placesOf(reader, table));
    this.#entries = found?.entries ?? joined(this.#tables);
    if (found !== undefined) return;
    if (!reader.isOver)
      throw new TriplineError('export_invalid', 'a block of the bundle goes on after its rows');
    this.#checkIndexes();
  }

  get places(): BlockPlaces {
    return { tables: this.#tables, entries: this.#entries };
  }

  /** The index stands in the entry as well. */
  #checkIndexes(): void {
    const { count, idx, from } = this.#tables[0] as Places;
    for (let row = 0; row < count; row += 1) {
      const at = (from[row] as number) + LEDGER_AT.index;
      const named = this.view.getUint32(at) * 0x1_0000_0000 + this.view.getUint32(at + 4);
      if (named !== idx[row]) throw new TriplineError('export_invalid', 'an entry stands at another index');
    }
  }

  /** Entries: one each index that any table has rows of. */
  get count(): number {
    return this.#entries.count;
  }

  idxOf(entry: number): number {
    return this.#entries.idx[entry] as number;
  }

  /** First row of an entry in a table (a number of BLOCK_TABLES), and the one after its last. */
  firstRow(table: number, entry: number): number {
    return (this.#entries.first[table] as Uint32Array)[entry] ?? 0;
  }

  rowsOf(table: number, entry: number): number {
    return this.firstRow(table, entry + 1) - this.firstRow(table, entry);
  }

  fromOf(table: number, row: number): number {
    return (this.#tables[table] as Places).from[row] as number;
  }

  toOf(table: number, row: number): number {
    return (this.#tables[table] as Places).to[row] as number;
  }

  /** RFC 6962 leaf hashes of all rows of the ledger, each over the link that it names itself; 32 bytes a row. */
  leafHashes(crypto: EvidenceCrypto): Uint8Array {
    this.#leafHashes ??= this.#hashed(crypto);
    return this.#leafHashes;
  }

  #hashed({ sha256, sha256Many = sha256EachOf(sha256) }: EvidenceCrypto): Uint8Array {
    const { count, from } = this.#tables[0] as Places;
    const hashes = new Uint8Array(count * HASH_BYTES);
    for (let row = 0; row < count; row += HASHED_AT_ONCE) {
      const some = Math.min(HASHED_AT_ONCE, count - row);
      for (let at = 0; at < some; at += 1) {
        const start = from[row + at] as number;
        const entry = this.bytes.subarray(start, start + ENTRY_BODY_BYTES);
        leaves.bytes.set(entry, at * leaves.stride + LEAF_INPUT);
      }
      sha256Many(leaves, some, hashes.subarray(row * HASH_BYTES, (row + some) * HASH_BYTES));
    }
    return hashes;
  }
}
