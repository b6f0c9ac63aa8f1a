/**
 * A lane: one partition in the hands of one member of a group. It calls the member in offset order, one batch at a
 * time; after a fault it begins its life anew at the committed offset.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TriplineError } from '../../../../schemas/errors.ts';
import type { Clock } from '../../clock.ts';
import type { BatchContext, ConsumeOptions, TopicPartition } from '../port.ts';
import type { EmbeddedPartition } from './partition.ts';

export const DEFAULT_MAX_BATCH_BYTES = 4 * 1024 * 1024;
export const DEFAULT_MAX_BATCH_RECORDS = 4096;
const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5000;

export interface LaneDependencies {
  readonly clock: Clock;
  committed(): number | undefined;
  commit(nextOffset: number): Promise<void>;
}

export class Lane {
  readonly at: TopicPartition;
  readonly memberId: string;
  readonly #partition: EmbeddedPartition;
  readonly #options: ConsumeOptions;
  readonly #dependencies: LaneDependencies;
  readonly #stopping = new AbortController();
  readonly #ended: Promise<void>;
  #stale = false;
  #pauseMs = FIRST_PAUSE_MS;

  constructor(
    memberId: string,
    partition: EmbeddedPartition,
    options: ConsumeOptions,
    dependencies: LaneDependencies,
  ) {
    this.at = { topic: partition.topic, partition: partition.partition };
    this.memberId = memberId;
    this.#partition = partition;
    this.#options = options;
    this.#dependencies = dependencies;
    this.#ended = this.#run();
  }

  /** Waits for the running batch, which may still commit; then the partition is nobody's. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    // The caller lists its lanes first; then they call out.
    await nextTurn();
    while (!signal.aborted) {
      try {
        await this.#life(signal);
      } catch (error) {
        this.#options.onError?.(error);
        await this.#dependencies.clock.sleep(this.#pauseMs, signal);
        this.#pauseMs = Math.min(this.#pauseMs * 2, MAX_PAUSE_MS);
      }
    }
    this.#stale = true;
    try {
      await this.#options.onRevoked?.(this.at);
    } catch (error) {
      this.#options.onError?.(error);
    }
  }

  async #life(signal: AbortSignal): Promise<void> {
    const context = this.#context();
    const { maxBatchBytes = DEFAULT_MAX_BATCH_BYTES, maxBatchRecords = DEFAULT_MAX_BATCH_RECORDS } =
      this.#options;
    let position = await this.#start();
    while (!signal.aborted) {
      await this.#partition.waitFor(position, signal);
      if (signal.aborted) return;
      const highWatermark = this.#partition.end;
      const { records, nextOffset } = this.#partition.read(position, highWatermark, {
        maxBytes: maxBatchBytes,
        maxRecords: maxBatchRecords,
      });
      if (records.length > 0) await this.#options.onBatch({ ...this.at, records, highWatermark }, context);
      position = nextOffset;
      this.#pauseMs = FIRST_PAUSE_MS;
      // A handler that never leaves the turn would starve timers and sockets.
      await nextTurn();
    }
  }

  /** Answer of onAssigned, else the committed offset, else the earliest. A start outside the log is reported and read from the earliest, as Kafka does. */
  async #start(): Promise<number> {
    const answer = await this.#options.onAssigned?.(this.at);
    const wanted = answer ?? this.#dependencies.committed() ?? this.#partition.earliest;
    const { earliest, end } = this.#partition;
    if (wanted >= earliest && wanted <= end) return wanted;
    this.#options.onError?.(
      new TriplineError(
        'bus_offset_lost',
        `${this.at.topic}/${this.at.partition}: offset ${wanted} is outside ${earliest} to ${end}.`,
      ),
    );
    return earliest;
  }

  #context(): BatchContext {
    const check = (): void => {
      if (this.#stale) throw new TriplineError('bus_stale');
    };
    return {
      heartbeat: async () => check(),
      isStale: () => this.#stale,
      commit: async (nextOffset) => {
        check();
        await this.#dependencies.commit(nextOffset);
      },
    };
  }
}
