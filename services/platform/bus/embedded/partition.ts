/** One partition of the embedded bus: its ends in memory, its blocks on disk, and who waits for more. */
import { TriplineError } from '../../../../schemas/errors.ts';
import type { BusRecord, TopicPartition } from '../port.ts';
import { readBlock, readBlockHead, type ReadLimits } from './block.ts';
import type { EmbeddedStorage, StoredBlock } from './storage.ts';

export interface PartitionRead {
  readonly records: BusRecord[];
  /** Where to go on; beyond the last record when the rest of the range has none (compaction leaves holes). */
  readonly nextOffset: number;
}

export class EmbeddedPartition implements TopicPartition {
  readonly topic: string;
  readonly partition: number;
  readonly id: number;
  readonly compacted: boolean;
  readonly #storage: EmbeddedStorage;
  readonly #waiting = new Set<() => void>();
  #earliest: number;
  #end: number;

  constructor(storage: EmbeddedStorage, at: TopicPartition & { id: number; compacted: boolean }) {
    this.topic = at.topic;
    this.partition = at.partition;
    this.id = at.id;
    this.compacted = at.compacted;
    this.#storage = storage;
    const bounds = storage.bounds(at.id);
    this.#earliest = bounds.earliest;
    this.#end = bounds.end;
  }

  /** First offset still there; compaction leaves it at 0, as Kafka does. */
  get earliest(): number {
    return this.compacted ? 0 : this.#earliest;
  }

  /** Offset of the next record. Everything below is on disk. */
  get end(): number {
    return this.#end;
  }

  /** After the flush, never before: readers see only what survives a power cut. */
  advance(earliest: number, end: number): void {
    this.#earliest = earliest;
    this.#end = end;
    for (const wake of this.#waiting) wake();
  }

  /** Called at every advance until the answer is called. */
  onAdvance(wake: () => void): () => void {
    this.#waiting.add(wake);
    return () => this.#waiting.delete(wake);
  }

  /** Resolves when there is a record at or above `offset`, or at abort. */
  async waitFor(offset: number, signal: AbortSignal): Promise<void> {
    if (this.#end > offset || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        off();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const off = this.onAdvance(() => {
        if (this.#end > offset) done();
      });
      signal.addEventListener('abort', done, { once: true });
    });
  }

  /** Throws bus_offset_lost when `from` is below the earliest. */
  checkStart(from: number): void {
    if (from >= this.earliest) return;
    throw new TriplineError(
      'bus_offset_lost',
      `${this.topic}/${this.partition}: offset ${from} is below the earliest, ${this.earliest}.`,
    );
  }

  /** Records of [from, to), as many as the limits allow and at least one. Throws bus_offset_lost below the earliest. */
  read(from: number, to: number, limit: { maxBytes: number; maxRecords: number }): PartitionRead {
    this.checkStart(from);
    const last = Math.min(to, this.#end);
    const limits: ReadLimits = { from, to: last, ...limit };
    const records: BusRecord[] = [];
    if (from >= last) return { records, nextOffset: from };
    for (const block of this.#storage.blocks(this.id, from)) {
      if (block.baseOffset >= last) break;
      const end = block.baseOffset + readBlockHead(block.bytes).count;
      readBlock({ topic: this.topic, partition: this.partition, ...block }, block.bytes, limits, records);
      const next = (records.at(-1)?.offset ?? from - 1) + 1;
      // A limit cut the block short (a block that ends below `from` gave nothing and is no such case).
      if (next < Math.min(end, last)) return { records, nextOffset: next };
    }
    return { records, nextOffset: last };
  }

  /** Blocks in order, for retention and compaction. */
  blocks(from: number): Generator<StoredBlock> {
    return this.#storage.blocks(this.id, from);
  }

  /** Writes a block anew: other bytes, the same offsets. */
  async replaceBlock(block: StoredBlock): Promise<void> {
    await this.#storage.putBlock(this.id, block);
  }

  /** Removes whole blocks and moves the earliest offset where they were the first. */
  async removeBlocks(baseOffsets: readonly number[]): Promise<void> {
    if (baseOffsets.length === 0) return;
    await this.#storage.removeBlocks(this.id, baseOffsets, this.#end);
    let first = this.#end;
    for (const block of this.#storage.blocks(this.id, 0)) {
      first = block.baseOffset;
      break;
    }
    this.advance(first, this.#end);
  }
}
