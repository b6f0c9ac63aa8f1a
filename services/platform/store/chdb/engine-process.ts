/**
 * The parent's end of the engine's process: starts it, matches replies to requests, starts it anew after a crash (with
 * a growing pause), and fails what was under way with store_unavailable: the outcome of a write is then unknown.
 */
import { fork, type ChildProcess } from 'node:child_process';
import type { Logger } from 'pino';
import { isTriplineError, TriplineError } from '../../../../schemas/errors.ts';
import { storeFault } from '../faults.ts';
import type { EngineOptions, EngineReply, EngineRequest } from './protocol.ts';

interface Pending {
  readonly onDone: (text: string) => void;
  readonly onChunk: (chunk: string | Uint8Array) => void;
  readonly onFailed: (error: TriplineError) => void;
}

type Unnumbered<T> = T extends unknown ? Omit<T, 'id'> : never;

export interface RequestLimits {
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

const MAX_PAUSE_MS = 5000;
const CLOSE_GRACE_MS = 10_000;
/** The engine of a process that was killed may hold the directory until it sees that its parent is gone. */
const LOCK_WAIT_MS = 15_000;
const LOCK_RETRY_MS = 500;

export class EngineProcess {
  readonly #options: EngineOptions;
  readonly #log: Logger;
  readonly #pending = new Map<number, Pending>();
  #child: ChildProcess | undefined;
  #opening: Promise<void> | undefined;
  #lastId = 0;
  #crashes = 0;
  #closed = false;

  constructor(options: EngineOptions, log: Logger) {
    this.#options = options;
    this.#log = log;
  }

  /** Process id of the engine, undefined while none runs. For tests that kill it. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts the engine where none runs. */
  async ready(): Promise<void> {
    if (this.#closed) throw new TriplineError('store_unavailable', 'the store is closed');
    this.#opening ??= this.#openWhenFree();
    await this.#opening;
  }

  /** `limits` cancel the statement in the engine, also while it waits for its turn; it then fails with store_timeout. */
  async request(
    request: Unnumbered<Extract<EngineRequest, { op: 'command' | 'query' | 'close' }>>,
    limits: RequestLimits = {},
    onChunk: Pending['onChunk'] = () => undefined,
  ): Promise<string> {
    await this.ready();
    const id = this.#nextId();
    const release = this.#limit(id, limits);
    try {
      return await new Promise<string>((resolve, reject) => {
        this.#pending.set(id, { onDone: resolve, onFailed: reject, onChunk });
        this.#send({ ...request, id });
      });
    } finally {
      release();
    }
  }

  #limit(id: number, { timeoutMs, signal }: RequestLimits): () => void {
    const kill = (): void => this.#send({ op: 'kill', id });
    const timer = timeoutMs === undefined ? undefined : setTimeout(kill, timeoutMs);
    signal?.addEventListener('abort', kill, { once: true });
    if (signal?.aborted === true) setImmediate(kill); // After the request itself.
    return () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', kill);
    };
  }

  /**
   * Chunks of a result; the next is fetched when the consumer asks for it. `limits.timeoutMs` is for each of them: a
   * long result is no fault. Leaving the loop cancels the query.
   */
  async *stream(
    query: Pick<Extract<EngineRequest, { op: 'stream' }>, 'sql' | 'params' | 'format'>,
    limits: RequestLimits = {},
  ): AsyncGenerator<string | Uint8Array> {
    await this.ready();
    const id = this.#nextId();
    const chunks: (string | Uint8Array)[] = [];
    const state: { over: boolean; failed: TriplineError | undefined; wake: () => void } = {
      over: false,
      failed: undefined,
      wake: () => undefined,
    };
    const settle = (change: () => void): void => {
      change();
      state.wake();
    };
    this.#pending.set(id, {
      onChunk: (chunk) => settle(() => chunks.push(chunk)),
      onDone: () => settle(() => (state.over = true)),
      onFailed: (error) => settle(() => (state.failed = error)),
    });
    this.#send({ op: 'stream', id, ...query });
    try {
      while (!state.over) {
        const release = this.#limit(id, limits);
        this.#send({ op: 'pull', id });
        while (chunks.length === 0 && !state.over && state.failed === undefined)
          await new Promise<void>((resolve) => (state.wake = resolve));
        release();
        yield* chunks.splice(0);
        if (state.failed !== undefined) throw state.failed;
      }
    } finally {
      if (this.#pending.has(id)) {
        this.#send({ op: 'cancel', id });
        this.#send({ op: 'kill', id });
      }
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    const child = this.#child;
    if (child === undefined) {
      this.#closed = true;
      return;
    }
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const timer = setTimeout(() => child.kill('SIGKILL'), CLOSE_GRACE_MS);
    await this.request({ op: 'close' }).catch((error: unknown) =>
      this.#log.warn({ err: error }, 'closing the engine'),
    );
    this.#closed = true;
    await exited;
    clearTimeout(timer);
  }

  #nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  #send(request: EngineRequest): void {
    this.#child?.send(request, () => undefined); // A broken channel ends in 'exit', which fails what is pending.
  }

  /** Throws data_dir_locked when the directory is still another's after 15 s. */
  async #openWhenFree(): Promise<void> {
    const endMs = performance.now() + LOCK_WAIT_MS;
    for (;;) {
      try {
        return await this.#open();
      } catch (error) {
        const wait = isTriplineError(error, 'data_dir_locked') && performance.now() < endMs && !this.#closed;
        if (wait) await new Promise((resolve) => setTimeout(resolve, LOCK_RETRY_MS));
        else {
          this.#opening = undefined;
          throw error;
        }
      }
    }
  }

  async #open(): Promise<void> {
    if (this.#crashes > 0)
      await new Promise((resolve) => setTimeout(resolve, Math.min(MAX_PAUSE_MS, 50 * 2 ** this.#crashes)));
    const extension = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
    const child = fork(new URL(`./child.${extension}`, import.meta.url), {
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { ...process.env, UV_THREADPOOL_SIZE: '12' },
    });
    this.#child = child;
    child.on('message', (reply: EngineReply) => this.#onReply(reply));
    child.once('exit', (code, signal) => this.#onExit(child, signal ?? code));
    child.once('error', () => this.#onExit(child, 'error'));
    try {
      await new Promise<void>((resolve, reject) => {
        const id = this.#nextId();
        this.#pending.set(id, { onDone: () => resolve(), onFailed: reject, onChunk: () => undefined });
        this.#send({ op: 'open', id, options: this.#options });
      });
    } catch (error) {
      // A directory that is not free yet is no crash of the engine: the next attempt need not wait longer.
      if (isTriplineError(error, 'data_dir_locked')) this.#child = undefined;
      else this.#onExit(child, 'not opened');
      child.kill('SIGKILL');
      throw error;
    }
  }

  #onReply(reply: EngineReply): void {
    const pending = this.#pending.get(reply.id);
    if (pending === undefined) return;
    if (reply.kind !== 'chunk') this.#pending.delete(reply.id);
    switch (reply.kind) {
      case 'chunk':
        return pending.onChunk(reply.chunk);
      case 'done':
        this.#crashes = 0; // Not when it opened: a statement that kills the engine each time must not spin.
        return pending.onDone(reply.text);
      case 'failed':
        return pending.onFailed(storeFault(reply.clickhouseCode, reply.message));
      case 'locked':
        return pending.onFailed(new TriplineError('data_dir_locked'));
      case 'missing':
        return pending.onFailed(new TriplineError('store_optional_missing'));
    }
  }

  #onExit(child: ChildProcess, why: unknown): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    this.#opening = undefined;
    this.#crashes += 1;
    if (!this.#closed && this.#pending.size > 0)
      this.#log.warn({ why: String(why) }, 'the ClickHouse engine ended');
    const lost = [...this.#pending.values()];
    this.#pending.clear();
    for (const pending of lost)
      pending.onFailed(new TriplineError('store_unavailable', 'the embedded engine ended'));
  }
}
