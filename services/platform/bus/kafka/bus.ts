/** The bus over Kafka. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Admin } from 'kafkajs';
import { isTriplineError, TriplineError } from '../../../../schemas/errors.ts';
import type { TopicSpec } from '../../../../schemas/topics.ts';
import type {
  Bus,
  BusConsumer,
  BusProducer,
  BusRecord,
  ConsumeOptions,
  PartitionOffsets,
  TailOptions,
  TopicPartition,
} from '../port.ts';
import {
  BOUNDED_RETRY,
  type OwnClient,
  makeOwnClient,
  MAX_WAIT_MS,
  toBusError,
  type KafkaBusOptions,
} from './client.ts';
import { KafkaMember } from './consumer.ts';
import { KafkaProducer } from './producer.ts';
import { KafkaReader, nextOffset, type Position } from './reader.ts';
import { ensureKafkaTopics } from './topics.ts';

const READ_PATIENCE_MS = 30_000;
const TAIL_PAUSE_MS = 500;
/** Members and producers end by themselves within 8 s; a tail may wait for its broker without end. */
const PARTS_CLOSE_MS = 8500;
const REST_CLOSE_MS = 1500;

interface KnownTopic {
  readonly partitions: number;
  readonly compacted: boolean;
}

/** Connects. Rejects with bus_unavailable when no broker answers within some seconds. */
export async function openKafkaBus(options: KafkaBusOptions): Promise<Bus> {
  const own = makeOwnClient(options);
  const admin = own.client.admin({ retry: BOUNDED_RETRY });
  try {
    await admin.connect();
  } catch (error) {
    own.cut();
    throw toBusError(error);
  }
  return new KafkaBus(options, own, admin);
}

class KafkaBus implements Bus {
  readonly kind = 'kafka';
  readonly #options: KafkaBusOptions;
  readonly #own: OwnClient;
  readonly #admin: Admin;
  readonly #reader: KafkaReader;
  readonly #topics = new Map<string, KnownTopic>();
  readonly #open = new Set<{ close(): Promise<void> }>();
  #closed: Promise<void> | undefined;

  constructor(options: KafkaBusOptions, own: OwnClient, admin: Admin) {
    this.#options = options;
    this.#own = own;
    this.#admin = admin;
    this.#reader = new KafkaReader(own.client);
  }

  async ensureTopics(specs: readonly TopicSpec[], dataPartitions: number): Promise<void> {
    this.#checkOpen();
    const wanted = specs.map((spec) => ({
      spec,
      name: this.#topicName(spec.name),
      partitions: spec.partitioning === 'single' ? 1 : dataPartitions,
    }));
    await ensureKafkaTopics(this.#admin, wanted, this.#options.replicationFactor);
    for (const { spec, partitions } of wanted)
      this.#topics.set(spec.name, { partitions, compacted: spec.cleanup === 'compact' });
  }

  partitionCount(topic: string): number {
    return this.#known(topic).partitions;
  }

  async producer(): Promise<BusProducer> {
    this.#checkOpen();
    const producer = await KafkaProducer.connect(makeOwnClient(this.#options), {
      clock: this.#options.clock,
      log: this.#options.log,
      maxQueuedBytes: this.#options.maxQueuedBytes,
      topicName: (topic) => this.#topicName(topic),
    });
    this.#open.add(producer);
    return producer;
  }

  async consume(options: ConsumeOptions): Promise<BusConsumer> {
    this.#checkOpen();
    const member = await KafkaMember.join(
      () => makeOwnClient(this.#options),
      {
        clock: this.#options.clock,
        log: this.#options.log,
        sessionTimeoutMs: this.#options.sessionTimeoutMs,
        topicName: (topic) => this.#topicName(topic),
        ownName: (kafkaTopic) => kafkaTopic.slice(this.#options.namePrefix.length),
        groupName: (group) => `${this.#options.namePrefix}${group}`,
        committed: (group, at) => this.committed(group, at),
        earliest: async (at) =>
          (await this.offsets(at.topic)).find(({ partition }) => partition === at.partition)?.earliest ?? 0,
        isCompacted: (topic) => this.#known(topic).compacted,
      },
      options,
    );
    this.#open.add({ close: () => member.stop() });
    return member;
  }

  async tail(options: TailOptions): Promise<BusConsumer> {
    this.#checkOpen();
    const positions: Position[] = [];
    for (const topic of options.topics)
      for (const { partition, earliest, latest } of await this.offsets(topic))
        positions.push(this.#position({ topic, partition }, options.from === 'earliest' ? earliest : latest));
    const tail = startTail(options, new KafkaReader(this.#own.client), positions, () =>
      this.#clamp(positions),
    );
    const own = { close: () => tail.stop() };
    this.#open.add(own);
    return tail;
  }

  async *read(
    at: TopicPartition & { readonly from: number; readonly to?: number },
  ): AsyncGenerator<readonly BusRecord[]> {
    this.#checkOpen();
    const bounds = (await this.offsets(at.topic)).find(({ partition }) => partition === at.partition);
    if (bounds === undefined)
      throw new TriplineError('bus_failed', `${at.topic} has no partition ${at.partition}.`);
    const { compacted } = this.#known(at.topic);
    if (at.from < bounds.earliest && !(compacted && at.from === 0))
      throw new TriplineError(
        'bus_offset_lost',
        `${at.topic}/${at.partition}: offset ${at.from} is below the earliest, ${bounds.earliest}.`,
      );
    const to = Math.min(at.to ?? bounds.latest, bounds.latest);
    const position = this.#position(at, Math.max(at.from, bounds.earliest));
    while (position.offset < to) {
      const [fetched] = await this.#reader.fetchPatiently([position], MAX_WAIT_MS, READ_PATIENCE_MS);
      if (fetched === undefined) continue;
      const records = fetched.records.filter(({ offset }) => offset < to);
      position.offset = nextOffset(fetched);
      if (records.length > 0) yield records;
    }
  }

  async offsets(topic: string): Promise<readonly PartitionOffsets[]> {
    this.#checkOpen();
    try {
      const found = await this.#admin.fetchTopicOffsets(this.#topicName(topic));
      return found
        .map(({ partition, low, high }) => ({ partition, earliest: Number(low), latest: Number(high) }))
        .toSorted((a, b) => a.partition - b.partition);
    } catch (error) {
      throw toBusError(error);
    }
  }

  async committed(group: string, at: TopicPartition): Promise<number | undefined> {
    this.#checkOpen();
    try {
      const [topic] = await this.#admin.fetchOffsets({
        groupId: `${this.#options.namePrefix}${group}`,
        topics: [this.#topicName(at.topic)],
      });
      const offset = topic?.partitions.find(({ partition }) => partition === at.partition)?.offset;
      // -1 = none.
      return offset === undefined || Number(offset) < 0 ? undefined : Number(offset);
    } catch (error) {
      throw toBusError(error);
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const parts = Promise.allSettled([...this.#open].map((part) => part.close()));
    await this.#atMost(PARTS_CLOSE_MS, parts);
    const rest = Promise.allSettled([this.#reader.close(), this.#admin.disconnect()]);
    await this.#atMost(REST_CLOSE_MS, rest);
    this.#own.cut();
  }

  async #atMost(ms: number, work: Promise<unknown>): Promise<void> {
    const waiting = new AbortController();
    await Promise.race([work, this.#options.clock.sleep(ms, waiting.signal)]);
    waiting.abort();
  }

  #position(at: TopicPartition, offset: number): Position {
    return {
      at: { topic: at.topic, partition: at.partition },
      kafkaTopic: this.#topicName(at.topic),
      compacted: this.#known(at.topic).compacted,
      offset,
    };
  }

  /** Retention passed a slow reader: it goes on at what is left. */
  async #clamp(positions: readonly Position[]): Promise<void> {
    for (const topic of new Set(positions.map(({ at }) => at.topic)))
      for (const { partition, earliest } of await this.offsets(topic))
        for (const position of positions)
          if (position.at.topic === topic && position.at.partition === partition)
            position.offset = Math.max(position.offset, earliest);
  }

  #topicName(topic: string): string {
    return `${this.#options.namePrefix}${topic}`;
  }

  #known(topic: string): KnownTopic {
    const found = this.#topics.get(topic);
    if (found === undefined) throw new TriplineError('bus_failed', `Topic ${topic} was not ensured.`);
    return found;
  }

  #checkOpen(): void {
    if (this.#closed !== undefined) throw new TriplineError('bus_closed');
  }
}

function startTail(
  options: TailOptions,
  reader: KafkaReader,
  positions: readonly Position[],
  clamp: () => Promise<void>,
): BusConsumer {
  const stopping = new AbortController();
  const ended = run();
  return {
    assignment: () => positions.map(({ at }) => at),
    stop: async () => {
      stopping.abort();
      await ended;
      await reader.close();
    },
  };

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        for (const fetched of await reader.fetchPatiently(positions, MAX_WAIT_MS, TAIL_PAUSE_MS)) {
          if (stopping.signal.aborted) return;
          if (fetched.records.length > 0) await options.onRecords(fetched.records);
          fetched.position.offset = nextOffset(fetched);
        }
      } catch (error) {
        options.onError?.(error);
        if (isTriplineError(error, 'bus_offset_lost')) await clamp().catch(options.onError);
        await pause(TAIL_PAUSE_MS);
      }
    }
  }
}
