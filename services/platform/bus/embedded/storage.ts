/**
 * What the embedded bus keeps on disk: one lmdb environment with two databases. `log` holds blocks under (partition id
 * u32, base offset u64); `meta` holds the owner, topics, ends of partitions that lost their last block, and committed
 * offsets. lmdb commits with fsync here (no overlapping sync): a promise that resolves means durable, and what a reader
 * can see has been flushed.
 */
import { open, type Database, type RootDatabase } from 'lmdb';
import type { TopicSpec } from '../../../../schemas/topics.ts';
import { join } from 'node:path';
import { currentPath, putCurrent, removeOthers, writeCopy } from '../../generations.ts';
import { giveUpOwnership, takeOwnership } from '../../owner.ts';
import { readBlockHead } from './block.ts';

const KEY_BYTES = 12;
const TWO_32 = 2 ** 32;
const MAX_READERS = 32;

export interface StoredTopic {
  readonly id: number;
  readonly partitions: number;
  readonly cleanup: TopicSpec['cleanup'];
  /** JSON has no undefined: null = for ever. */
  readonly retentionMs: number | null;
}

export interface StoredBlock {
  readonly baseOffset: number;
  readonly bytes: Buffer;
}

/** Where a partition begins and ends. */
export interface PartitionBounds {
  readonly earliest: number;
  readonly end: number;
}

interface Environment {
  readonly root: RootDatabase<unknown, string>;
  readonly log: Database<Buffer, Buffer>;
  readonly meta: Database<unknown, string>;
}

function openEnvironment(path: string): Environment {
  const root = open<unknown, string>({
    path,
    noSubdir: false,
    maxDbs: 4,
    maxReaders: MAX_READERS,
    overlappingSync: false,
  });
  const meta = root.openDB<unknown, string>({ name: 'meta', encoding: 'json' });
  const log = root.openDB<Buffer, Buffer>({ name: 'log', encoding: 'binary', keyEncoding: 'binary' });
  return { root, meta, log };
}

export class EmbeddedStorage {
  readonly #dir: string;
  #root: RootDatabase<unknown, string>;
  #log: Database<Buffer, Buffer>;
  #meta: Database<unknown, string>;

  /** Opens or makes the directory. Throws data_dir_locked when another process (or this one) holds it. */
  constructor(dir: string) {
    this.#dir = dir;
    const { root, meta, log } = openEnvironment(currentPath(dir));
    this.#root = root;
    this.#meta = meta;
    this.#log = log;
    takeOwnership(this.#meta);
    // Ours alone now: whatever a crash left of a copy, or of what it was copied from.
    removeOthers(dir);
  }

  /**
   * Copies what is there into new files and goes on with those: the old ones, whose free pages hold what was removed or
   * written over, are deleted. No write may run meanwhile. A crash leaves one or the other in force, and the next start
   * deletes what is not.
   */
  async renewFiles(): Promise<void> {
    const old = this.#root;
    const name = await writeCopy(this.#dir, old);
    const { root, meta, log } = openEnvironment(join(this.#dir, name));
    putCurrent(this.#dir, name);
    this.#root = root;
    this.#meta = meta;
    this.#log = log;
    await old.close();
    removeOthers(this.#dir);
  }

  topics(): Map<string, StoredTopic> {
    const topics = new Map<string, StoredTopic>();
    for (const { key, value } of this.#meta.getRange({ start: 'topic/', end: 'topic0' }))
      topics.set(key.slice('topic/'.length), value as StoredTopic);
    return topics;
  }

  async putTopic(name: string, topic: StoredTopic): Promise<void> {
    await this.#meta.put(`topic/${name}`, topic);
  }

  /** Offset that the group committed. */
  committed(commitKey: string): number | undefined {
    return this.#meta.get(`commit/${commitKey}`) as number | undefined;
  }

  /** Puts of one event turn share one transaction; each promise resolves when it is on disk. */
  putCommitted(commitKey: string, nextOffset: number): Promise<boolean> {
    return this.#meta.put(`commit/${commitKey}`, nextOffset);
  }

  putBlock(partitionId: number, block: StoredBlock): Promise<boolean> {
    return this.#log.put(blockKey(partitionId, block.baseOffset), block.bytes);
  }

  /** Writes down the end first: it must outlive the blocks that it was counted from. */
  async removeBlocks(partitionId: number, baseOffsets: readonly number[], end: number): Promise<void> {
    const writes: Promise<boolean>[] = [this.#meta.put(`end/${partitionId}`, end)];
    for (const baseOffset of baseOffsets) writes.push(this.#log.remove(blockKey(partitionId, baseOffset)));
    await Promise.all(writes);
  }

  bounds(partitionId: number): PartitionBounds {
    let end = (this.#meta.get(`end/${partitionId}`) as number | undefined) ?? 0;
    let earliest: number | undefined;
    const last = this.#log.getRange({
      start: blockKey(partitionId, Number.MAX_SAFE_INTEGER),
      end: blockKey(partitionId, 0),
      inclusiveEnd: true,
      reverse: true,
      limit: 1,
    });
    for (const { key, value } of last) end = Math.max(end, baseOffsetOf(key) + readBlockHead(value).count);
    for (const block of this.blocks(partitionId, 0)) {
      earliest = block.baseOffset;
      break;
    }
    return { earliest: earliest ?? end, end };
  }

  /** Blocks in order, from the one that holds `from` (or the next, where there is none). Synchronous; take few at a time. */
  *blocks(partitionId: number, from: number): Generator<StoredBlock> {
    const start = this.#floorKey(partitionId, from);
    const range = this.#log.getRange({ start, end: blockKey(partitionId + 1, 0) });
    for (const { key, value } of range) yield { baseOffset: baseOffsetOf(key), bytes: value };
  }

  #floorKey(partitionId: number, from: number): Buffer {
    const wanted = blockKey(partitionId, from);
    const floor = this.#log.getKeys({
      start: wanted,
      end: blockKey(partitionId, 0),
      inclusiveEnd: true,
      reverse: true,
      limit: 1,
    });
    for (const key of floor) return Buffer.from(key);
    return wanted;
  }

  async close(): Promise<void> {
    giveUpOwnership(this.#meta);
    await this.#root.close();
  }
}

function blockKey(partitionId: number, baseOffset: number): Buffer {
  const key = Buffer.allocUnsafe(KEY_BYTES);
  key.writeUInt32BE(partitionId, 0);
  key.writeUInt32BE(Math.floor(baseOffset / TWO_32), 4);
  key.writeUInt32BE(baseOffset % TWO_32, 8);
  return key;
}

function baseOffsetOf(key: Buffer): number {
  return key.readUInt32BE(4) * TWO_32 + key.readUInt32BE(8);
}
