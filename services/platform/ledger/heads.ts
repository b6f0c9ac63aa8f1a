/** Signed heads: from the signer where it can be asked, else as `checkpoints` keeps them. */
import type { BundleHeader, SignedHeadList } from '../../evidence/bundle.ts';
import { toHex } from '../../evidence/bytes.ts';
import type { Store } from '../store/port.ts';
import { sha256 } from './crypto.ts';
import type { RootSource } from './root-source.ts';

/** The part of a signer that reading needs. */
export interface HeadSource {
  heads(): Promise<
    readonly {
      readonly topic: string;
      readonly partition: number;
      readonly nextOffset: number;
      readonly heads: readonly {
        readonly logId: string;
        readonly origin: string;
        readonly size: number;
        readonly root: string;
        readonly lastLeafHash: string;
      }[];
      readonly signed: {
        readonly keyId: string;
        readonly signature: string;
        readonly signedAtMs: number;
      } | null;
    }[]
  >;
  /** Where a partition stands, with the batch that was reserved and is not signed yet. */
  state(
    topic: string,
    partition: number,
  ): Promise<{
    readonly heads: readonly { readonly logId: string; readonly size: number }[];
    readonly outstanding: {
      readonly logs: readonly { readonly logId: string; readonly newHead: { readonly size: number } }[];
    } | null;
  }>;
  publicKey(): Promise<Uint8Array>;
  /** Absent where there is no root log. */
  readonly root?: RootSource | undefined;
}

export interface SignedHeads {
  readonly keys: BundleHeader['keys'];
  readonly rotations?: BundleHeader['rotations'];
  readonly lists: readonly SignedHeadList[];
}

/** What the signer signed last of every partition. It knows of heads whose rows were removed from the store. */
export async function headsOfSigner(signer: HeadSource): Promise<SignedHeads> {
  return { keys: await keysOfSigner(signer), lists: listsOf(await signer.heads()) };
}

export async function keysOfSigner(signer: Pick<HeadSource, 'publicKey'>): Promise<SignedHeads['keys']> {
  const publicKey = await signer.publicKey();
  const keyId = toHex(sha256(publicKey));
  return [{ keyId, publicKey: Buffer.from(publicKey).toString('base64') }];
}

/** Partitions without a head have nothing signed. */
export function listsOf(partitions: Awaited<ReturnType<HeadSource['heads']>>): SignedHeadList[] {
  return partitions.flatMap(({ topic, partition, nextOffset, heads, signed }) => {
    if (signed === null) return [];
    const fields = heads.map(({ logId, origin, size, root, lastLeafHash }) => ({
      logId,
      origin,
      size,
      root,
      lastLeafHash,
    }));
    return [{ topic, partition, nextOffset, heads: fields, ...signed }];
  });
}

interface CheckpointRow {
  readonly topic: string;
  readonly partition: number;
  readonly next_offset: string;
  readonly log: string;
  readonly origin: string;
  readonly size: string;
  readonly root: string;
  readonly last_leaf_hash: string;
  readonly batch_index: number;
  readonly key_id: string;
  readonly public_key: string;
  readonly signature: string;
  readonly signed_at: string;
}

/** The batches that hold the newest checkpoint of each log. Whoever can write to the store can also shorten this list. */
export async function headsOfStore(store: Store): Promise<SignedHeads> {
  const rows = await store.query<CheckpointRow>(
    `SELECT topic, partition, next_offset, lower(hex(log_id)) AS log, origin, size, lower(hex(root)) AS root,
       lower(hex(last_leaf_hash)) AS last_leaf_hash, batch_index, key_id, public_key, signature,
       toString(toUnixTimestamp64Milli(signed_at)) AS signed_at
     FROM checkpoints
     WHERE (topic, partition, next_offset) IN
       (SELECT topic, partition, max(next_offset) FROM checkpoints GROUP BY topic, partition, log_id)
     ORDER BY topic, partition, next_offset, batch_index
     LIMIT 1 BY topic, partition, next_offset, batch_index`,
  );
  const keys = new Map<string, string>();
  const lists = new Map<string, SignedHeadList>();
  for (const row of rows) {
    keys.set(row.key_id, row.public_key);
    const name = `${row.topic}/${row.partition}/${row.next_offset}`;
    const list = lists.get(name) ?? newList(row);
    list.heads.push({
      logId: row.log,
      origin: row.origin,
      size: Number(row.size),
      root: row.root,
      lastLeafHash: row.last_leaf_hash,
    });
    lists.set(name, list);
  }
  return {
    keys: [...keys].map(([keyId, publicKey]) => ({ keyId, publicKey })),
    lists: [...lists.values()],
  };
}

function newList(row: CheckpointRow): SignedHeadList {
  return {
    topic: row.topic,
    partition: row.partition,
    nextOffset: Number(row.next_offset),
    heads: [],
    keyId: row.key_id,
    signature: row.signature,
    signedAtMs: Number(row.signed_at),
  };
}
