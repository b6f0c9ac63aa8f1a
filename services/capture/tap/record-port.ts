/**
 * The side of a tap that stands in the way of calls: a line goes on when it is in the journal and in the memory of the
 * recording thread (record-thread.ts); where it may be refused or changed, that thread is asked.
 */
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { threadModule } from '../../platform/thread-module.ts';
import type { Direction } from '../message.ts';
import type { Passed } from '../passed.ts';
import { LineAppender } from '../recorder/line-appender.ts';
import { newSharedMemory, processMs, sharedLinesIn } from '../recorder/shared-lines.ts';
import type { LineObserver } from './proxy.ts';
import type { StartFault } from './start-fault.ts';
import type { FromRecordThread, RecordThreadData, ToRecordThread } from './thread-messages.ts';

/** Beside this file, compiled as this one is. */
const THREAD = new URL(`./record-thread${path.extname(import.meta.filename)}`, import.meta.url);

interface Asked {
  readonly line: Uint8Array;
  readonly answer: (passed: Passed) => void;
}

export type RecordPortOptions = Pick<RecordThreadData, 'tap' | 'env' | 'hostPid'> & {
  /** The module that the thread runs, where that is not beside this one. */
  readonly module?: URL | undefined;
};

export class RecordPort implements LineObserver {
  readonly #worker: Worker;
  readonly #appender: LineAppender;
  readonly #asked = new Map<number, Asked>();
  #nextId = 0;
  #isClosed = false;
  #begun: (fault: StartFault | undefined) => void = () => undefined;
  #over: () => void = () => undefined;
  /** Resolves when lines may come, or with what keeps them from being recorded. */
  readonly ready: Promise<StartFault | undefined>;
  readonly #closed: Promise<void>;

  constructor({ tap, env, hostPid, module }: RecordPortOptions) {
    this.ready = new Promise((resolve) => {
      this.#begun = resolve;
    });
    this.#closed = new Promise((resolve) => {
      this.#over = resolve;
    });
    const memory = newSharedMemory();
    const aheadMs = processMs() - performance.now();
    this.#appender = new LineAppender({
      shared: sharedLinesIn(memory),
      nowMs: () => Date.now(),
      monotonicMs: () => performance.now() + aheadMs,
      wake: () => this.#say({ kind: 'lines' }),
    });
    const workerData: RecordThreadData = { kind: 'tripline-record-thread', memory, tap, env, hostPid };
    // Flags of the program are not for its thread: some load what only its own start can.
    this.#worker = new Worker(threadModule(module ?? THREAD), { workerData, execArgv: [] });
    this.#worker.on('message', (message: FromRecordThread) => this.#hear(message));
    // Nothing would be put on record any more: the tap ends as it does by any fault of its own.
    this.#worker.on('error', (error) => {
      throw error;
    });
    this.#worker.on('exit', (code) => {
      if (!this.#isClosed) throw new Error(`the recording thread ended with ${code}`);
      this.#over();
    });
  }

  #say(message: ToRecordThread): void {
    this.#worker.postMessage(message);
  }

  #hear(message: FromRecordThread): void {
    switch (message.kind) {
      case 'ready':
        return this.#begun(undefined);
      case 'failed':
        this.#isClosed = true;
        return this.#begun(message);
      case 'journal':
        return this.#appender.open(message.place);
      case 'passed':
        return this.#passed(message);
      case 'closed':
        this.#isClosed = true;
        // Whatever holds it still.
        void this.#worker.terminate();
    }
  }

  pass(direction: Direction, line: Uint8Array): Passed | Promise<Passed> {
    return this.#appender.keeps(direction, line)
      ? { forward: line, answers: [] }
      : this.#ask(direction, line);
  }

  #ask(direction: Direction, line: Uint8Array): Promise<Passed> {
    const id = this.#nextId++;
    return new Promise((answer) => {
      this.#asked.set(id, { line, answer });
      this.#say({ kind: 'pass', id, direction, line });
    });
  }

  #passed({ id, forward, answers, isHeld }: Extract<FromRecordThread, { kind: 'passed' }>): void {
    const asked = this.#asked.get(id);
    this.#asked.delete(id);
    if (asked === undefined) return;
    this.#appender.beginAnew();
    const passed: Passed = { forward: forward === 'same' ? asked.line : forward, answers };
    if (!isHeld) return asked.answer(passed);
    const later = new Promise<Passed>((answer) => this.#asked.set(id, { line: asked.line, answer }));
    asked.answer({ ...passed, later });
  }

  /** What is to be said at the end of a connection on record; sends for a bounded time, the rest stays spooled. */
  async close(): Promise<void> {
    this.#appender.close();
    this.#say({ kind: 'close' });
    await this.#closed;
  }
}
