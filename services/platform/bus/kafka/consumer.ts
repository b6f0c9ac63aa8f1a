/**
 * A member of a Kafka consumer group. kafkajs keeps the membership and fetches; lanes here keep the position of each
 * partition, so that a rebalance goes on where the handler was, and a handler's fault never ends the kafkajs consumer.
 */
import type { Consumer, ConsumerCrashEvent, ConsumerGroupJoinEvent, EachBatchPayload } from 'kafkajs';
import type { Logger } from 'pino';
import { isTriplineError, TriplineError } from '../../../../schemas/errors.ts';
import type { Clock } from '../../clock.ts';
import { partitionName } from '../assign.ts';
import type { BatchContext, BusConsumer, BusRecord, ConsumeOptions, TopicPartition } from '../port.ts';
import { rendezvousAssigner } from './assigner.ts';
import { errorTypes, MAX_WAIT_MS, METADATA_MAX_AGE_MS, toBusError, type OwnClient } from './client.ts';
import { fromKafka } from './message.ts';

const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5000;
const MAX_FETCH_BYTES = 8 * 1024 * 1024;
const MAX_CONCURRENT_PARTITIONS = 4096;
const MIN_HEARTBEAT_MS = 300;
/** For running handlers and a clean leave; a group that is just joining answers within this, or the session ends by itself. */
const STOP_WAIT_MS = 4000;
const CUT_WAIT_MS = 2000;

export interface KafkaMemberOptions {
  readonly clock: Clock;
  readonly log: Logger | undefined;
  readonly sessionTimeoutMs: number;
  topicName(topic: string): string;
  /** Undoes topicName. */
  ownName(kafkaTopic: string): string;
  groupName(group: string): string;
  committed(group: string, at: TopicPartition): Promise<number | undefined>;
  earliest(at: TopicPartition): Promise<number>;
  /** Offsets of a compacted topic have holes. */
  isCompacted(topic: string): boolean;
}

interface Lane {
  readonly at: TopicPartition;
  stale: boolean;
  /** Offset of the next record for the handler; undefined until its start is settled. */
  position: number | undefined;
  pauseMs: number;
}

export class KafkaMember implements BusConsumer {
  readonly #makeClient: () => OwnClient;
  readonly #options: KafkaMemberOptions;
  readonly #consume: ConsumeOptions;
  readonly #stopping = new AbortController();
  readonly #lanes = new Map<string, Lane>();
  #own: OwnClient;
  #consumer: Consumer;
  /** Ends when the handler has been told of every partition that went. */
  #revoking: Promise<void> = Promise.resolve();
  #memberId: string | undefined;
  #sessionLost = false;

  private constructor(makeClient: () => OwnClient, options: KafkaMemberOptions, consume: ConsumeOptions) {
    this.#makeClient = makeClient;
    this.#options = options;
    this.#consume = consume;
    this.#own = makeClient();
    this.#consumer = this.#make(this.#own);
  }

  /** Resolves when the member has joined its group. */
  static async join(
    makeClient: () => OwnClient,
    options: KafkaMemberOptions,
    consume: ConsumeOptions,
  ): Promise<KafkaMember> {
    const member = new KafkaMember(makeClient, options, consume);
    const joined = new Promise<void>((resolve) => {
      const off = member.#consumer.on(member.#consumer.events.GROUP_JOIN, () => {
        off();
        resolve();
      });
    });
    await member.#start();
    await joined;
    return member;
  }

  assignment(): readonly TopicPartition[] {
    return [...this.#lanes.values()].map(({ at }) => at);
  }

  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    await this.#leave(this.#consumer, this.#own);
    await this.#revoke([...this.#lanes.values()]);
  }

  /**
   * Leaves within seconds, whatever the broker does: kafkajs waits for a join under way and, while the broker is away,
   * without end; and one that was stopped while it joined would come back as a member that nobody reads for.
   */
  async #leave(consumer: Consumer, own: OwnClient): Promise<void> {
    const left = consumer.disconnect().catch(() => undefined);
    await this.#atMost(STOP_WAIT_MS, left);
    own.cut();
    await this.#atMost(CUT_WAIT_MS, left);
  }

  async #atMost(ms: number, work: Promise<void>): Promise<void> {
    const waiting = new AbortController();
    await Promise.race([work, this.#options.clock.sleep(ms, waiting.signal)]);
    waiting.abort();
  }

  #make(own: OwnClient): Consumer {
    const consumer = own.client.consumer({
      groupId: this.#options.groupName(this.#consume.group),
      partitionAssigners: [rendezvousAssigner],
      sessionTimeout: this.#options.sessionTimeoutMs,
      heartbeatInterval: Math.max(MIN_HEARTBEAT_MS, Math.floor(this.#options.sessionTimeoutMs / 10)),
      maxWaitTimeInMs: MAX_WAIT_MS,
      maxBytes: MAX_FETCH_BYTES,
      maxBytesPerPartition: this.#consume.maxBatchBytes ?? MAX_FETCH_BYTES / 2,
      metadataMaxAge: METADATA_MAX_AGE_MS,
      allowAutoTopicCreation: false,
      retry: { ...own.retry, restartOnFailure: async () => !this.#stopping.signal.aborted },
    });
    consumer.on(consumer.events.GROUP_JOIN, (event) => this.#joined(event));
    consumer.on(consumer.events.CRASH, (event) => this.#crashed(event));
    return consumer;
  }

  async #start(): Promise<void> {
    await this.#consumer.connect();
    await this.#consumer.subscribe({
      topics: this.#consume.topics.map((topic) => this.#options.topicName(topic)),
      fromBeginning: true,
    });
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: MAX_CONCURRENT_PARTITIONS,
      eachBatch: (payload) => this.#eachBatch(payload),
    });
  }

  /**
   * Runs inside kafkajs before the first fetch of the generation, where pause and seek are exact. Partitions that stay go
   * on where their handler was; those of a member that was thought dead in between start anew, since somebody else may have
   * had them.
   */
  #joined({ payload }: ConsumerGroupJoinEvent): void {
    if (this.#stopping.signal.aborted) return;
    const lost = this.#sessionLost || (this.#memberId !== undefined && this.#memberId !== payload.memberId);
    this.#sessionLost = false;
    this.#memberId = payload.memberId;
    const assigned = new Map<string, TopicPartition>();
    for (const [topic, partitions] of Object.entries(payload.memberAssignment))
      for (const partition of partitions) {
        const at = { topic: this.#options.ownName(topic), partition };
        assigned.set(partitionName(at), at);
      }
    const gone = [...this.#lanes].filter(([name]) => lost || !assigned.has(name)).map(([, lane]) => lane);
    void this.#revoke(gone);
    for (const [name, at] of assigned) {
      const kept = this.#lanes.get(name);
      if (kept === undefined) this.#open(name, at);
      else if (kept.position !== undefined) this.#seek(kept, kept.position);
    }
  }

  #open(name: string, at: TopicPartition): void {
    const lane: Lane = { at, stale: false, position: undefined, pauseMs: FIRST_PAUSE_MS };
    this.#lanes.set(name, lane);
    this.#consumer.pause([this.#kafkaPartition(at)]);
    void this.#settle(lane);
  }

  #revoke(lanes: readonly Lane[]): Promise<void> {
    for (const lane of lanes) {
      lane.stale = true;
      this.#lanes.delete(partitionName(lane.at));
    }
    this.#revoking = this.#revoking.then(() => this.#tellRevoked(lanes));
    return this.#revoking;
  }

  async #tellRevoked(lanes: readonly Lane[]): Promise<void> {
    for (const { at } of lanes) {
      try {
        await this.#consume.onRevoked?.(at);
      } catch (error) {
        this.#consume.onError?.(error);
      }
    }
  }

  /** Asks where to start, until there is an answer, and lets the partition run. */
  async #settle(lane: Lane): Promise<void> {
    const consumer = this.#consumer;
    // A partition that comes back at once: its end is told before its new start.
    await this.#revoking;
    while (!lane.stale && !this.#stopping.signal.aborted) {
      try {
        const start = await this.#startOf(lane.at);
        if (lane.stale || this.#stopping.signal.aborted || consumer !== this.#consumer) return;
        lane.position = start;
        this.#seek(lane, start);
        this.#consumer.resume([this.#kafkaPartition(lane.at)]);
        return;
      } catch (error) {
        this.#consume.onError?.(error);
        await this.#rest(lane);
      }
    }
  }

  async #startOf(at: TopicPartition): Promise<number> {
    return (
      (await this.#consume.onAssigned?.(at)) ??
      (await this.#options.committed(this.#consume.group, at)) ??
      (await this.#options.earliest(at))
    );
  }

  async #rest(lane: Lane): Promise<void> {
    await this.#options.clock.sleep(lane.pauseMs, this.#stopping.signal);
    lane.pauseMs = Math.min(lane.pauseMs * 2, MAX_PAUSE_MS);
  }

  #seek(lane: Lane, offset: number): void {
    const topic = this.#options.topicName(lane.at.topic);
    this.#consumer.seek({ topic, partition: lane.at.partition, offset: String(offset) });
  }

  #kafkaPartition(at: TopicPartition): { topic: string; partitions: number[] } {
    return { topic: this.#options.topicName(at.topic), partitions: [at.partition] };
  }

  async #eachBatch(payload: EachBatchPayload): Promise<void> {
    const { batch } = payload;
    const at = { topic: this.#options.ownName(batch.topic), partition: batch.partition };
    const lane = this.#lanes.get(partitionName(at));
    if (lane?.position === undefined || lane.stale || payload.isStale()) return;
    const position = lane.position;
    const records = batch.messages
      .map((message) => fromKafka(at, message))
      .filter((record) => record.offset >= position);
    this.#reportJump(lane, records[0]);
    // What heartbeat and commit were told by the coordinator; kafkajs must hear it, or it would not join again.
    const told: { error: unknown } = { error: undefined };
    try {
      await this.#deliver(lane, records, payload, told);
      lane.pauseMs = FIRST_PAUSE_MS;
    } catch (error) {
      // Taken for dead and written off: it joins again by itself, and whoever runs it should know.
      if (told.error !== undefined && isTriplineError(error, 'bus_stale')) this.#consume.onError?.(error);
      else this.#beginAnew(lane, error);
    }
    if (told.error !== undefined) throw told.error;
  }

  async #deliver(
    lane: Lane,
    records: readonly BusRecord[],
    payload: EachBatchPayload,
    told: { error: unknown },
  ): Promise<void> {
    const context = this.#context(lane, payload, told);
    const highWatermark = Number(payload.batch.highWatermark);
    const size = this.#consume.maxBatchRecords ?? records.length;
    for (let start = 0; start < records.length; start += size) {
      if (lane.stale || this.#stopping.signal.aborted) return;
      const piece = records.slice(start, start + size);
      await this.#consume.onBatch({ ...lane.at, records: piece, highWatermark }, context);
      if (lane.stale) return;
      const last = piece.at(-1)?.offset ?? 0;
      lane.position = last + 1;
      payload.resolveOffset(String(last));
      if (told.error !== undefined) return;
    }
  }

  #beginAnew(lane: Lane, error: unknown): void {
    this.#consume.onError?.(error);
    if (lane.stale) return;
    lane.position = undefined;
    this.#consumer.pause([this.#kafkaPartition(lane.at)]);
    void this.#rest(lane).then(() => this.#settle(lane));
  }

  /** Retention took records that were not read: kafkajs jumps to the earliest in silence. */
  #reportJump(lane: Lane, first: BusRecord | undefined): void {
    if (first === undefined || first.offset === lane.position || this.#options.isCompacted(lane.at.topic))
      return;
    this.#consume.onError?.(
      new TriplineError(
        'bus_offset_lost',
        `${partitionName(lane.at)}: offset ${lane.position} was wanted, ${first.offset} came.`,
      ),
    );
  }

  #context(lane: Lane, payload: EachBatchPayload, told: { error: unknown }): BatchContext {
    const topic = this.#options.topicName(lane.at.topic);
    const ask = async (question: () => Promise<void>): Promise<void> => {
      if (lane.stale) throw new TriplineError('bus_stale');
      try {
        await question();
      } catch (error) {
        told.error = error;
        // Ours until we join again: the batch may end and commit.
        if (errorTypes(error).includes('REBALANCE_IN_PROGRESS')) return;
        const converted = toBusError(error);
        if (converted.code === 'bus_stale') {
          this.#sessionLost = true;
          lane.stale = true;
        }
        throw converted;
      }
    };
    return {
      heartbeat: () => ask(() => payload.heartbeat()),
      isStale: () => lane.stale || payload.isStale() || !payload.isRunning(),
      commit: (nextOffset) =>
        ask(() =>
          this.#consumer.commitOffsets([{ topic, partition: lane.at.partition, offset: String(nextOffset) }]),
        ),
    };
  }

  /** Some crashes leave kafkajs dead for good (restart false): then a new consumer takes over. */
  #crashed({ payload }: ConsumerCrashEvent): void {
    if (this.#stopping.signal.aborted) return;
    this.#consume.onError?.(toBusError(payload.error));
    if (payload.restart) return;
    void this.#replace();
  }

  async #replace(): Promise<void> {
    await this.#revoke([...this.#lanes.values()]);
    await this.#leave(this.#consumer, this.#own);
    while (!this.#stopping.signal.aborted) {
      this.#memberId = undefined;
      this.#own = this.#makeClient();
      this.#consumer = this.#make(this.#own);
      try {
        await this.#start();
        return;
      } catch (error) {
        this.#consume.onError?.(toBusError(error));
        await this.#leave(this.#consumer, this.#own);
        await this.#options.clock.sleep(MAX_PAUSE_MS, this.#stopping.signal);
      }
    }
  }
}
