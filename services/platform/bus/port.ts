/**
 * The bus: a partitioned, append-only log with offsets, append time and consumer groups. Two adapters hold this
 * contract (kafka, embedded); test/integration/bus runs one suite over both.
 */
import type { TopicSpec } from '../../../schemas/topics.ts';

export interface BusMessage {
  readonly key: Uint8Array | null;
  /** null = tombstone (compacted topics only). */
  readonly value: Uint8Array | null;
  readonly headers: Readonly<Record<string, string>>;
}

export interface BusRecord extends BusMessage {
  readonly topic: string;
  readonly partition: number;
  /** Dense from 0 within a partition (no transactions are used). */
  readonly offset: number;
  /** Set by the bus (Kafka: LogAppendTime), Unix ms. May run backwards between records; watermarks take the running maximum. */
  readonly appendMs: number;
}

export interface SendResult {
  readonly baseOffset: number;
  readonly appendMs: number;
}

export interface BusProducer {
  /**
   * Appends the messages, in order, to one partition. Resolves when they are durable (embedded: flushed to disk;
   * Kafka: acks=all). Calls may be concurrent: per partition they are appended in call order, one outstanding at a
   * time, and small ones are merged. A fault whose outcome is unknown is repeated inside with the identical batch until
   * it is known. Rejects with bus_backpressure when the queue of the partition is full (nothing was enqueued),
   * bus_record_too_large, bus_closed.
   */
  send(topic: string, partition: number, messages: readonly BusMessage[]): Promise<SendResult>;
  /** Age of the oldest unacknowledged send in ms, 0 when idle; health is taken from it. */
  oldestPendingMs(): number;
  close(): Promise<void>;
}

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface BusBatch extends TopicPartition {
  readonly records: readonly BusRecord[];
  /** Offset that the next appended record will get, as known when the batch was fetched. */
  readonly highWatermark: number;
}

export interface BatchContext {
  /** Call before each write: tells the coordinator that we live, and throws bus_stale when the partition is no longer ours. */
  heartbeat(): Promise<void>;
  isStale(): boolean;
  /** Everything below `nextOffset` is done. Throws bus_stale when the partition is no longer ours. */
  commit(nextOffset: number): Promise<void>;
}

export interface ConsumeOptions {
  readonly group: string;
  readonly topics: readonly string[];
  /**
   * Called when a partition becomes ours, before its first batch; may answer the offset to start at (overrides the
   * committed one). Without an answer: committed offset, else the earliest.
   */
  readonly onAssigned?: (assigned: TopicPartition) => Promise<number | undefined>;
  /** Called when a partition is taken from us (best effort: a crash or a lost session may skip it). */
  readonly onRevoked?: (revoked: TopicPartition) => Promise<void>;
  /**
   * One call at a time per partition, in offset order; partitions run concurrently. If it throws, the consumer waits a
   * little, then the partition is assigned anew (onAssigned) and its records are delivered again; nothing is skipped.
   */
  readonly onBatch: (batch: BusBatch, context: BatchContext) => Promise<void>;
  /** Called for every fault that the consumer recovers from by itself; for logs and metrics. */
  readonly onError?: (error: unknown) => void;
  readonly maxBatchBytes?: number;
  readonly maxBatchRecords?: number;
}

export interface BusConsumer {
  /** Partitions that are ours now. */
  assignment(): readonly TopicPartition[];
  /** Waits for running onBatch calls, leaves the group. */
  stop(): Promise<void>;
}

export interface TailOptions {
  readonly topics: readonly string[];
  readonly from: 'earliest' | 'latest';
  /** No group, no commits: every tail sees every record of every partition. Awaited, so a slow reader slows its own fetches only. */
  readonly onRecords: (records: readonly BusRecord[]) => Promise<void>;
  readonly onError?: (error: unknown) => void;
}

export interface PartitionOffsets {
  readonly partition: number;
  /** First offset still there. */
  readonly earliest: number;
  /** Offset that the next record will get. */
  readonly latest: number;
}

export interface Bus {
  readonly kind: 'embedded' | 'kafka';
  /**
   * Creates missing topics with these settings and checks those that exist: another partition count than
   * `dataPartitions` (or 1) throws bus_partition_mismatch.
   */
  ensureTopics(specs: readonly TopicSpec[], dataPartitions: number): Promise<void>;
  partitionCount(topic: string): number;
  /** One per process suffices; it serves all partitions. */
  producer(): Promise<BusProducer>;
  consume(options: ConsumeOptions): Promise<BusConsumer>;
  tail(options: TailOptions): Promise<BusConsumer>;
  /** Records in [from, to) of one partition, `to` at most the end at the time of the call. bus_offset_lost when `from` is below the earliest (except from = 0 on compacted topics, whose offsets have holes). */
  read(
    at: TopicPartition & { readonly from: number; readonly to?: number },
  ): AsyncIterable<readonly BusRecord[]>;
  offsets(topic: string): Promise<readonly PartitionOffsets[]>;
  /** Committed offset of the group, undefined where none. */
  committed(group: string, at: TopicPartition): Promise<number | undefined>;
  close(): Promise<void>;
}

/** Whether a line of a record is to go; `line` counts from 0 inside the record. */
export type IsErased = (record: BusRecord, line: number, bytes: Uint8Array) => boolean;

/** A bus whose log is ours to rewrite (embedded). Of another one the records go with the retention of their topics. */
export interface ErasableBus {
  /** Empties the lines for which `isErased` holds; records, offsets, headers and the other lines stay. Durable; answers how many. */
  eraseLines(topic: string, isErased: IsErased): Promise<number>;
  /** Durable. For topics whose records can be made again. */
  dropRecords(topic: string): Promise<void>;
  /** Leaves no byte in the files that no record holds any more. Sends wait meanwhile. */
  renewFiles(): Promise<void>;
}

export function isErasable(bus: Bus): bus is Bus & ErasableBus {
  return 'eraseLines' in bus && 'dropRecords' in bus && 'renewFiles' in bus;
}
