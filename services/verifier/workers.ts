/**
 * Threads that look into blocks ahead of the verifier (evidence/look-ahead.ts). They are started with the first block that
 * is given out. A thread that ends, for whatever reason, fails every block that it has and every one that is given out
 * later: nothing is taken for checked that was not.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { TriplineError } from '../../schemas/errors.ts';
import type { Depth } from '../evidence/depth.ts';
import type { FoundBlock } from '../evidence/find-block.ts';
import type { BlockWorkers, LookedInto } from '../evidence/look-ahead.ts';
import type { WorkerAnswer, WorkerTask } from './worker.ts';

export const MAX_JOBS = 8;
/** Blocks that each thread has at most: one that it works on, and one that waits for it. */
const BLOCKS_EACH = 2;
/** Starting a thread costs about as much as to verify so many bytes. */
const WORTH_BYTES = 8 * 1024 * 1024;
const HASH_BYTES = 32;

/** As many as there are cores. */
export const defaultJobs = (): number => Math.min(availableParallelism(), MAX_JOBS);

export interface WorkersSettings {
  /** Threads; 1 = none, all is done on the caller's. */
  readonly jobs: number;
  /** A program that calls answerBlocks where it is not the main thread. */
  readonly script: URL;
  /** Bytes of blocks from which on threads are started. */
  readonly worthBytes?: number;
}

/** Ends the threads with `act`, however that ends. */
export async function withWorkers<Result>(
  { jobs, script, worthBytes = WORTH_BYTES }: WorkersSettings,
  act: (options: { readonly workers?: BlockWorkers }) => Promise<Result>,
): Promise<Result> {
  if (jobs <= 1) return await act({});
  const workers = new Threads(jobs, script, worthBytes);
  try {
    return await act({ workers });
  } finally {
    await workers.end();
  }
}

class Threads implements BlockWorkers {
  readonly room: number;
  readonly worthBytes: number;
  readonly #jobs: number;
  readonly #script: URL;
  readonly #threads: Thread[] = [];
  #mappings: Parameters<BlockWorkers['begin']>[0] = [];

  constructor(jobs: number, script: URL, worthBytes: number) {
    this.#jobs = jobs;
    this.#script = script;
    this.worthBytes = worthBytes;
    this.room = jobs * BLOCKS_EACH;
  }

  begin(mappings: Parameters<BlockWorkers['begin']>[0]): void {
    this.#mappings = mappings;
    for (const thread of this.#threads) thread.send({ kind: 'begin', mappings });
  }

  find(bytes: Uint8Array, depth: Depth): Promise<LookedInto> {
    return this.#next().find(bytes as Uint8Array<ArrayBuffer>, depth);
  }

  /** One that has nothing to do, else a new one, else the one with the least. */
  #next(): Thread {
    const [least] = this.#threads.toSorted((a, b) => a.waiting - b.waiting);
    if (least !== undefined && (least.waiting === 0 || this.#threads.length >= this.#jobs)) return least;
    const thread = new Thread(this.#script);
    thread.send({ kind: 'begin', mappings: this.#mappings });
    this.#threads.push(thread);
    return thread;
  }

  async end(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.end()));
  }
}

interface Asked {
  readonly bytes: number;
  readonly resolve: (answer: LookedInto) => void;
  readonly reject: (error: Error) => void;
}

class Thread {
  readonly #worker: Worker;
  /** In the order in which they are answered. */
  readonly #asked: Asked[] = [];
  #failure: TriplineError | undefined;

  constructor(script: URL) {
    // Flags of the program are not for its threads: some load what only its own start can.
    this.#worker = new Worker(script, { execArgv: [] });
    this.#worker.on('message', (answer: WorkerAnswer) => this.#answer(answer));
    this.#worker.on('error', (cause) => this.#fail(cause));
    this.#worker.on('messageerror', (cause) => this.#fail(cause));
    this.#worker.on('exit', (code) => this.#fail(new Error(`it ended with ${code}`)));
  }

  get waiting(): number {
    return this.#asked.length;
  }

  send(task: WorkerTask): void {
    this.#worker.postMessage(task, task.kind === 'find' ? [task.bytes.buffer] : []);
  }

  find(bytes: Uint8Array<ArrayBuffer>, depth: Depth): Promise<LookedInto> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      this.#asked.push({ bytes: bytes.length, resolve, reject });
      this.send({ kind: 'find', bytes, depth });
    });
  }

  #answer({ bytes, found }: WorkerAnswer): void {
    const [asked] = this.#asked;
    if (asked === undefined || bytes.length !== asked.bytes || !isWhole(found))
      return this.#fail(new Error('its answer is of no block that it was given'));
    this.#asked.shift();
    asked.resolve({ bytes, found });
  }

  #fail(cause: unknown): void {
    this.#failure ??= new TriplineError('verify_worker_failed', 'a thread of the verifier failed', { cause });
    for (const { reject } of this.#asked.splice(0)) reject(this.#failure);
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}

/** One answer an entry, one hash a row. */
function isWhole(found: FoundBlock | undefined): boolean {
  if (found === undefined) return true;
  const { tables, entries, findings } = found;
  const { leafHashes, eventMs, effectiveMs, signed, keyIds } = findings;
  return (
    leafHashes.length === (tables[0]?.count ?? 0) * HASH_BYTES &&
    eventMs.length === entries.count &&
    effectiveMs.length === entries.count &&
    keyIds.length === signed.length * HASH_BYTES
  );
}
