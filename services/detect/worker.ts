/**
 * One stage on its consumer group: restore on assignment, then batches: step, publish, snapshot, commit. A crash
 * anywhere repeats from the last whole snapshot; what was published since is published again with the same ids.
 */
import { setImmediate as othersFirst } from 'node:timers/promises';
import type { Logger } from 'pino';
import type {
  BatchContext,
  Bus,
  BusBatch,
  BusConsumer,
  BusRecord,
  TopicPartition,
} from '../platform/bus/port.ts';
import type { Clock } from '../platform/clock.ts';
import type { SnapshotStore } from './snapshots.ts';

/** A stage's state of one partition. */
export interface StageState {
  process(record: BusRecord): void;
  /** Publishes what the records so far gave; resolves when durable. */
  publish(at: TopicPartition): Promise<void>;
  snapshot(): unknown;
  /** The rules are others now. Called between two records. */
  renew(): void;
  /** Partitions of topic toolcalls that need a TICK; this one has brought nothing for `silentMs`. */
  wantsTicks(at: TopicPartition, silentMs: number): readonly number[];
}

export interface StageOptions {
  readonly group: string;
  readonly topic: string;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Logger;
  readonly snapshots: SnapshotStore;
  readonly snapshotEveryEvents: number;
  readonly snapshotEveryMs: number;
  readonly create: (snapshot: unknown) => StageState;
  readonly tick: (partition: number) => Promise<void>;
  readonly onError: (error: unknown) => void;
}

interface Owned {
  readonly at: TopicPartition;
  readonly state: StageState;
  nextOffset: number;
  generation: number;
  recordsSinceSnapshot: number;
  /** Rules changed since the last snapshot: the next one is due at once, so that a restart need not go by the old ones. */
  renewed: boolean;
  snapshotAtMs: number;
  /** A snapshot that takes long is taken less often. Until there is one: what loading the last one took. */
  snapshotCostMs: number;
  /** None was taken since the partition was assigned. */
  isFresh: boolean;
  lastRecordAtMs: number;
  lastTickAtMs: number;
  caughtUp: boolean;
  /** A batch is in hand: the state may hold what is not published yet. */
  busy: boolean;
  /** Snapshot that is being written between batches. */
  saving: Promise<void> | undefined;
}

/** A partition is silent when nothing came for this long; then, and as often, it may need a TICK. */
export const SILENCE_MS = 1_000;
const TICK_CHECK_MS = 200;
/** A record may hold 64 events: so many are worked through before a rebalance that was heard of is obeyed. */
const MAX_BATCH_RECORDS = 64;
/**
 * How long records are worked through without a pause, ms. All rules over many events take seconds: meanwhile requests
 * would wait, where all steps are one process, and the coordinator would take us for dead.
 */
const SLICE_MS = 20;
/** At most this part of the time goes into snapshots. */
const SNAPSHOT_SHARE = 10;
/**
 * The first snapshot after an assignment comes this soon, or after as long as loading took where that is longer: a process
 * that is killed again and again makes headway as soon as it lives a little longer than its recovery takes.
 */
const FIRST_SNAPSHOT_MS = 1_000;

export interface RunningStage {
  stop(): Promise<void>;
  owned(): number;
  /** Hands the rules that hold now to every partition. */
  renew(): void;
}

class Stage {
  private readonly options: StageOptions;
  readonly partitions = new Map<number, Owned>();
  private readonly stopping = new AbortController();

  constructor(options: StageOptions) {
    this.options = options;
  }

  /** Newest whole snapshot and the records after it; without one, the log from its start. */
  readonly assigned = async (at: TopicPartition): Promise<number> => {
    const { bus, clock, snapshots, create } = this.options;
    const startMs = clock.monotonicMs();
    const loaded = await snapshots.load(at);
    const bounds = (await bus.offsets(at.topic)).find((entry) => entry.partition === at.partition);
    const earliest = bounds?.earliest ?? 0;
    const usable = loaded !== undefined && loaded.nextOffset >= earliest;
    const nextOffset = usable ? loaded.nextOffset : earliest;
    const state = create(usable ? loaded.state : undefined);
    const nowMs = clock.monotonicMs();
    this.partitions.set(at.partition, {
      at,
      state,
      nextOffset,
      generation: (loaded?.generation ?? -1) + 1,
      recordsSinceSnapshot: 0,
      renewed: false,
      snapshotAtMs: nowMs,
      snapshotCostMs: nowMs - startMs,
      isFresh: true,
      lastRecordAtMs: nowMs,
      lastTickAtMs: nowMs,
      caughtUp: nextOffset >= (bounds?.latest ?? 0),
      busy: false,
      saving: undefined,
    });
    this.options.log.info(
      { topic: at.topic, partition: at.partition, nextOffset, restored: usable },
      'detect assigned',
    );
    return nextOffset;
  };

  readonly revoked = async (at: TopicPartition): Promise<void> => {
    const owned = this.partitions.get(at.partition);
    this.partitions.delete(at.partition);
    // The next owner writes the same slots: ours must be whole by then.
    await owned?.saving?.catch(this.options.onError);
  };

  readonly batch = async (batch: BusBatch, context: BatchContext): Promise<void> => {
    const owned = this.partitions.get(batch.partition);
    if (owned === undefined) return;
    owned.busy = true;
    await owned.saving;
    await this.take(owned, batch, context);
    // Not reached when the batch failed: what it left unpublished must not get into a snapshot.
    owned.busy = false;
  };

  private async take(owned: Owned, batch: BusBatch, context: BatchContext): Promise<void> {
    const { clock } = this.options;
    // While this lasts nothing is silent: no TICK is wanted.
    owned.caughtUp = false;
    let sliceEndMs = clock.monotonicMs() + SLICE_MS;
    for (const record of batch.records) {
      // A rebalance may hand records over that the snapshot holds already.
      if (record.offset < owned.nextOffset) continue;
      if (clock.monotonicMs() >= sliceEndMs) {
        await this.pause(owned, context);
        sliceEndMs = clock.monotonicMs() + SLICE_MS;
      }
      owned.state.process(record);
      owned.nextOffset = record.offset + 1;
      owned.recordsSinceSnapshot++;
    }
    owned.lastRecordAtMs = clock.monotonicMs();
    owned.caughtUp = owned.nextOffset >= batch.highWatermark;
    await context.heartbeat();
    await owned.state.publish(owned.at);
    if (this.isSnapshotDue(owned)) {
      await context.heartbeat();
      await this.saveSnapshot(owned);
      await context.commit(owned.nextOffset);
    }
  }

  /** Tells what was found so far and lets others work. Throws bus_stale when the partition is no longer ours. */
  private async pause(owned: Owned, context: BatchContext): Promise<void> {
    await context.heartbeat();
    await owned.state.publish(owned.at);
    await othersFirst();
    await context.heartbeat();
  }

  private isSnapshotDue(owned: Owned): boolean {
    if (owned.renewed) return true;
    const { snapshotEveryEvents, snapshotEveryMs, clock } = this.options;
    const sinceMs = clock.monotonicMs() - owned.snapshotAtMs;
    if (sinceMs < owned.snapshotCostMs * (owned.isFresh ? 1 : SNAPSHOT_SHARE)) return false;
    if (owned.recordsSinceSnapshot >= snapshotEveryEvents || sinceMs >= snapshotEveryMs) return true;
    return owned.isFresh && sinceMs >= FIRST_SNAPSHOT_MS;
  }

  private async saveSnapshot(owned: Owned): Promise<void> {
    const { clock, snapshots } = this.options;
    const startMs = clock.monotonicMs();
    const { generation, nextOffset } = owned;
    owned.renewed = false;
    await snapshots.save(owned.at, { state: owned.state.snapshot(), nextOffset, generation });
    owned.generation++;
    owned.recordsSinceSnapshot = 0;
    owned.isFresh = false;
    owned.snapshotAtMs = clock.monotonicMs();
    owned.snapshotCostMs = owned.snapshotAtMs - startMs;
  }

  /**
   * Snapshot of a partition that has fallen silent since the last one, so that a restart reads little again. The offset is
   * committed with the next batch: assignment goes by the snapshot.
   */
  private async saveIfIdle(owned: Owned): Promise<void> {
    if (owned.busy || owned.saving !== undefined) return;
    const isNew = owned.recordsSinceSnapshot > 0 || owned.renewed;
    if (!isNew || !this.isSnapshotDue(owned)) return;
    owned.saving = this.saveSnapshot(owned).catch((error: unknown) => {
      // Not taken now means taken later: the partition is due still.
      owned.snapshotAtMs = this.options.clock.monotonicMs();
      this.options.onError(error);
    });
    await owned.saving;
    owned.saving = undefined;
  }

  /** Appends TICKs where something waits for a watermark that nobody moves. */
  async tickLoop(): Promise<void> {
    const { clock, onError } = this.options;
    while (!this.stopping.signal.aborted) {
      await clock.sleep(TICK_CHECK_MS, this.stopping.signal);
      for (const owned of this.partitions.values()) {
        await this.tickIfSilent(owned).catch(onError);
        await this.saveIfIdle(owned);
      }
    }
  }

  private async tickIfSilent(owned: Owned): Promise<void> {
    const nowMs = this.options.clock.monotonicMs();
    if (this.stopping.signal.aborted || !owned.caughtUp) return;
    if (nowMs - owned.lastTickAtMs < SILENCE_MS) return;
    const wanted = owned.state.wantsTicks(owned.at, nowMs - owned.lastRecordAtMs);
    if (wanted.length === 0) return;
    owned.lastTickAtMs = nowMs;
    for (const partition of wanted) await this.options.tick(partition);
  }

  /** A record is processed in one go, so that here every partition stands between two records. */
  renew(): void {
    for (const owned of this.partitions.values()) {
      owned.state.renew();
      owned.renewed = true;
    }
  }

  end(): void {
    this.stopping.abort();
  }
}

/** Starts a stage; it runs until stopped. */
export async function runStage(options: StageOptions): Promise<RunningStage> {
  const stage = new Stage(options);
  const consumer: BusConsumer = await options.bus.consume({
    group: options.group,
    topics: [options.topic],
    onAssigned: stage.assigned,
    onRevoked: stage.revoked,
    onBatch: stage.batch,
    onError: options.onError,
    maxBatchRecords: MAX_BATCH_RECORDS,
  });
  const ticking = stage.tickLoop();
  return {
    owned: () => stage.partitions.size,
    renew: () => stage.renew(),
    async stop() {
      stage.end();
      await ticking;
      await consumer.stop();
    },
  };
}
