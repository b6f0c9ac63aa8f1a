/**
 * What others would have said of the same rows: three verifiers written from their definitions, on node:crypto alone.
 *   a plain hash chain       each row names the hash of the row before it, and hashes to what it says
 *   an unwitnessed tree log  RFC 6962 root of the rows under the head that the log shows, signed by the log
 *   a head-keeping auditor   the same, and the head that he kept from earlier is a beginning of it
 * Each is given what it would have: content, order, its own hashes. None counts streams, offsets or derived columns,
 * because none of them knows of any.
 */
import { createHash, createPublicKey, verify, type KeyObject } from 'node:crypto';
import {
  SEALED_COLUMNS,
  type PayloadReader,
  type SealedRow,
} from '../../../services/platform/payloads/read.ts';
import type { Store } from '../../../services/platform/store/port.ts';

export type Finding = 'caught' | 'missed';

/** One entry as it stands in somebody's store. */
export interface PeerRow {
  /** Hex, as stored. */
  readonly prev: string;
  readonly hash: string;
  /** Bytes that are hashed, over the stored link; made of what is stored now. */
  readonly entry: Buffer;
  /** Whether the content beside it is what the entry commits to. */
  readonly contentHolds: boolean;
}

export interface PeerHead {
  readonly size: number;
  /** Hex. */
  readonly root: string;
}

const sha256 = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

const leafOf = (entry: Uint8Array): Buffer => sha256(Buffer.of(0), entry);

/** RFC 6962 section 2.1, as its recursion stands there. */
export function merkleRoot(leaves: readonly Buffer[]): Buffer {
  const [only] = leaves;
  if (only === undefined) return sha256();
  if (leaves.length === 1) return only;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return sha256(Buffer.of(1), merkleRoot(leaves.slice(0, split)), merkleRoot(leaves.slice(split)));
}

const caughtIf = (isWrong: boolean): Finding => (isWrong ? 'caught' : 'missed');

/** `first` is what the first row has to name. */
export function plainChain(rows: readonly PeerRow[], first: string): Finding {
  let last = first;
  for (const row of rows) {
    const isSound = row.prev === last && leafOf(row.entry).toString('hex') === row.hash && row.contentHolds;
    if (!isSound) return 'caught';
    last = row.hash;
  }
  return 'missed';
}

/** `head` is signed by the log, as the log shows it now; rows beyond it are not in the log yet. */
export function unwitnessedTree(rows: readonly PeerRow[], head: PeerHead): Finding {
  const covered = rows.slice(0, head.size);
  if (covered.length < head.size || covered.some((row) => !row.contentHolds)) return 'caught';
  return caughtIf(merkleRoot(covered.map((row) => leafOf(row.entry))).toString('hex') !== head.root);
}

export function headKeeper(rows: readonly PeerRow[], head: PeerHead, kept: PeerHead): Finding {
  if (head.size < kept.size || unwitnessedTree(rows, head) === 'caught') return 'caught';
  return unwitnessedTree(rows, kept);
}

/** The signature of the log over a list of heads: services/evidence/README.md, `heads_sig`. */
export function headsAreSigned(
  heads: readonly (PeerHead & { readonly logId: string; readonly lastLeafHash: string })[],
  signature: string,
  publicKey: Uint8Array,
): boolean {
  const count = Buffer.alloc(4);
  count.writeUInt32BE(heads.length);
  const parts = heads.map(({ logId, size, root, lastLeafHash }) =>
    Buffer.concat([hex(logId), u64(size), hex(root), hex(lastLeafHash)]),
  );
  const message = Buffer.concat([Buffer.from('tripline/heads/v1\0'), count, ...parts]);
  return verify(null, message, keyOf(publicKey), Buffer.from(signature, 'base64'));
}

function keyOf(raw: Uint8Array): KeyObject {
  const key = { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(raw).toString('base64url') };
  return createPublicKey({ key, format: 'jwk' });
}

const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const u64 = (value: number | string): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};

/** A log that appends what it is given, as those do: no streams, no sequence, nothing that is there already. */
export class PlainRecorder {
  readonly rows: PeerRow[] = [];
  readonly contents: string[] = [];

  append(content: Uint8Array): void {
    const prev = this.rows.at(-1)?.hash ?? PlainRecorder.first;
    const entry = Buffer.concat([hex(prev), sha256(content)]);
    this.rows.push({ prev, hash: leafOf(entry).toString('hex'), entry, contentHolds: true });
    this.contents.push(Buffer.from(content).toString());
  }

  head(): PeerHead {
    const leaves = this.rows.map((row) => leafOf(row.entry));
    return { size: leaves.length, root: merkleRoot(leaves).toString('hex') };
  }

  static readonly first = '00'.repeat(32);
}

/** GAP and EQUIVOCATION: what they stand for may be in the entry after them, or nowhere. */
const BARE_TYPES: ReadonlySet<number> = new Set([16, 18]);

interface StoredRow {
  readonly [column: string]: string | number;
  readonly type: number;
  readonly line: number;
  readonly flags: number;
}

/** Rows of one log as the tables hold them now, by index; what is sealed is opened, for those who do not seal. */
export async function storedRows(
  store: Store,
  reader: PayloadReader,
  logId: string,
): Promise<readonly PeerRow[]> {
  const params = { log: logId };
  const sealed = await store.query<SealedRow & { readonly prev_event: string }>(
    `SELECT ${SEALED_COLUMNS}, lower(hex(prev_ev_hash)) AS prev_event FROM payloads WHERE log_id = unhex({log:String})`,
    { params },
  );
  const opened = await reader.open(sealed);
  const contents = new Map(
    sealed.map(({ at_idx, prev_event }, at) => {
      const one = opened[at];
      return [at_idx, { prev: prev_event, bytes: one?.kind === 'read' ? one.bytes : Buffer.from('?') }];
    }),
  );
  const rows = await store.query<StoredRow>(
    `SELECT type, toString(idx) AS at_idx, lower(hex(prev_leaf_hash)) AS prev, lower(hex(leaf_hash)) AS hash, toString(append_ms) AS append_ms,
       toString(offset) AS offset, line, lower(hex(stream_id)) AS stream, toString(seq) AS seq,
       lower(hex(ev_hash)) AS ev_hash, lower(hex(key_id)) AS key_id, flags
     FROM ledger WHERE log_id = unhex({log:String}) ORDER BY idx`,
    { params },
  );
  return rows.map((row) => peerRow(row, contents.get(String(row['at_idx'])) ?? NO_CONTENT));
}

interface Content {
  /** Hex. */
  readonly prev: string;
  readonly bytes: Buffer;
}
const NO_CONTENT: Content = { prev: '00'.repeat(32), bytes: Buffer.alloc(0) };

function peerRow(row: StoredRow, { prev: prevEvent, bytes }: Content): PeerRow {
  const text = (column: string): string => String(row[column]);
  const line = Buffer.alloc(2);
  line.writeUInt16BE(row.line);
  const stream = hex(text('stream'));
  const entry = Buffer.concat([
    Buffer.from('tripline/entry/v1\0'),
    Buffer.of(row.type),
    u64(text('at_idx')),
    hex(text('prev')),
    u64(text('append_ms')),
    u64(text('offset')),
    line,
    stream,
    u64(text('seq')),
    hex(text('ev_hash')),
    hex(text('key_id')),
    Buffer.of(row.flags),
  ]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  const event = [Buffer.from('tripline/event/v1\0'), stream, u64(text('seq')), hex(prevEvent)];
  const isBare = BARE_TYPES.has(row.type) && bytes.length === 0;
  const contentHolds = isBare || sha256(...event, length, bytes).toString('hex') === text('ev_hash');
  return { prev: text('prev'), hash: text('hash'), entry, contentHolds };
}

/** What the first entry of a log names: the hash of its origin. */
export const firstLink = (origin: string): string =>
  sha256(Buffer.from(`tripline/origin/v1\0${origin}`)).toString('hex');
