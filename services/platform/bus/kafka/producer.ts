/**
 * Sends through kafkajs's idempotent producer in the one way in which it loses nothing: a lane per partition, one
 * outstanding send at a time, of that partition alone; after any error the identical array again on the same object
 * before anything else. (On an error kafkajs rolls its sequence number back; another batch of equal size would then be
 * acknowledged as the duplicate of one that it is not.)
 */
import type { Message, Producer, RecordMetadata } from 'kafkajs';
import kafkajs from 'kafkajs';
import type { Logger } from 'pino';
import { TriplineError } from '../../../../schemas/errors.ts';
import type { Clock } from '../../clock.ts';
import { partitionName } from '../assign.ts';
import { MAX_MESSAGE_BYTES, messageBytes, QueueBudget } from '../limits.ts';
import type { BusMessage, BusProducer, SendResult, TopicPartition } from '../port.ts';
import { BOUNDED_RETRY, errorTypes, METADATA_MAX_AGE_MS, toBusError, type OwnClient } from './client.ts';
import { toKafka } from './message.ts';

/** Of one request; the topics take 2 MiB. */
const MAX_SEND_BYTES = MAX_MESSAGE_BYTES;
const RETRY_MS = 250;
/** kafkajs's sequence of a partition does not wrap at 2^31: every later send would fail. */
const MAX_MESSAGES_PER_PRODUCER = 2 ** 30;
/** The broker no longer follows our sequence: only a new producer id helps. The batch may then be there twice, which record drops by (stream, seq). */
const NEEDS_NEW_PRODUCER = ['OUT_OF_ORDER_SEQUENCE_NUMBER', 'UNKNOWN_PRODUCER_ID', 'INVALID_PRODUCER_EPOCH'];
const CLOSE_WAIT_MS = 5000;
const CUT_WAIT_MS = 1500;

export interface KafkaProducerOptions {
  readonly clock: Clock;
  readonly log: Logger | undefined;
  readonly maxQueuedBytes: number;
  /** Name of the topic on the brokers. */
  topicName(topic: string): string;
}

interface Waiting {
  readonly messages: readonly BusMessage[];
  readonly bytes: number;
  readonly sinceMs: number;
  next: number;
  result: SendResult | undefined;
  readonly done: (result: SendResult) => void;
  readonly fail: (error: unknown) => void;
}

interface Lane {
  readonly at: TopicPartition;
  readonly queue: Waiting[];
  producer: Producer;
  sentMessages: number;
  running: Promise<void> | undefined;
}

/** What one request holds: pieces of the waiting sends, in order. */
interface Piece {
  readonly waiting: Waiting;
  readonly count: number;
}

export class KafkaProducer implements BusProducer {
  readonly #own: OwnClient;
  readonly #options: KafkaProducerOptions;
  readonly #budget: QueueBudget;
  readonly #lanes = new Map<string, Lane>();
  readonly #producers = new Set<Producer>();
  readonly #closing = new AbortController();
  #shared: Producer;
  #gaveUp = false;

  private constructor(own: OwnClient, options: KafkaProducerOptions) {
    this.#own = own;
    this.#options = options;
    this.#budget = new QueueBudget(options.maxQueuedBytes);
    this.#shared = this.#make();
  }

  /** Connects; rejects with bus_unavailable when no broker answers for some seconds. */
  static async connect(own: OwnClient, options: KafkaProducerOptions): Promise<KafkaProducer> {
    const producer = new KafkaProducer(own, options);
    try {
      await producer.#shared.connect();
    } catch (error) {
      own.cut();
      throw toBusError(error);
    }
    return producer;
  }

  async send(topic: string, partition: number, messages: readonly BusMessage[]): Promise<SendResult> {
    if (this.#closing.signal.aborted) throw new TriplineError('bus_closed');
    let bytes = 0;
    for (const message of messages) bytes += messageBytes(message);
    if (messages.length === 0) throw new TriplineError('bus_failed', 'A send needs at least one message.');
    const at = { topic, partition };
    const name = partitionName(at);
    this.#budget.reserve(name, bytes);
    try {
      return await new Promise<SendResult>((done, fail) => {
        const lane = this.#lane(at);
        const sinceMs = this.#options.clock.monotonicMs();
        lane.queue.push({ messages, bytes, sinceMs, next: 0, result: undefined, done, fail });
        lane.running ??= this.#run(lane);
      });
    } finally {
      this.#budget.release(name, bytes);
    }
  }

  oldestPendingMs(): number {
    let oldest = Number.POSITIVE_INFINITY;
    for (const { queue } of this.#lanes.values()) oldest = Math.min(oldest, queue[0]?.sinceMs ?? oldest);
    return oldest === Number.POSITIVE_INFINITY ? 0 : this.#options.clock.monotonicMs() - oldest;
  }

  /** Waits up to 5 s for what was taken; what is still unknown then is rejected with bus_unavailable. */
  async close(): Promise<void> {
    this.#closing.abort();
    const drained = Promise.all([...this.#lanes.values()].map(({ running }) => running ?? Promise.resolve()));
    await this.#atMost(CLOSE_WAIT_MS, drained);
    this.#gaveUp = true;
    const left = Promise.allSettled([...this.#producers].map((producer) => producer.disconnect()));
    await this.#atMost(CUT_WAIT_MS, left);
    this.#own.cut();
    await this.#atMost(CUT_WAIT_MS, Promise.all([drained, left]));
  }

  async #atMost(ms: number, work: Promise<unknown>): Promise<void> {
    const waiting = new AbortController();
    await Promise.race([work, this.#options.clock.sleep(ms, waiting.signal)]);
    waiting.abort();
  }

  #make(): Producer {
    const producer = this.#own.client.producer({
      idempotent: true,
      metadataMaxAge: METADATA_MAX_AGE_MS,
      allowAutoTopicCreation: false,
      // Partitions are computed by us; this one agrees and silences kafkajs's warning.
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
      retry: BOUNDED_RETRY,
    });
    this.#producers.add(producer);
    return producer;
  }

  #lane(at: TopicPartition): Lane {
    const name = partitionName(at);
    let lane = this.#lanes.get(name);
    if (lane === undefined) {
      lane = { at, queue: [], producer: this.#shared, sentMessages: 0, running: undefined };
      this.#lanes.set(name, lane);
    }
    return lane;
  }

  async #run(lane: Lane): Promise<void> {
    // Calls of the same turn join the first request.
    await Promise.resolve();
    while (lane.queue.length > 0) {
      const pieces = takePieces(lane.queue);
      const messages = pieces.flatMap(({ waiting, count }) =>
        waiting.messages
          .slice(waiting.next, waiting.next + count)
          .map((message) => toKafka(lane.at.partition, message)),
      );
      try {
        const result = await this.#sendUntilKnown(lane, messages);
        acknowledge(lane, pieces, result);
      } catch (error) {
        refuse(lane, pieces, error);
      }
    }
    // In the same turn as the last look at the queue.
    lane.running = undefined;
  }

  /** Resolves when the array is stored; rejects only when it certainly was not (too large), or at close. */
  async #sendUntilKnown(lane: Lane, messages: Message[]): Promise<SendResult> {
    if (lane.sentMessages + messages.length > MAX_MESSAGES_PER_PRODUCER) await this.#renew(lane);
    for (;;) {
      try {
        const answer = await lane.producer.send({
          topic: this.#options.topicName(lane.at.topic),
          acks: -1,
          messages,
        });
        lane.sentMessages += messages.length;
        return resultOf(answer);
      } catch (error) {
        const converted = toBusError(error);
        if (converted.code === 'bus_record_too_large') throw converted;
        if (this.#gaveUp) throw new TriplineError('bus_unavailable', undefined, { cause: error });
        this.#options.log?.warn(
          { topic: lane.at.topic, partition: lane.at.partition, code: converted.code },
          'kafka: send not acknowledged, repeating',
        );
        const types = errorTypes(error);
        if (NEEDS_NEW_PRODUCER.some((type) => types.includes(type))) await this.#renew(lane);
        await this.#options.clock.sleep(RETRY_MS);
      }
    }
  }

  async #renew(lane: Lane): Promise<void> {
    const old = lane.producer;
    const made = this.#make();
    try {
      await made.connect();
    } catch {
      // No broker answers now; the old object is tried on and this comes again.
      this.#producers.delete(made);
      return;
    }
    lane.producer = made;
    lane.sentMessages = 0;
    if (old === this.#shared) return;
    this.#producers.delete(old);
    await old.disconnect().catch(() => undefined);
  }
}

function takePieces(queue: readonly Waiting[]): Piece[] {
  const pieces: Piece[] = [];
  let bytes = 0;
  for (const waiting of queue) {
    let count = 0;
    for (const message of waiting.messages.slice(waiting.next)) {
      bytes += messageBytes(message);
      if (bytes > MAX_SEND_BYTES && (count > 0 || pieces.length > 0)) break;
      count++;
    }
    if (count > 0) pieces.push({ waiting, count });
    if (bytes > MAX_SEND_BYTES || waiting.next + count < waiting.messages.length) break;
  }
  return pieces;
}

function acknowledge(lane: Lane, pieces: readonly Piece[], result: SendResult): void {
  let baseOffset = result.baseOffset;
  for (const { waiting, count } of pieces) {
    waiting.result ??= { baseOffset, appendMs: result.appendMs };
    waiting.next += count;
    baseOffset += count;
    if (waiting.next < waiting.messages.length) continue;
    lane.queue.shift();
    waiting.done(waiting.result);
  }
}

function refuse(lane: Lane, pieces: readonly Piece[], error: unknown): void {
  for (const { waiting } of pieces) {
    lane.queue.shift();
    waiting.fail(error);
  }
}

function resultOf([answer]: readonly RecordMetadata[]): SendResult {
  if (answer?.baseOffset === undefined)
    throw new TriplineError('bus_unavailable', 'Kafka named no offset for a send.');
  return { baseOffset: Number(answer.baseOffset), appendMs: Number(answer.logAppendTime ?? -1) };
}
