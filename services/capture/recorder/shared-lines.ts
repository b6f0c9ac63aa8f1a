/**
 * Memory of two threads: the one that lets the lines of a connection go on (line-appender.ts), and the one that puts them
 * on record (line-follower.ts). It holds the batch that the journal's file holds, so that the second reads what whoever
 * finds the file would read.
 */
import { MAX_BATCH_BYTES, MAX_JOURNALLED_BYTES } from './line-parts.ts';

/** Places of the cells. Each has one writer; loads and stores of them are sequentially consistent (ECMA-262 §29). */
export const CELL = {
  /** Bits of MAY_GO; the second thread writes it. */
  mayGo: 0,
  /** 1 while the first thread appends a line, which it may have begun when it still might. */
  appending: 1,
  /** Lines that were ever appended, and those of them that are on record: they wrap at 2^32. */
  added: 2,
  looked: 3,
  /** What `added` was when the batch began. */
  batchStart: 4,
  /** Odd while the open calls are written. */
  openVersion: 5,
  openBytes: 6,
  /** 1 when the second thread waits to be told of the next line; whoever sets it to 0 has told it. */
  asleep: 7,
} as const;

/** Which lines may go on before they are on record. */
export const MAY_GO = { answers: 1, requests: 2 } as const;

/** Parts of one batch. */
export const MAX_PARTS = 4096;
const CELL_BYTES = 64;
const ARRIVAL_BYTES = MAX_PARTS * Float64Array.BYTES_PER_ELEMENT;

export interface SharedLines {
  readonly cells: Int32Array;
  /** When each part of the batch came: monotonic ms of the process. */
  readonly arrivalsMs: Float64Array;
  /** Calls that wait for their answers, as JSON. */
  readonly openCalls: Uint8Array;
  /** The parts of the batch. */
  readonly batch: Uint8Array;
}

export function newSharedMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(CELL_BYTES + ARRIVAL_BYTES + MAX_JOURNALLED_BYTES + MAX_BATCH_BYTES);
}

export function sharedLinesIn(memory: SharedArrayBuffer): SharedLines {
  const openCallsAt = CELL_BYTES + ARRIVAL_BYTES;
  return {
    cells: new Int32Array(memory, 0, CELL_BYTES / Int32Array.BYTES_PER_ELEMENT),
    arrivalsMs: new Float64Array(memory, CELL_BYTES, MAX_PARTS),
    openCalls: new Uint8Array(memory, openCallsAt, MAX_JOURNALLED_BYTES),
    batch: new Uint8Array(memory, openCallsAt + MAX_JOURNALLED_BYTES),
  };
}

/** Milliseconds on the clock that all threads of a process have in common; performance.now() counts from each one's start. */
export function processMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
