/** Connections to one server, each with one request at a time; those that wait are used again, the last one first. */
import type { Socket } from 'node:net';
import { FamiliarHeads } from './familiar-heads.ts';
import { Asking, type AskHandlers } from './upstream-answer.ts';

export interface PoolOptions {
  readonly connect: () => Socket;
  /** A connection that has waited so long is closed. */
  readonly idleMs: number;
  readonly nowMs: () => number;
}

export interface Asked {
  /** Breaks off: nothing more is told, and the connection is closed. */
  destroy(): void;
}

/** A peer that vanished in a long stream is found by it. */
const KEEP_ALIVE_PROBE_MS = 30_000;

interface Waiting {
  readonly connection: Connection;
  readonly sinceMs: number;
}

export class UpstreamPool {
  readonly #options: PoolOptions;
  readonly #open = new Set<Connection>();
  readonly #waiting: Waiting[] = [];
  readonly #heads = new FamiliarHeads();
  #sweeper: NodeJS.Timeout | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Sends a request, whole in its framing; what becomes of it is told to `handlers`. No time limit. */
  ask(message: readonly Uint8Array[], handlers: AskHandlers): Asked {
    const connection = this.#fresh() ?? this.#connected();
    return connection.ask(message, handlers);
  }

  /** The last that waits, if it has not waited for too long. */
  #fresh(): Connection | undefined {
    this.#sweep();
    return this.#waiting.pop()?.connection;
  }

  #connected(): Connection {
    const connection = new Connection(this.#options.connect(), this.#heads, {
      onFree: () => {
        this.#waiting.push({ connection, sinceMs: this.#options.nowMs() });
        this.#sweeper ??= setInterval(() => this.#sweep(), this.#options.idleMs / 8).unref();
      },
      onGone: () => this.#forget(connection),
    });
    this.#open.add(connection);
    return connection;
  }

  #forget(connection: Connection): void {
    this.#open.delete(connection);
    const at = this.#waiting.findIndex((waiting) => waiting.connection === connection);
    if (at !== -1) this.#waiting.splice(at, 1);
  }

  #sweep(): void {
    const before = this.#options.nowMs() - this.#options.idleMs;
    while ((this.#waiting[0]?.sinceMs ?? Infinity) <= before) this.#waiting.shift()?.connection.close();
    if (this.#waiting.length > 0 || this.#sweeper === undefined) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }

  close(): void {
    for (const connection of this.#open) connection.close();
  }
}

interface ConnectionHandlers {
  readonly onFree: () => void;
  readonly onGone: () => void;
}

class Connection {
  readonly #socket: Socket;
  readonly #heads: FamiliarHeads;
  readonly #handlers: ConnectionHandlers;
  #asking: Asking | undefined;

  constructor(socket: Socket, heads: FamiliarHeads, handlers: ConnectionHandlers) {
    this.#socket = socket;
    this.#heads = heads;
    this.#handlers = handlers;
    socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS);
    socket.setNoDelay(true);
    // Bytes that nobody asked for would be taken for the next answer.
    socket.on('data', (bytes: Buffer) =>
      this.#asking === undefined ? this.close() : this.#asking.take(bytes),
    );
    socket.on('end', () => (this.#asking === undefined ? this.close() : this.#asking.ended()));
    socket.on('error', (error) => this.#asking?.broken(codeOf(error)));
    socket.on('close', () => {
      this.#asking?.broken();
      handlers.onGone();
    });
  }

  ask(message: readonly Uint8Array[], handlers: AskHandlers): Asked {
    const asking = new Asking(this.#socket, {
      heads: this.#heads,
      handlers,
      onOver: (mayStay) => this.#over(mayStay),
    });
    this.#asking = asking;
    asking.send(message);
    return asking;
  }

  #over(mayStay: boolean): void {
    this.#asking = undefined;
    if (!mayStay || this.#socket.destroyed) return this.close();
    if (this.#socket.isPaused()) this.#socket.resume();
    this.#handlers.onFree();
  }

  close(): void {
    this.#socket.destroy();
    this.#handlers.onGone();
  }
}

const codeOf = (error: Error): string =>
  'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
