/** What a record says of its own chain and signature, before it is known what becomes of its lines. Pure. */
import {
  encodeBatchSignature,
  type BatchSignatures,
  type SignedBatchRange,
} from '../evidence/batch-signature.ts';
import { concatBytes, putU64, ZERO_HASH } from '../evidence/bytes.ts';
import type { PreparedLine, PreparedRecord } from './prepare.ts';

export interface ChainedLine {
  readonly prev: Uint8Array;
  readonly hash: Uint8Array;
}

export interface SignedRun {
  /** Index of the first line of the record that counts as signed. */
  readonly from: number;
  /** SHA-256 of the agent's public key. */
  readonly keyId: Uint8Array;
  /** What is kept beside the last line, so that others can check it: u64 first_seq || the bytes of the header. */
  readonly stored: Uint8Array;
}

/**
 * The chain of a record that brings a signature; undefined where it brings none, or where its lines and headers alone
 * do not give one (a line without a place, a jump, an unknown beginning): such a record is unsigned.
 */
export function chainOf(
  prepared: PreparedRecord,
  hash: (line: PreparedLine, prev: Uint8Array) => Uint8Array,
): readonly ChainedLine[] | undefined {
  if (prepared.batch === undefined) return undefined;
  const { lines } = prepared;
  let prev = lines[0]?.seq === 0 ? ZERO_HASH : prepared.prev;
  const chain: ChainedLine[] = [];
  for (const line of lines) {
    const before = lines[chain.length - 1];
    const follows = before === undefined || before.seq + 1 === line.seq;
    if (prev === undefined || !line.placed || !follows) return undefined;
    const hashed = { prev, hash: hash(line, prev) };
    chain.push(hashed);
    prev = hashed.hash;
  }
  return chain;
}

/** The run of all lines, where certificate and signature hold over the chain; else undefined. */
export function signedRun(
  prepared: PreparedRecord,
  chain: readonly ChainedLine[],
  signatures: BatchSignatures,
): SignedRun | undefined {
  const { batch, lines } = prepared;
  const first = lines[0];
  const last = chain.at(-1);
  if (batch === undefined || first === undefined || last === undefined) return undefined;
  const range: SignedBatchRange = {
    stream: first.streamId,
    firstSeq: first.seq,
    lastSeq: first.seq + lines.length - 1,
    lastEventHash: last.hash,
  };
  const keyId = signatures.keyIdOf(range, batch);
  if (keyId === undefined) return undefined;
  const place = new Uint8Array(8);
  putU64(new DataView(place.buffer), 0, first.seq);
  return { from: 0, keyId, stored: concatBytes([place, encodeBatchSignature(batch)]) };
}
