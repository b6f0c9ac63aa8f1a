/**
 * Signed batches of a request (header `Tripline-Batch-Sig`): which runs of its lines a producer signed. Pure. The door
 * takes no signature apart: a batch goes onto the bus as one record with the signature as it came, and record and
 * verifier judge it. Where a batch is not whole any more (a line was refused), its lines go on unsigned.
 */
import { readBatchSignatureHeader } from '../evidence/batch-signature.ts';

export interface SignedBatch {
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** Header `batch-sig` of its record. */
  readonly signature: string;
}

const MAX_BATCHES = 512;
const ELEMENT = /^(\d{1,15})-(\d{1,15}):([A-Za-z0-9+/=]{1,1024})$/u;

/** Undefined for what is no list of `<first seq>-<last seq>:<base64>`, in order and without overlap. */
export function parseSignedBatches(header: string): readonly SignedBatch[] | undefined {
  const elements = header.split(',');
  if (elements.length > MAX_BATCHES) return undefined;
  const batches: SignedBatch[] = [];
  let next = 0;
  for (const element of elements) {
    const [, first, last, signature] = ELEMENT.exec(element.trim()) ?? [];
    if (first === undefined || last === undefined || signature === undefined) return undefined;
    const batch = { firstSeq: Number(first), lastSeq: Number(last), signature };
    const isInOrder = batch.firstSeq >= next && batch.lastSeq >= batch.firstSeq;
    if (!isInOrder || readBatchSignatureHeader(signature) === undefined) return undefined;
    batches.push(batch);
    next = batch.lastSeq + 1;
  }
  return batches;
}

/** The batch that a sequence lies in. `batches`: in order. */
export function batchOf(batches: readonly SignedBatch[], seq: number): SignedBatch | undefined {
  let low = 0;
  let high = batches.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((batches[middle] as SignedBatch).lastSeq < seq) low = middle + 1;
    else high = middle;
  }
  const found = batches[low];
  return found !== undefined && found.firstSeq <= seq ? found : undefined;
}
