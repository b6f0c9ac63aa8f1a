/** Tiles of a tenant's log out of table ledger: the entries are made again from their columns, so they need no storage of their own. */
import { hashFromHex, concatBytes, fromHex, STREAM_ID_BYTES } from '../../evidence/bytes.ts';
import { encodeEntry, type LedgerEntry } from '../../evidence/entry.ts';
import { treeRoot } from '../../evidence/merkle.ts';
import { encodeBundle, TILE_WIDTH, type TileAddress } from '../../evidence/tlog/tiles.ts';
import type { Store } from '../store/port.ts';
import { sha256 } from './crypto.ts';
import { readEntries, readLeaves, type EntryRow } from './rows.ts';

/** A hash of level 2 is made of 65,536 rows. Higher levels would read a whole log for one tile. */
const MAX_LEVEL = 2;

/** Undefined where the table does not hold all that the tile needs, or holds it twice: the verifier tells that apart. */
export async function readLogTile(
  store: Store,
  logId: string,
  tile: TileAddress,
): Promise<Uint8Array | undefined> {
  const { level, index, width } = tile;
  if (level === 'entries') return await readBundle(store, logId, tile);
  if (level > MAX_LEVEL) return undefined;
  const leavesPerHash = TILE_WIDTH ** level;
  const first = index * TILE_WIDTH * leavesPerHash;
  // At most 65,536 leaves a read: the whole tile on the lower levels, one hash on level 2.
  const hashesPerRead = level === MAX_LEVEL ? 1 : width;
  const hashes: Uint8Array[] = [];
  for (let at = 0; at < width; at += hashesPerRead) {
    const from = first + at * leavesPerHash;
    const leaves = await leavesOf(store, { logId, from, to: from + hashesPerRead * leavesPerHash });
    if (leaves === undefined) return undefined;
    for (let begin = 0; begin < leaves.length; begin += leavesPerHash) {
      hashes.push(treeRoot(leaves.slice(begin, begin + leavesPerHash), sha256));
    }
  }
  return concatBytes(hashes);
}

interface Span {
  readonly logId: string;
  readonly from: number;
  readonly to: number;
}

async function leavesOf(store: Store, span: Span): Promise<Uint8Array[] | undefined> {
  const rows = await readLeaves(store, span);
  return isDense(rows, span) ? rows.map((row) => hashFromHex(row.leaf_hash)) : undefined;
}

async function readBundle(
  store: Store,
  logId: string,
  { index, width }: TileAddress,
): Promise<Uint8Array | undefined> {
  const from = index * TILE_WIDTH;
  const span = { logId, from, to: from + width };
  const rows = await readEntries(store, span);
  return isDense(rows, span) ? encodeBundle(rows.map((row) => encodeEntry(ledgerEntryOf(row)))) : undefined;
}

function isDense(rows: readonly { readonly idx: string }[], { from, to }: Span): boolean {
  return rows.length === to - from && rows.every(({ idx }, at) => Number(idx) === from + at);
}

/** An entry out of its columns; `idx` is its index. */
export function ledgerEntryOf(row: EntryRow): LedgerEntry {
  return {
    type: row.type,
    index: Number(row.idx),
    prevLeafHash: hashFromHex(row.prev_leaf_hash),
    appendMs: Number(row.append_ms),
    offset: Number(row.offset),
    line: row.line,
    stream: fromHex(row.stream_id, STREAM_ID_BYTES) ?? new Uint8Array(STREAM_ID_BYTES),
    seq: Number(row.seq),
    eventHash: hashFromHex(row.ev_hash),
    keyId: hashFromHex(row.key_id),
    flags: row.flags,
  };
}
