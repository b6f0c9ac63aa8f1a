/**
 * The shell of record: one PartitionWriter for each partition that is ours. A batch goes through
 *   read back stream state -> pure step -> reserve -> payloads, events, alerts, dead letters, ledger -> read back -> commit -> offset.
 * A crash after any of these is finished by the same path: the signer tells where it stands and which batch was cut.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { TriplineError } from '../../schemas/errors.ts';
import type { BatchContext, Bus, BusBatch, BusRecord } from '../platform/bus/port.ts';
import type { Clock } from '../platform/clock.ts';
import type { SubjectKeys } from '../platform/payloads/keys.ts';
import type { Store } from '../platform/store/port.ts';
import { cutRuns, PART_LIMITS } from './cut.ts';
import { logIdOf, type PartitionHeads, type StepSettings } from './open-log.ts';
import type { Manifest, PartitionState, Signer } from './ports.ts';
import type { ProducerFinding } from './findings.ts';
import { claimedNeeds, prepareRecord, streamNeeds, type StreamNeed } from './prepare.ts';
import { sealPayloads } from './seal-payloads.ts';
import { checkAgainstHeads, loadStreams, readBack, storedRows, type StreamLookup } from './stored.ts';
import { columnsOf, TABLE_ORDER, type BatchCounts, type BatchOutcome, type TableName } from './outcome.ts';
import { Batch } from './step.ts';
import type { StreamState } from './stream-state.ts';
import type { Turns } from './turns.ts';

export interface WriterSettings extends StepSettings {
  readonly maxBatchEvents: number;
  readonly maxBatchBytes: number;
}

export interface WriterPorts {
  readonly bus: Pick<Bus, 'read'>;
  readonly store: Store;
  readonly signer: Signer;
  readonly clock: Clock;
  /** Keys of subjects: payloads are sealed. Absent: they are written in the clear. */
  readonly keys?: SubjectKeys | undefined;
  /**
   * Shared by the writers of a process, so that one partition's batch is computed while another's is written. Computed
   * in turn, part by part, all would be ready at the same time, and the processor idle while the store has them all.
   */
  readonly turns?: Turns;
  /** Told before a batch is signed; a fault repeats the batch. */
  readonly onFindings?: (findings: readonly ProducerFinding[]) => Promise<void>;
  readonly onBatch?: (counts: BatchCounts, at: { topic: string; partition: number }) => void;
}

/** The ledger goes last: who finds its rows finds all others of the batch. */
const BEFORE_LEDGER = TABLE_ORDER.filter((table) => table !== 'ledger');

/**
 * No insert starts later than this after its reserve was asked for: by then the batch may have been taken over and
 * signed. By our own clock alone: the signer may be another machine, whose clock is not ours.
 */
export const MAX_INSERT_AFTER_RESERVE_MS = 10_000;
/** Each was used up by an insert that failed after the store had noted it. */
const MAX_NEW_TOKENS = 8;
const RECENT_SEQS_PER_STREAM = 512;
const MAX_CACHED_HASHES = 500_000;

/** What a writer knows between batches. Thrown away whole on any fault: the signer and the store know it too. */
interface Memory {
  heads: PartitionHeads;
  readonly streams: LRUCache<string, StreamState>;
  /** True while every stream of the partition is in memory, so that an unknown one is new. */
  complete: boolean;
}

/** Streams whose state before the batch is at hand, with the seq from which; `state` undefined = the log knows no such stream. */
interface Known {
  readonly fromSeq: number;
  readonly state: StreamState | undefined;
}
type Asked = Map<string, Known>;

export class PartitionWriter {
  readonly #ports: WriterPorts;
  readonly #settings: WriterSettings;
  readonly #topic: string;
  readonly #partition: number;
  #memory: Memory | undefined;

  constructor(
    at: { readonly topic: string; readonly partition: number },
    ports: WriterPorts,
    settings: WriterSettings,
  ) {
    this.#topic = at.topic;
    this.#partition = at.partition;
    this.#ports = ports;
    this.#settings = settings;
  }

  /** Offset to go on at. Checks the store against the signed heads and finishes a batch that was reserved. */
  async start(): Promise<number> {
    const memory = await this.#recover();
    return memory.heads.nextOffset;
  }

  async #recover(): Promise<Memory> {
    this.#memory = undefined;
    const state = await this.#ports.signer.state(this.#topic, this.#partition);
    await checkAgainstHeads(this.#ports.store, state);
    const memory = memoryOf(state);
    if (state.outstanding !== null) await this.#finish(memory, state.outstanding);
    this.#memory = memory;
    return memory;
  }

  /** Writes what of the batch is not written yet, then commits its offset. Any fault leaves nothing half known. */
  async onBatch(batch: Pick<BusBatch, 'records'>, context: BatchContext): Promise<void> {
    try {
      const memory = this.#memory ?? (await this.#recover());
      const records = batch.records.filter((record) => record.offset >= memory.heads.nextOffset);
      // What stands before a hole is entered first, so that where the signer stands is where the hole begins.
      const dense = records.filter(({ offset }, at) => offset === memory.heads.nextOffset + at);
      const { maxBatchBytes: maxBytes, maxBatchEvents: maxEvents } = this.#settings;
      for (const run of cutRuns(dense, { maxBytes, maxEvents }))
        await this.#write(memory, run.records, context);
      checkDense(records.slice(dense.length), memory.heads);
      await context.commit(memory.heads.nextOffset);
    } catch (error) {
      this.#memory = undefined;
      throw error;
    }
  }

  async #write(memory: Memory, records: readonly BusRecord[], context: BatchContext): Promise<void> {
    const outcome = await this.#compute(memory, records);
    const askedAtMs = this.#ports.clock.monotonicMs();
    const reserved = await this.#ports.signer.reserve(outcome.manifest);
    if (reserved.kind === 'superseded') {
      throw new TriplineError('ledger_reserved', 'another writer went on with this partition');
    }
    const insert = (table: TableName): Promise<void> =>
      this.#insert(table, outcome, { askedAtMs, attempt: 0 });
    await context.heartbeat();
    await allEnded(BEFORE_LEDGER.map(insert));
    await context.heartbeat();
    await insert('ledger');
    await context.heartbeat();
    await this.#settle(memory, outcome);
  }

  /** A batch that was cut by an earlier life, maybe of another process: the same rows again, only where they are missing. */
  async #finish(memory: Memory, manifest: Manifest): Promise<void> {
    const records: BusRecord[] = [];
    const { topic, partition, firstOffset: from, nextOffset: to } = manifest;
    for await (const part of this.#ports.bus.read({ topic, partition, from, to })) records.push(...part);
    checkDense(records, memory.heads);
    const outcome = await this.#compute(memory, records);
    if (!sameCut(outcome.manifest, manifest)) {
      throw new TriplineError('ledger_diverges', 'the reserved batch cannot be computed again');
    }
    const askedAtMs = this.#ports.clock.monotonicMs();
    const reserved = await this.#ports.signer.reserve(manifest);
    if (reserved.kind === 'superseded') throw new TriplineError('ledger_reserved');
    for (const table of TABLE_ORDER) await this.#insertMissing(table, outcome, askedAtMs);
    await this.#settle(memory, outcome);
  }

  /**
   * The same token first, so that an insert that is still under way elsewhere and this one are one. A store may remember
   * the token of an insert whose rows never came to be (its part could not be renamed): then a new one, counted up, so
   * that two owners of the batch still use the same.
   */
  async #insertMissing(table: TableName, outcome: BatchOutcome, askedAtMs: number): Promise<void> {
    const { rows } = outcome.tables[table];
    for (let attempt = 0; ; attempt += 1) {
      const stored = await storedRows(this.#ports.store, table, outcome);
      if (stored === rows) return;
      if (stored !== 0 || attempt > MAX_NEW_TOKENS)
        throw new TriplineError('ledger_diverges', `${table} holds ${stored} of ${rows} rows of a batch`);
      await this.#insert(table, outcome, { askedAtMs, attempt });
    }
  }

  async #insert(
    table: TableName,
    outcome: BatchOutcome,
    { askedAtMs, attempt }: { readonly askedAtMs: number; readonly attempt: number },
  ): Promise<void> {
    const { rows } = outcome.tables[table];
    if (rows === 0) return;
    if (this.#ports.clock.monotonicMs() - askedAtMs > MAX_INSERT_AFTER_RESERVE_MS) {
      throw new TriplineError('ledger_reserved', 'the reservation is too old to write under');
    }
    const { format } = outcome.tables[table];
    const data = outcome.tables[table].bytes();
    const token = `${table}:${outcome.digests[table]}${attempt === 0 ? '' : `:${attempt}`}`;
    const columns = columnsOf(table, this.#ports.keys !== undefined);
    await this.#ports.store.insertBinary({ table, columns, format, data, rows, token });
  }

  async #settle(memory: Memory, outcome: BatchOutcome): Promise<void> {
    if (outcome.counts.entries > 0) await readBack(this.#ports.store, outcome, this.#settings.sha256);
    if (outcome.findings.length > 0) await this.#ports.onFindings?.(outcome.findings);
    await this.#ports.signer.commit(outcome.manifest);
    memory.heads = outcome.state;
    for (const [key, draft] of outcome.streams) {
      memory.streams.set(key, draft.settle(RECENT_SEQS_PER_STREAM));
    }
    this.#ports.onBatch?.(outcome.counts, { topic: this.#topic, partition: this.#partition });
  }

  async #compute(memory: Memory, records: readonly BusRecord[]): Promise<BatchOutcome> {
    const bytes = records.reduce((sum, record) => sum + (record.value?.length ?? 0), 0);
    const batch = new Batch(memory.heads, this.#settings, bytes);
    const asked: Asked = new Map();
    await this.#ask(memory, asked, claimedNeeds(records));
    const enterAll = (): Promise<BatchOutcome> => this.#enter(memory, asked, { batch, records });
    const outcome = await (this.#ports.turns === undefined ? enterAll() : this.#ports.turns.run(enterAll));
    const { keys } = this.#ports;
    return keys === undefined
      ? outcome
      : await sealPayloads(outcome, { keys, sha256: this.#settings.sha256 });
  }

  /** Part by part, giving way after each: alerts and requests of the same process do not wait for a whole batch. */
  async #enter(
    memory: Memory,
    asked: Asked,
    { batch, records }: { readonly batch: Batch; readonly records: readonly BusRecord[] },
  ): Promise<BatchOutcome> {
    for (const part of cutRuns(records, PART_LIMITS)) {
      const prepared = part.records.map(prepareRecord);
      const needs = streamNeeds(prepared);
      for (const [key, { fromSeq }] of needs) if (batch.knows(key, fromSeq)) needs.delete(key);
      await this.#ask(memory, asked, needs);
      const streams = new Map<string, StreamState>();
      for (const key of needs.keys()) {
        const state = asked.get(key)?.state;
        if (state !== undefined) streams.set(key, state);
      }
      batch.enter(prepared, streams);
      await nextTurn();
    }
    return batch.outcome();
  }

  /** Adds the states of streams that were not asked for yet, or not so far back: from memory, all others with one read of the store. */
  async #ask(memory: Memory, asked: Asked, needs: ReadonlyMap<string, StreamNeed>): Promise<void> {
    const lookups: StreamLookup[] = [];
    for (const [key, need] of needs) {
      const known = asked.get(key);
      if (known !== undefined && known.fromSeq <= need.fromSeq) continue;
      const held = heldInMemory(memory, key, need.fromSeq);
      asked.set(key, held ?? { fromSeq: need.fromSeq, state: undefined });
      if (held === undefined) lookups.push(...this.#lookup(memory, key, need));
    }
    if (lookups.length === 0) return;
    for (const [key, state] of await loadStreams(this.#ports.store, lookups))
      asked.set(key, { fromSeq: state.floor, state });
  }

  /** None for a log without a head: it has no rows yet. */
  #lookup(memory: Memory, key: string, need: StreamNeed): StreamLookup[] {
    const at = { topic: this.#topic, partition: this.#partition };
    const logId = logIdOf(need.tenant, at, this.#settings);
    const head = memory.heads.heads.get(logId);
    return head === undefined ? [] : [{ ...need, key, logId, size: head.size }];
  }
}

/** Waits for all, also where one fails: no write may be under way when a batch is taken up again. */
async function allEnded(writes: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(writes)).find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** What memory alone can say of a stream from `fromSeq` up; undefined where the store has to be asked. */
function heldInMemory(memory: Memory, key: string, fromSeq: number): Known | undefined {
  const state = memory.streams.get(key);
  if (state === undefined) return memory.complete ? { fromSeq: 0, state } : undefined;
  return state.floor <= fromSeq ? { fromSeq: state.floor, state } : undefined;
}

function memoryOf(state: PartitionState): Memory {
  const { topic, partition, nextOffset, watermarkMs } = state;
  const heads = new Map(state.heads.map((head) => [head.logId, head]));
  const memory: Memory = {
    heads: { topic, partition, nextOffset, watermarkMs, heads },
    complete: heads.size === 0,
    streams: new LRUCache<string, StreamState>({
      maxSize: MAX_CACHED_HASHES,
      sizeCalculation: (stream) => stream.hashes.size + 1,
      dispose: (_value, _key, reason) => {
        if (reason === 'evict') memory.complete = false;
      },
    }),
  };
  return memory;
}

/** Offsets of a partition are dense: a hole is lost evidence, and nothing is signed over it. */
function checkDense(records: readonly BusRecord[], heads: PartitionHeads): void {
  let expected = heads.nextOffset;
  for (const record of records) {
    if (record.offset !== expected) {
      throw new TriplineError(
        'bus_offset_lost',
        `${heads.topic}/${heads.partition} goes on at ${record.offset} instead of ${expected}`,
      );
    }
    expected += 1;
  }
}

function sameCut(a: Manifest, b: Manifest): boolean {
  return (
    a.firstOffset === b.firstOffset &&
    a.nextOffset === b.nextOffset &&
    a.rowsHash === b.rowsHash &&
    a.logs.length === b.logs.length &&
    a.logs.every((log, at) => log.logId === b.logs[at]?.logId && log.newHead.root === b.logs[at].newHead.root)
  );
}
