/** Signed batches of a spool: how they are kept beside the lines, and which of them go into one request. */

export interface SealedBatch {
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** Value of header `batch-sig`. */
  readonly signature: string;
}

/** Signatures of a stream, in its spool directory; one a line. */
export const SEALED_FILE = 'batches';

const LINE = /^(\d{1,15})-(\d{1,15}):([A-Za-z0-9+/=]{1,1024})$/u;
/** Batches of one request: their signatures travel in one header, and servers take 16 KiB of headers. */
const MAX_BATCHES = 24;

/** `<first>-<last>:<signature>`: a line of the file, and an element of the HTTP header. */
export function sealedText({ firstSeq, lastSeq, signature }: SealedBatch): string {
  return `${firstSeq}-${lastSeq}:${signature}`;
}

/** Undefined for anything else, such as a line that a crash cut off. */
export function parseSealed(text: string): SealedBatch | undefined {
  const [, first, last, signature] = LINE.exec(text) ?? [];
  if (first === undefined || last === undefined || signature === undefined) return undefined;
  return { firstSeq: Number(first), lastSeq: Number(last), signature };
}

export interface RequestPlan {
  /** Lines that are sent together; 0 where the first batch does not fit. */
  readonly lines: number;
  readonly batches: readonly SealedBatch[];
}

/**
 * Of `available` lines from `seq` on, those that one request takes: whole batches and the unsigned lines between them.
 * `sealed`: of the stream, in order.
 */
export function planRequest(sealed: readonly SealedBatch[], seq: number, available: number): RequestPlan {
  const end = seq + available;
  const batches: SealedBatch[] = [];
  for (const batch of sealed) {
    if (batch.lastSeq < seq || batch.firstSeq >= end) continue;
    // One that is begun already cannot be sent whole any more.
    if (batch.firstSeq < seq) continue;
    if (batch.lastSeq >= end || batches.length === MAX_BATCHES)
      return { lines: batch.firstSeq - seq, batches };
    batches.push(batch);
  }
  return { lines: available, batches };
}
