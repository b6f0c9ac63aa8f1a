/**
 * What the signer signs: the heads of a list of logs.
 *
 *   "tripline/heads/v1\0" || u32 n || n x (log_id[32] || u64 size || root[32] || last_leaf_hash[32])
 */
import { TriplineError } from '../../schemas/errors.ts';
import { domain, fromHex, HASH_BYTES, putU64 } from './bytes.ts';

/** Hashes in lower-case hex. */
export interface HeadFields {
  readonly logId: string;
  readonly size: number;
  readonly root: string;
  readonly lastLeafHash: string;
}

const DOMAIN = domain('tripline/heads/v1');
const HEAD_BYTES = 32 + 8 + 32 + 32;

function hash(text: string, path: string): Uint8Array {
  const bytes = fromHex(text, HASH_BYTES);
  if (bytes === undefined)
    throw new TriplineError('request_invalid', 'a hash of a head is malformed', { path });
  return bytes;
}

/** Message of the heads signature, in the order given. Throws request_invalid when a hash is malformed. */
export function headsMessage(heads: readonly HeadFields[]): Uint8Array {
  const bytes = new Uint8Array(DOMAIN.length + 4 + heads.length * HEAD_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(DOMAIN);
  view.setUint32(DOMAIN.length, heads.length);
  let at = DOMAIN.length + 4;
  for (const head of heads) {
    bytes.set(hash(head.logId, 'logId'), at);
    putU64(view, at + 32, head.size);
    bytes.set(hash(head.root, 'root'), at + 40);
    bytes.set(hash(head.lastLeafHash, 'lastLeafHash'), at + 72);
    at += HEAD_BYTES;
  }
  return bytes;
}
