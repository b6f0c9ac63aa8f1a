/**
 * Event hash: the chain of one stream. It commits to the exact bytes of a line, to its place in the stream and to the
 * event before it. The line holds a 16-byte nonce, so the hash does not reveal it after an erasure.
 *
 *   ev_hash = SHA-256("tripline/event/v1\0" || stream_id[16] || u64 seq || prev_ev_hash[32] || u32 len || line)
 */
import { domain, putU64, type Sha256 } from './bytes.ts';

const DOMAIN = domain('tripline/event/v1');
const STREAM_AT = DOMAIN.length;
const SEQ_AT = STREAM_AT + 16;
const PREV_AT = SEQ_AT + 8;
const LENGTH_AT = PREV_AT + 32;
const LINE_AT = LENGTH_AT + 4;

export interface EventHashInput {
  /** 16 bytes. */
  readonly stream: Uint8Array;
  readonly seq: number;
  /** Event hash of seq - 1, 32 bytes; zeros for seq 0. */
  readonly prev: Uint8Array;
  /** The exact bytes of the line, without its newline. */
  readonly line: Uint8Array;
}

// One growing scratch buffer: lines are hashed one after another and never kept.
let scratch = new Uint8Array(8192);
let view = new DataView(scratch.buffer);
scratch.set(DOMAIN);

function scratchOf(bytes: number): Uint8Array {
  if (scratch.length < bytes) {
    scratch = new Uint8Array(Math.max(bytes, scratch.length * 2));
    view = new DataView(scratch.buffer);
    scratch.set(DOMAIN);
  }
  return scratch;
}

/** 32 bytes. `sha256` must not keep its argument. */
export function eventHash(input: EventHashInput, sha256: Sha256): Uint8Array {
  const total = LINE_AT + input.line.length;
  const bytes = scratchOf(total);
  bytes.set(input.stream, STREAM_AT);
  putU64(view, SEQ_AT, input.seq);
  bytes.set(input.prev, PREV_AT);
  view.setUint32(LENGTH_AT, input.line.length);
  bytes.set(input.line, LINE_AT);
  return sha256(bytes.subarray(0, total));
}
