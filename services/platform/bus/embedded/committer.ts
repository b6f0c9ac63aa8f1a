/**
 * Group commit: one transaction and one flush at a time; everything that arrives meanwhile goes into the next. Offsets
 * are given here, in call order, so they are dense and in order without a lock.
 */
import type { Logger } from 'pino';
import { TriplineError } from '../../../../schemas/errors.ts';
import type { Clock } from '../../clock.ts';
import type { BusMessage, BusRecord, SendResult } from '../port.ts';
import { encodeBlock } from './block.ts';
import type { EmbeddedPartition } from './partition.ts';
import type { EmbeddedStorage, StoredBlock } from './storage.ts';

const MAX_TRANSACTION_BYTES = 8 * 1024 * 1024;
const MAX_BLOCK_BYTES = 512 * 1024;
const MAX_BLOCK_RECORDS = 512;
const RETRY_MS = 500;

interface Append {
  readonly kind: 'append';
  readonly at: EmbeddedPartition;
  readonly messages: readonly BusMessage[];
  readonly bytes: number;
  readonly done: (result: SendResult) => void;
  readonly fail: (error: unknown) => void;
}

interface Import {
  readonly kind: 'import';
  readonly at: EmbeddedPartition;
  readonly records: readonly BusRecord[];
  readonly bytes: number;
  readonly done: (result: SendResult) => void;
  readonly fail: (error: unknown) => void;
}

interface Commit {
  readonly kind: 'commit';
  readonly key: string;
  readonly nextOffset: number;
  readonly bytes: number;
  readonly done: () => void;
  readonly fail: (error: unknown) => void;
}

/** Work that no write of any kind may run beside. */
interface Exclusive {
  readonly kind: 'exclusive';
  readonly work: () => Promise<void>;
  readonly bytes: number;
  readonly done: () => void;
  readonly fail: (error: unknown) => void;
}

type Write = Append | Import | Commit | Exclusive;

/** What one transaction does to one partition. */
interface PartitionWrite {
  end: number;
  readonly blocks: StoredBlock[];
}

interface Plan {
  readonly partitions: Map<EmbeddedPartition, PartitionWrite>;
  readonly commits: Map<string, number>;
  /** Called once all is on disk. */
  readonly acknowledge: (() => void)[];
}

export class Committer {
  readonly #storage: EmbeddedStorage;
  readonly #clock: Clock;
  readonly #log: Logger | undefined;
  readonly #closing = new AbortController();
  #queue: Write[] = [];
  #running: Promise<void> | undefined;

  constructor(storage: EmbeddedStorage, clock: Clock, log?: Logger) {
    this.#storage = storage;
    this.#clock = clock;
    this.#log = log;
  }

  append(at: EmbeddedPartition, messages: readonly BusMessage[], bytes: number): Promise<SendResult> {
    return new Promise((done, fail) => this.#push({ kind: 'append', at, messages, bytes, done, fail }));
  }

  import(at: EmbeddedPartition, records: readonly BusRecord[], bytes: number): Promise<SendResult> {
    return new Promise((done, fail) => this.#push({ kind: 'import', at, records, bytes, done, fail }));
  }

  commit(key: string, nextOffset: number): Promise<void> {
    return new Promise((done, fail) =>
      this.#push({ kind: 'commit', key, nextOffset, bytes: 64, done, fail }),
    );
  }

  /** Runs `work` while nothing is written; what is sent meanwhile waits. */
  exclusive(work: () => Promise<void>): Promise<void> {
    return new Promise((done, fail) => this.#push({ kind: 'exclusive', work, bytes: 0, done, fail }));
  }

  /** Flushes what was taken; later writes are refused with bus_closed. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  #push(write: Write): void {
    if (this.#closing.signal.aborted) return write.fail(new TriplineError('bus_closed'));
    this.#queue.push(write);
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    // Calls of the same turn join the first transaction.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const writes = this.#take();
      try {
        await this.#write(writes);
      } catch (error) {
        for (const write of writes) write.fail(error);
      }
    }
    // In the same turn as the last look at the queue: a write after it starts the next run.
    this.#running = undefined;
  }

  #take(): Write[] {
    let bytes = 0;
    let count = 0;
    for (const write of this.#queue) {
      // An import gives offsets of its own, and exclusive means what it says: they go alone.
      if (count > 0 && (goesAlone(write) || goesAlone(this.#queue[0]))) break;
      bytes += write.bytes;
      if (count > 0 && bytes > MAX_TRANSACTION_BYTES) break;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  async #write(writes: readonly Write[]): Promise<void> {
    const [first] = writes;
    if (first?.kind === 'exclusive') {
      await first.work();
      return first.done();
    }
    const plan = this.#plan(writes);
    await this.#flush(plan);
    for (const [partition, { end, blocks }] of plan.partitions) {
      const wasEmpty = partition.earliest === partition.end;
      const earliest = wasEmpty ? (blocks[0]?.baseOffset ?? partition.earliest) : partition.earliest;
      partition.advance(earliest, end);
    }
    for (const acknowledge of plan.acknowledge) acknowledge();
  }

  #plan(writes: readonly Write[]): Plan {
    const plan: Plan = { partitions: new Map(), commits: new Map(), acknowledge: [] };
    const appendMs = Math.trunc(this.#clock.nowMs());
    const merged = new Map<EmbeddedPartition, BusMessage[]>();
    for (const write of writes) {
      switch (write.kind) {
        case 'append': {
          const { done } = write;
          const into = partitionWrite(plan, write.at);
          const result = { baseOffset: into.end, appendMs };
          into.end += write.messages.length;
          pushAll(merged, write.at, write.messages);
          plan.acknowledge.push(() => done(result));
          break;
        }
        case 'import': {
          const { done } = write;
          const into = partitionWrite(plan, write.at);
          const first = write.records[0];
          if (first === undefined || first.offset < into.end)
            throw new TriplineError('bus_failed', 'Imported records must follow those that are there.');
          cutImported(write.records, into);
          plan.acknowledge.push(() => done({ baseOffset: first.offset, appendMs: first.appendMs }));
          break;
        }
        case 'commit': {
          plan.commits.set(write.key, write.nextOffset);
          plan.acknowledge.push(write.done);
          break;
        }
        case 'exclusive':
          throw new TriplineError('internal', 'exclusive work goes alone');
      }
    }
    for (const [partition, messages] of merged)
      cutBlocks(partition, messages, appendMs, partitionWrite(plan, partition));
    return plan;
  }

  /**
   * Repeats until it is on disk: a full disk slows the writers, it drops nothing. A transaction is whole or absent, and
   * the same blocks under the same keys do no harm twice.
   */
  async #flush(plan: Plan): Promise<void> {
    for (;;) {
      try {
        const puts: Promise<boolean>[] = [];
        for (const [partition, { blocks }] of plan.partitions)
          for (const block of blocks) puts.push(this.#storage.putBlock(partition.id, block));
        for (const [key, offset] of plan.commits) puts.push(this.#storage.putCommitted(key, offset));
        await Promise.all(puts);
        return;
      } catch (error) {
        this.#log?.error({ err: error }, 'embedded bus: write failed, repeating');
        if (this.#closing.signal.aborted) throw new TriplineError('bus_closed', undefined, { cause: error });
        await this.#clock.sleep(RETRY_MS, this.#closing.signal);
      }
    }
  }
}

function goesAlone(write: Write | undefined): boolean {
  return write?.kind === 'import' || write?.kind === 'exclusive';
}

function partitionWrite(plan: Plan, partition: EmbeddedPartition): PartitionWrite {
  const found = plan.partitions.get(partition);
  if (found !== undefined) return found;
  const made: PartitionWrite = { end: partition.end, blocks: [] };
  plan.partitions.set(partition, made);
  return made;
}

function pushAll<K, V>(map: Map<K, V[]>, key: K, values: readonly V[]): void {
  const found = map.get(key);
  if (found === undefined) map.set(key, [...values]);
  else for (const value of values) found.push(value);
}

function cutBlocks(
  partition: EmbeddedPartition,
  messages: readonly BusMessage[],
  appendMs: number,
  into: PartitionWrite,
): void {
  const maxRecords = partition.compacted ? 1 : MAX_BLOCK_RECORDS;
  let baseOffset = into.end - messages.length;
  let start = 0;
  let bytes = 0;
  const cut = (end: number): void => {
    if (end === start) return;
    into.blocks.push({ baseOffset, bytes: encodeBlock(appendMs, messages.slice(start, end)) });
    baseOffset += end - start;
    start = end;
    bytes = 0;
  };
  messages.forEach((message, index) => {
    const size = (message.value?.length ?? 0) + (message.key?.length ?? 0);
    if (index - start >= maxRecords || bytes + size > MAX_BLOCK_BYTES) cut(index);
    bytes += size;
  });
  cut(messages.length);
}

/** One block a record: offsets may have holes and append times may differ. */
function cutImported(records: readonly BusRecord[], into: PartitionWrite): void {
  for (const record of records) {
    if (record.offset < into.end) throw new TriplineError('bus_failed', 'Imported offsets must ascend.');
    into.blocks.push({ baseOffset: record.offset, bytes: encodeBlock(record.appendMs, [record]) });
    into.end = record.offset + 1;
  }
}
