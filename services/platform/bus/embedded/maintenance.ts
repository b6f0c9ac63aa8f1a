/** Retention and compaction of the embedded bus, in the background, a bounded piece a turn. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { BusRecord } from '../port.ts';
import { readBlock, readBlockHead } from './block.ts';
import type { EmbeddedPartition } from './partition.ts';
import type { StoredBlock } from './storage.ts';

/** Blocks looked at, and removed, in one turn and one transaction. */
const PIECE = 256;
/** Keys that one pass of compaction holds in memory; more are left to the next pass. */
const MAX_KEYS = 100_000;
/** A tombstone stays this long for readers that are behind (Kafka: delete.retention.ms). */
const TOMBSTONE_MS = 24 * 3_600_000;

/** Removes the blocks at the front that are older than `oldestMs`. Append time may run backwards: it stops at the first that is not. */
export async function expire(partition: EmbeddedPartition, oldestMs: number): Promise<void> {
  for (;;) {
    const expired: number[] = [];
    for (const block of partition.blocks(partition.earliest)) {
      if (expired.length >= PIECE || readBlockHead(block.bytes).appendMs >= oldestMs) break;
      expired.push(block.baseOffset);
    }
    await partition.removeBlocks(expired);
    if (expired.length < PIECE) return;
    await nextTurn();
  }
}

/**
 * Keeps the newest record of each key. Two passes as Kafka's cleaner: which offset is newest, for as many keys as fit
 * in memory, then removal below them. Records without a key stay.
 */
export async function compact(partition: EmbeddedPartition, nowMs: number): Promise<void> {
  const newest = new Map<string, number>();
  const end = await eachPiece(partition, partition.end, async (records) => {
    for (const record of records) {
      if (record.key === null) continue;
      const key = keyOf(record.key);
      if (newest.size >= MAX_KEYS && !newest.has(key)) return record.offset;
      newest.set(key, record.offset);
    }
    return undefined;
  });
  await eachPiece(partition, end, async (records) => {
    const gone = records.filter((record) => isSuperseded(record, newest, nowMs));
    await partition.removeBlocks(gone.map((record) => record.offset));
    return undefined;
  });
}

function isSuperseded(record: BusRecord, newest: ReadonlyMap<string, number>, nowMs: number): boolean {
  if (record.key === null) return false;
  const kept = newest.get(keyOf(record.key));
  if (kept === undefined || record.offset < kept) return kept !== undefined;
  return record.value === null && record.appendMs < nowMs - TOMBSTONE_MS;
}

function keyOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1');
}

/** Calls `visit` with the records of a compacted partition, piece by piece, until it answers an offset to stop at. */
async function eachPiece(
  partition: EmbeddedPartition,
  end: number,
  visit: (records: readonly BusRecord[]) => Promise<number | undefined>,
): Promise<number> {
  let from = 0;
  for (;;) {
    const records = pieceOf(partition.blocks(from), partition, { from, to: end });
    const last = records.at(-1);
    if (last === undefined) return end;
    const stop = await visit(records);
    if (stop !== undefined) return stop;
    from = last.offset + 1;
    await nextTurn();
  }
}

function pieceOf(
  blocks: Iterable<StoredBlock>,
  at: EmbeddedPartition,
  range: { from: number; to: number },
): BusRecord[] {
  const limits = { ...range, maxBytes: Number.MAX_SAFE_INTEGER, maxRecords: PIECE };
  const records: BusRecord[] = [];
  for (const block of blocks) {
    if (block.baseOffset >= range.to || records.length >= PIECE) break;
    readBlock({ topic: at.topic, partition: at.partition, ...block }, block.bytes, limits, records);
  }
  return records;
}
