/**
 * Reads partitions without a group. kafkajs offers fetching only inside a consumer group, whose join takes the broker's
 * group.initial.rebalance.delay (3 s by default); its cluster object, on which its own consumer is built, fetches at
 * once. It is reached through the client's one private factory (kafkajs is pinned at 2.2.4).
 */
import type { Kafka, KafkaMessage } from 'kafkajs';
import { setTimeout as pause } from 'node:timers/promises';
import { TriplineError } from '../../../../schemas/errors.ts';
import type { BusRecord, TopicPartition } from '../port.ts';
import { METADATA_MAX_AGE_MS, toBusError } from './client.ts';
import { fromKafka } from './message.ts';

const FACTORY = 'private:Kafka:createCluster';
const READ_COMMITTED = 1;
const FETCH_BYTES = 8 * 1024 * 1024;
const PARTITION_BYTES = 2 * 1024 * 1024;
const RETRY_MS = 200;

interface FetchedPartition {
  readonly partition: number;
  readonly highWatermark: string;
  readonly messages: readonly (KafkaMessage & { readonly isControlRecord?: boolean })[];
}

interface FetchBroker {
  fetch(request: {
    maxWaitTime: number;
    minBytes: number;
    maxBytes: number;
    isolationLevel: number;
    topics: {
      topic: string;
      partitions: { partition: number; fetchOffset: string; maxBytes: number }[];
    }[];
  }): Promise<{ responses: readonly { topicName: string; partitions: readonly FetchedPartition[] }[] }>;
}

interface FetchCluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  addMultipleTargetTopics(topics: string[]): Promise<void>;
  refreshMetadata(): Promise<void>;
  refreshMetadataIfNecessary(): Promise<void>;
  findLeaderForPartitions(topic: string, partitions: number[]): Record<string, number[]>;
  findBroker(at: { nodeId: string }): Promise<FetchBroker>;
}

interface ClusterFactory {
  (options: {
    metadataMaxAge: number;
    allowAutoTopicCreation: boolean;
    isolationLevel: number;
  }): FetchCluster;
}

function makeCluster(client: Kafka): FetchCluster {
  const symbol = Object.getOwnPropertySymbols(client).find(({ description }) => description === FACTORY);
  const factory =
    symbol === undefined ? undefined : (client as unknown as Record<symbol, ClusterFactory>)[symbol];
  if (factory === undefined)
    throw new TriplineError('bus_failed', 'This version of kafkajs has no cluster factory.');
  return factory({
    metadataMaxAge: METADATA_MAX_AGE_MS,
    allowAutoTopicCreation: false,
    isolationLevel: READ_COMMITTED,
  });
}

export interface Position {
  readonly at: TopicPartition;
  readonly kafkaTopic: string;
  /** Compaction may leave nothing between here and the end. */
  readonly compacted: boolean;
  offset: number;
}

export interface Fetched {
  readonly position: Position;
  readonly records: readonly BusRecord[];
  readonly highWatermark: number;
  /** The answer held records, all of them below the wanted offset. */
  readonly onlyEarlier: boolean;
}

export class KafkaReader {
  readonly #cluster: FetchCluster;
  #connected: Promise<void> | undefined;

  constructor(client: Kafka) {
    this.#cluster = makeCluster(client);
  }

  /** One fetch from each leader, in parallel. Waits up to `maxWaitMs` for the first byte. Does not move the positions. */
  async fetch(positions: readonly Position[], maxWaitMs: number): Promise<Fetched[]> {
    try {
      await this.#prepare(positions);
      const byLeader = this.#byLeader(positions);
      const answers = await Promise.all(
        [...byLeader].map(([nodeId, group]) => this.#fetchFrom(nodeId, group, maxWaitMs)),
      );
      return answers.flat();
    } catch (error) {
      const converted = toBusError(error);
      if (converted.code === 'bus_unavailable') await this.#cluster.refreshMetadata().catch(() => undefined);
      throw converted;
    }
  }

  /** Repeats while no leader answers, up to `patienceMs`. */
  async fetchPatiently(
    positions: readonly Position[],
    maxWaitMs: number,
    patienceMs: number,
  ): Promise<Fetched[]> {
    for (let waitedMs = 0; ; waitedMs += RETRY_MS) {
      try {
        return await this.fetch(positions, maxWaitMs);
      } catch (error) {
        const converted = toBusError(error);
        if (converted.code !== 'bus_unavailable' || waitedMs >= patienceMs) throw converted;
        await pause(RETRY_MS);
      }
    }
  }

  async close(): Promise<void> {
    await this.#cluster.disconnect();
  }

  async #prepare(positions: readonly Position[]): Promise<void> {
    this.#connected ??= this.#cluster.connect();
    try {
      await this.#connected;
    } catch (error) {
      this.#connected = undefined;
      throw error;
    }
    await this.#cluster.addMultipleTargetTopics([...new Set(positions.map(({ kafkaTopic }) => kafkaTopic))]);
    await this.#cluster.refreshMetadataIfNecessary();
  }

  #byLeader(positions: readonly Position[]): Map<string, Position[]> {
    const byLeader = new Map<string, Position[]>();
    for (const position of positions) {
      const leaders = this.#cluster.findLeaderForPartitions(position.kafkaTopic, [position.at.partition]);
      const [nodeId] = Object.keys(leaders);
      if (nodeId === undefined) throw new TriplineError('bus_unavailable', 'A partition has no leader.');
      const group = byLeader.get(nodeId);
      if (group === undefined) byLeader.set(nodeId, [position]);
      else group.push(position);
    }
    return byLeader;
  }

  async #fetchFrom(nodeId: string, positions: readonly Position[], maxWaitMs: number): Promise<Fetched[]> {
    const broker = await this.#cluster.findBroker({ nodeId });
    const { responses } = await broker.fetch({
      maxWaitTime: maxWaitMs,
      minBytes: 1,
      maxBytes: FETCH_BYTES,
      isolationLevel: READ_COMMITTED,
      topics: positions.map(({ at, kafkaTopic, offset }) => ({
        topic: kafkaTopic,
        partitions: [{ partition: at.partition, fetchOffset: String(offset), maxBytes: PARTITION_BYTES }],
      })),
    });
    return responses.flatMap(({ topicName, partitions }) =>
      partitions.flatMap((fetched) => {
        const position = positions.find(
          ({ at, kafkaTopic }) => kafkaTopic === topicName && at.partition === fetched.partition,
        );
        return position === undefined ? [] : [toFetched(position, fetched)];
      }),
    );
  }
}

/** A fetch answers whole batches: what is below the wanted offset is left out. */
function toFetched(position: Position, fetched: FetchedPartition): Fetched {
  const records = fetched.messages
    .filter((message) => message.isControlRecord !== true && Number(message.offset) >= position.offset)
    .map((message) => fromKafka(position.at, message));
  return {
    position,
    highWatermark: Number(fetched.highWatermark),
    records,
    onlyEarlier: records.length === 0 && fetched.messages.length > 0,
  };
}

/**
 * Where to go on after an answer. Compaction leaves holes: an answer without records is the end, but one with earlier
 * records only is a batch that lost its tail, the last of its segment (a fetch never crosses to the next); then one offset
 * at a time, to the end of that batch, leads to what follows.
 */
export function nextOffset({ position, records, highWatermark, onlyEarlier }: Fetched): number {
  const last = records.at(-1);
  if (last !== undefined) return last.offset + 1;
  if (!position.compacted) return position.offset;
  return onlyEarlier ? position.offset + 1 : Math.max(position.offset, highWatermark);
}
