/**
 * Ledger entry: 166 bytes, domain-separated, big endian. Its RFC 6962 leaf hash is also the chain link to the next
 * entry, so chain and tree cannot disagree.
 *
 *   "tripline/entry/v1\0" || u8 type || u64 index || leaf_hash_before[32] || u64 append_ms || u64 offset || u16 line ||
 *   stream_id[16] || u64 seq || ev_hash[32] || key_id[32] || u8 flags
 */
import { domain, putU64, type Sha256 } from './bytes.ts';

export const ENTRY_TYPES = {
  /** A line of a stream, first time, in order. */
  event: 0,
  streamOpen: 1,
  streamHeartbeat: 2,
  streamClose: 3,
  /** seq = first missing one; the hole ends before the seq of the next entry of the stream. */
  gap: 16,
  /** A line that fills a hole. */
  late: 17,
  /** Another hash for a seq that is already entered: other bytes, or another claim of `prev`. */
  equivocation: 18,
  /** A line that cannot be read; its bytes are kept. */
  deadLetter: 32,
  key: 33,
  policy: 34,
  erasure: 35,
} as const;
export type EntryType = (typeof ENTRY_TYPES)[keyof typeof ENTRY_TYPES];

export const ENTRY_FLAGS = {
  /** The producer's batch signature verifies. */
  signed: 1,
  lastOfBatch: 2,
  /** append - time > 60 s. */
  backfill: 4,
  /** The body travels in call.body parts or was cut. */
  oversizeBody: 8,
} as const;

export const BACKFILL_AFTER_MS = 60_000;

export interface LedgerEntry {
  readonly type: number;
  readonly index: number;
  /** Leaf hash of index - 1, or of the origin for index 0. */
  readonly prevLeafHash: Uint8Array;
  readonly appendMs: number;
  readonly offset: number;
  /** Index of the line inside the record. */
  readonly line: number;
  readonly stream: Uint8Array;
  readonly seq: number;
  readonly eventHash: Uint8Array;
  /** SHA-256 of the producer's public key; zeros where unsigned. */
  readonly keyId: Uint8Array;
  readonly flags: number;
}

export const ENTRY_DOMAIN = domain('tripline/entry/v1');
const TYPE_AT = ENTRY_DOMAIN.length;
const INDEX_AT = TYPE_AT + 1;
const PREV_AT = INDEX_AT + 8;
const APPEND_AT = PREV_AT + 32;
const OFFSET_AT = APPEND_AT + 8;
const LINE_AT = OFFSET_AT + 8;
const STREAM_AT = LINE_AT + 2;
const SEQ_AT = STREAM_AT + 16;
const HASH_AT = SEQ_AT + 8;
const KEY_AT = HASH_AT + 32;
const FLAGS_AT = KEY_AT + 32;
export const ENTRY_BYTES = FLAGS_AT + 1;

function writeEntry(entry: LedgerEntry, bytes: Uint8Array, view: DataView, at: number): void {
  bytes.set(ENTRY_DOMAIN, at);
  bytes[at + TYPE_AT] = entry.type;
  putU64(view, at + INDEX_AT, entry.index);
  bytes.set(entry.prevLeafHash, at + PREV_AT);
  putU64(view, at + APPEND_AT, entry.appendMs);
  putU64(view, at + OFFSET_AT, entry.offset);
  view.setUint16(at + LINE_AT, entry.line);
  bytes.set(entry.stream, at + STREAM_AT);
  putU64(view, at + SEQ_AT, entry.seq);
  bytes.set(entry.eventHash, at + HASH_AT);
  bytes.set(entry.keyId, at + KEY_AT);
  bytes[at + FLAGS_AT] = entry.flags;
}

/** The 166 bytes of an entry. */
export function encodeEntry(entry: LedgerEntry): Uint8Array {
  const bytes = new Uint8Array(ENTRY_BYTES);
  writeEntry(entry, bytes, new DataView(bytes.buffer), 0);
  return bytes;
}

// 0x00 and the entry: RFC 6962 leaf input, built in place.
const leafInput = new Uint8Array(1 + ENTRY_BYTES);
const leafView = new DataView(leafInput.buffer);

/** RFC 6962 leaf hash of an entry: SHA-256(0x00 || entry). */
export function entryLeafHash(entry: LedgerEntry, sha256: Sha256): Uint8Array {
  writeEntry(entry, leafInput, leafView, 1);
  return sha256(leafInput);
}
