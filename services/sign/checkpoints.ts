/** Signed heads as rows: one a log and batch, so that the store alone shows what was signed when. */
import { hashFromHex, toHex } from '../evidence/bytes.ts';
import { RowWriter } from '../evidence/row-binary.ts';
import { sha256 } from '../platform/ledger/crypto.ts';
import type { Store } from '../platform/store/port.ts';
import type { LocalSigner, SignedBatch } from './local-signer.ts';

const COLUMNS: readonly string[] =
  'topic partition next_offset log_id origin size root last_leaf_hash batch_index batch_count key_id public_key signature signed_at'.split(
    ' ',
  );
const MAX_BATCHES_PER_WRITE = 256;

function writeBatch(out: RowWriter, batch: SignedBatch, publicKey: string): void {
  for (const [index, head] of batch.heads.entries()) {
    out.rows += 1;
    out.string(batch.topic);
    out.u32(batch.partition);
    out.u64(batch.nextOffset);
    out.fixed(hashFromHex(head.logId));
    out.string(head.origin);
    out.u64(head.size);
    out.fixed(hashFromHex(head.root));
    out.fixed(hashFromHex(head.lastLeafHash));
    out.u32(index);
    out.u32(batch.heads.length);
    out.string(batch.signed.keyId);
    out.string(publicKey);
    out.string(batch.signed.signature);
    out.time(batch.signed.signedAtMs);
  }
}

/**
 * Writes the oldest signed batches that are not in `checkpoints` yet; answers how many. A crash between the write and
 * its acknowledgement repeats the same rows: readers take one row a (log, size), and the token makes it a no-op.
 */
export async function publishCheckpoints(store: Store, signer: LocalSigner): Promise<number> {
  const batches = signer.unpublished(MAX_BATCHES_PER_WRITE);
  if (batches.length === 0) return 0;
  const publicKey = Buffer.from(await signer.publicKey()).toString('base64');
  const out = new RowWriter();
  for (const batch of batches) writeBatch(out, batch, publicKey);
  const data = out.bytes();
  const token = `checkpoints:${toHex(sha256(data))}`;
  await store.insertBinary({ table: 'checkpoints', columns: COLUMNS, data, rows: out.rows, token });
  await signer.published(batches);
  return batches.length;
}
