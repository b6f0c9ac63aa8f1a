/** The embedded bus: the port over lmdb, for one process. */
import { mkdir } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Logger } from 'pino';
import { TriplineError } from '../../../../schemas/errors.ts';
import type { TopicSpec } from '../../../../schemas/topics.ts';
import type { Clock } from '../../clock.ts';
import { messageBytes, QueueBudget } from '../limits.ts';
import type {
  Bus,
  BusConsumer,
  BusMessage,
  BusProducer,
  BusRecord,
  ConsumeOptions,
  ErasableBus,
  IsErased,
  PartitionOffsets,
  SendResult,
  TailOptions,
  TopicPartition,
} from '../port.ts';
import { partitionName } from '../assign.ts';
import { Committer } from './committer.ts';
import { commitKeyOf, Groups } from './groups.ts';
import { dropAll, eraseLines } from './erase.ts';
import { compact, expire } from './maintenance.ts';
import { EmbeddedPartition } from './partition.ts';
import { EmbeddedStorage, type StoredTopic } from './storage.ts';
import { startTail } from './tail.ts';

const MAINTENANCE_EVERY_MS = 30_000;
const READ_BYTES = 2 * 1024 * 1024;
const READ_RECORDS = 2048;
const PARTITION_ID_BITS = 16;
/** A compacted partition is compacted when this many records came since the last time, or twice what that left. */
const COMPACT_AFTER_RECORDS = 1000;

export interface EmbeddedBusOptions {
  /** Made where absent, mode 0700. Of this process alone while open. */
  readonly dir: string;
  readonly clock: Clock;
  readonly log?: Logger;
  /** Bytes of sends that wait to be flushed, over all partitions. */
  readonly maxQueuedBytes: number;
}

interface Topic {
  readonly stored: StoredTopic;
  readonly partitions: readonly EmbeddedPartition[];
}

/** Opens the bus. Throws data_dir_locked while another process has the directory. */
export async function openEmbeddedBus(options: EmbeddedBusOptions): Promise<EmbeddedBus> {
  await mkdir(options.dir, { recursive: true, mode: 0o700 });
  return new EmbeddedBus(options);
}

export class EmbeddedBus implements Bus, ErasableBus {
  readonly kind = 'embedded';
  readonly #storage: EmbeddedStorage;
  readonly #clock: Clock;
  readonly #log: Logger | undefined;
  readonly #committer: Committer;
  readonly #groups: Groups;
  readonly #budget: QueueBudget;
  readonly #topics = new Map<string, Topic>();
  readonly #tails = new Set<BusConsumer>();
  readonly #compactedEnds = new Map<EmbeddedPartition, number>();
  readonly #closing = new AbortController();
  readonly #maintenance: Promise<void>;
  #closed: Promise<void> | undefined;
  #rewriting: Promise<unknown> = Promise.resolve();

  constructor(options: EmbeddedBusOptions) {
    this.#storage = new EmbeddedStorage(options.dir);
    this.#clock = options.clock;
    this.#log = options.log;
    this.#budget = new QueueBudget(options.maxQueuedBytes);
    this.#committer = new Committer(this.#storage, options.clock, options.log);
    this.#groups = new Groups({
      clock: options.clock,
      committer: this.#committer,
      partitions: (topic) => this.#topic(topic).partitions,
      committed: (key) => this.#storage.committed(key),
    });
    for (const [name, stored] of this.#storage.topics()) this.#open(name, stored);
    this.#maintenance = this.#maintainForever();
  }

  async ensureTopics(specs: readonly TopicSpec[], dataPartitions: number): Promise<void> {
    this.#checkOpen();
    for (const spec of specs) {
      const partitions = spec.partitioning === 'single' ? 1 : dataPartitions;
      const found = this.#topics.get(spec.name);
      if (found !== undefined) this.#check(spec, partitions, found);
      const stored: StoredTopic = {
        id: found?.stored.id ?? this.#nextTopicId(),
        partitions,
        cleanup: spec.cleanup,
        retentionMs: spec.retentionMs ?? null,
      };
      await this.#storage.putTopic(spec.name, stored);
      if (found === undefined) this.#open(spec.name, stored);
      else this.#topics.set(spec.name, { ...found, stored });
    }
  }

  partitionCount(topic: string): number {
    return this.#topic(topic).partitions.length;
  }

  async producer(): Promise<BusProducer> {
    this.#checkOpen();
    const pending = new Map<Promise<SendResult>, number>();
    let closed = false;
    return {
      send: (topic, partition, messages) => {
        if (closed) return Promise.reject(new TriplineError('bus_closed'));
        const sent = this.#send(topic, partition, messages);
        pending.set(sent, this.#clock.monotonicMs());
        const forget = (): boolean => pending.delete(sent);
        sent.then(forget, forget);
        return sent;
      },
      oldestPendingMs: () => {
        const [oldest] = pending.values();
        return oldest === undefined ? 0 : this.#clock.monotonicMs() - oldest;
      },
      close: async () => {
        closed = true;
        await Promise.allSettled(pending.keys());
      },
    };
  }

  consume(options: ConsumeOptions): Promise<BusConsumer> {
    this.#checkOpen();
    for (const topic of options.topics) this.#topic(topic);
    return this.#groups.join(options);
  }

  async tail(options: TailOptions): Promise<BusConsumer> {
    this.#checkOpen();
    const partitions = options.topics.flatMap((topic) => this.#topic(topic).partitions);
    const tail = startTail(options, partitions, this.#clock);
    this.#tails.add(tail);
    return {
      assignment: () => tail.assignment(),
      stop: async () => {
        this.#tails.delete(tail);
        await tail.stop();
      },
    };
  }

  async *read(
    at: TopicPartition & { readonly from: number; readonly to?: number },
  ): AsyncGenerator<readonly BusRecord[]> {
    const partition = this.#partition(at);
    const to = Math.min(at.to ?? partition.end, partition.end);
    let from = at.from;
    partition.checkStart(from);
    while (from < to) {
      this.#checkOpen();
      const { records, nextOffset } = partition.read(from, to, {
        maxBytes: READ_BYTES,
        maxRecords: READ_RECORDS,
      });
      if (records.length > 0) yield records;
      from = nextOffset;
      await nextTurn();
    }
  }

  async offsets(topic: string): Promise<readonly PartitionOffsets[]> {
    return this.#topic(topic).partitions.map(({ partition, earliest, end }) => ({
      partition,
      earliest,
      latest: end,
    }));
  }

  async committed(group: string, at: TopicPartition): Promise<number | undefined> {
    this.#checkOpen();
    return this.#storage.committed(commitKeyOf(group, at));
  }

  /**
   * Appends records of another bus with their offsets and append times. Offsets ascend, from the end of the partition
   * or above it (what is left out stays a hole). Throws bus_failed otherwise.
   */
  async importPartition(topic: string, partition: number, records: readonly BusRecord[]): Promise<void> {
    if (records.length === 0) return;
    const bytes = records.reduce((sum, record) => sum + messageBytes(record), 0);
    await this.#committer.import(this.#partition({ topic, partition }), records, bytes);
  }

  /** Lines are taken out of the records of a topic for good. */
  eraseLines(topic: string, isErased: IsErased): Promise<number> {
    return this.#undisturbed(async () => {
      let lines = 0;
      for (const partition of this.#topic(topic).partitions) lines += await eraseLines(partition, isErased);
      return lines;
    });
  }

  /** All records of a topic are removed; its offsets go on where they were. */
  dropRecords(topic: string): Promise<void> {
    return this.#undisturbed(async () => {
      for (const partition of this.#topic(topic).partitions) await dropAll(partition);
    });
  }

  renewFiles(): Promise<void> {
    return this.#undisturbed(() => this.#committer.exclusive(() => this.#storage.renewFiles()));
  }

  /** Retention and compaction, now; otherwise every 30 s by itself. */
  maintain(): Promise<void> {
    return this.#undisturbed(() => this.#maintain());
  }

  /** What rewrites or removes blocks: one at a time. */
  #undisturbed<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#rewriting.then(work, work);
    this.#rewriting = turn.catch(() => undefined);
    return turn;
  }

  async #maintain(): Promise<void> {
    for (const { stored, partitions } of this.#topics.values())
      for (const partition of partitions) {
        if (this.#closing.signal.aborted) return;
        if (stored.cleanup === 'compact') await this.#compactWhenDue(partition);
        else if (stored.retentionMs !== null)
          await expire(partition, this.#clock.nowMs() - stored.retentionMs);
      }
  }

  /** Stops consumers after their running batch, flushes what was taken, gives the directory up. Idempotent. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([this.#groups.stop(), ...[...this.#tails].map((tail) => tail.stop())]);
    await this.#committer.close();
    await this.#maintenance;
    await this.#rewriting;
    await this.#storage.close();
  }

  async #send(topic: string, partition: number, messages: readonly BusMessage[]): Promise<SendResult> {
    this.#checkOpen();
    const at = this.#partition({ topic, partition });
    let bytes = 0;
    for (const message of messages) bytes += messageBytes(message);
    if (messages.length === 0) return { baseOffset: at.end, appendMs: Math.trunc(this.#clock.nowMs()) };
    const lane = partitionName(at);
    this.#budget.reserve(lane, bytes);
    try {
      return await this.#committer.append(at, messages, bytes);
    } finally {
      this.#budget.release(lane, bytes);
    }
  }

  async #maintainForever(): Promise<void> {
    const { signal } = this.#closing;
    for (;;) {
      await this.#clock.sleep(MAINTENANCE_EVERY_MS, signal);
      if (signal.aborted) return;
      try {
        await this.maintain();
      } catch (error) {
        this.#log?.error({ err: error }, 'embedded bus: retention or compaction failed');
      }
    }
  }

  async #compactWhenDue(partition: EmbeddedPartition): Promise<void> {
    const since = partition.end - (this.#compactedEnds.get(partition) ?? 0);
    if (since < COMPACT_AFTER_RECORDS) return;
    await compact(partition, this.#clock.nowMs());
    this.#compactedEnds.set(partition, partition.end);
  }

  #check(spec: TopicSpec, partitions: number, { stored }: Topic): void {
    if (stored.partitions !== partitions)
      throw new TriplineError(
        'bus_partition_mismatch',
        `${spec.name} has ${stored.partitions} partitions, ${partitions} are configured.`,
      );
    if (stored.cleanup !== spec.cleanup)
      throw new TriplineError('bus_failed', `${spec.name} is ${stored.cleanup}, not ${spec.cleanup}.`);
  }

  #open(name: string, stored: StoredTopic): void {
    const partitions = Array.from(
      { length: stored.partitions },
      (_, partition) =>
        new EmbeddedPartition(this.#storage, {
          topic: name,
          partition,
          id: (stored.id << PARTITION_ID_BITS) + partition,
          compacted: stored.cleanup === 'compact',
        }),
    );
    this.#topics.set(name, { stored, partitions });
  }

  #nextTopicId(): number {
    return Math.max(0, ...[...this.#topics.values()].map(({ stored }) => stored.id)) + 1;
  }

  #topic(name: string): Topic {
    const topic = this.#topics.get(name);
    if (topic === undefined) throw new TriplineError('bus_failed', `There is no topic ${name}.`);
    return topic;
  }

  #partition(at: TopicPartition): EmbeddedPartition {
    const partition = this.#topic(at.topic).partitions[at.partition];
    if (partition === undefined)
      throw new TriplineError('bus_failed', `${at.topic} has no partition ${at.partition}.`);
    return partition;
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw new TriplineError('bus_closed');
  }
}
