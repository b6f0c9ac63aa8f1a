/**
 * A client's connection, read by the gate itself as long as its requests are plain. At the first that is not, the
 * connection with all that was not served of it goes to Node's own server, for good.
 */
import type { Socket } from 'node:net';
import { FamiliarHeads } from './familiar-heads.ts';
import { MAX_PLAIN_BYTES, readPlainRequest, type PlainRequest } from './request-head.ts';
import { SocketAnswer } from './socket-answer.ts';

export interface PlainConnectionOptions {
  /** Serves a request; false, and nothing is done, where it is for Node's server. */
  readonly serve: (request: PlainRequest, answer: SocketAnswer, socket: Socket) => boolean;
  readonly handOver: (socket: Socket) => void;
  /** A connection without a request is closed after it. */
  readonly keepAliveMs: number;
  readonly nowMs: () => number;
}

/** Time and pieces that a request may take to come: Node's server has limits for the slow ones. */
const PATIENCE_MS = 1_000;
const MAX_PIECES = 16;

/** The connections that the gate reads for itself. */
export class PlainConnections {
  readonly #options: PlainConnectionOptions;
  readonly #bySocket = new Map<Socket, PlainConnection>();

  constructor(options: PlainConnectionOptions) {
    this.#options = options;
  }

  take(socket: Socket): void {
    this.#bySocket.set(socket, new PlainConnection(socket, this.#options));
    socket.on('close', () => this.#bySocket.delete(socket));
  }

  /** Breaks off all of them, also those that went to Node's server. */
  close(): void {
    for (const socket of this.#bySocket.keys()) socket.destroy();
  }
}

class PlainConnection {
  readonly #socket: Socket;
  readonly #options: PlainConnectionOptions;
  readonly #onData = (bytes: Buffer): void => this.#took(bytes);
  readonly #onDrain = (): void => this.#answer?.drained();
  readonly #onEnd = (): unknown => this.#socket.end();
  readonly #onClose = (): void => this.#closed();
  readonly #onTimeout = (): void => this.#timedOut();
  readonly #heads = new FamiliarHeads();
  #bytes: Buffer | undefined;
  #pieces = 0;
  #patience: NodeJS.Timeout | undefined;
  #answer: SocketAnswer | undefined;
  /** The client was told that the connection closes: nothing more of it is served (RFC 9112 §9.6). */
  #isClosing = false;

  constructor(socket: Socket, options: PlainConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.setNoDelay(true);
    socket.setTimeout(options.keepAliveMs, this.#onTimeout);
    socket.on('data', this.#onData);
    socket.on('drain', this.#onDrain);
    socket.on('end', this.#onEnd);
    socket.on('error', ignored); // `close` follows.
    socket.on('close', this.#onClose);
  }

  #took(bytes: Buffer): void {
    if (this.#isClosing) return;
    this.#bytes = this.#bytes === undefined ? bytes : Buffer.concat([this.#bytes, bytes]);
    this.#pieces++;
    if (this.#answer === undefined) return this.#next();
    // Requests that do not wait for their answers: in their order, and no more of them than fits.
    if (this.#bytes.length > MAX_PLAIN_BYTES) this.#socket.pause();
  }

  #next(): void {
    const bytes = this.#bytes;
    if (bytes === undefined || this.#socket.destroyed) return;
    const outcome = readPlainRequest(bytes, this.#heads);
    switch (outcome.kind) {
      case 'partial':
        return this.#wait();
      case 'unusual':
        return this.#leave();
      case 'request':
        if (!this.#serve(outcome.request, outcome.end)) this.#leave();
    }
  }

  #wait(): void {
    if (this.#pieces > MAX_PIECES) return this.#leave();
    this.#patience ??= setTimeout(() => this.#leave(), PATIENCE_MS);
  }

  #serve(request: PlainRequest, end: number): boolean {
    const { keepAliveMs, nowMs, serve } = this.#options;
    const socket = this.#socket;
    const answer = new SocketAnswer({
      socket,
      keepAliveMs,
      nowMs,
      onFinished: (stays) => this.#finished(stays),
    });
    const whole = this.#bytes;
    this.#answer = answer;
    this.#bytes = whole === undefined || whole.length === end ? undefined : whole.subarray(end);
    clearTimeout(this.#patience);
    this.#patience = undefined;
    this.#pieces = 0;
    if (serve(request, answer, socket)) return true;
    this.#answer = undefined;
    this.#bytes = whole;
    return false;
  }

  #finished(mayStay: boolean): void {
    this.#answer = undefined;
    this.#isClosing = !mayStay;
    if (!mayStay) return void this.#socket.end();
    if (this.#socket.isPaused()) this.#socket.resume();
    this.#next();
  }

  /** To Node's server, with what has been read of it. */
  #leave(): void {
    const socket = this.#socket;
    clearTimeout(this.#patience);
    socket.off('data', this.#onData).off('drain', this.#onDrain).off('end', this.#onEnd);
    socket.off('close', this.#onClose).off('error', ignored);
    socket.setTimeout(0).off('timeout', this.#onTimeout);
    if (socket.destroyed) return;
    // Nothing is lost between two readers.
    socket.pause();
    if (this.#bytes !== undefined) socket.unshift(this.#bytes);
    this.#options.handOver(socket);
    socket.resume();
  }

  /** Nothing has been sent or come for long: an answer may take its time, a request that was begun may not. */
  #timedOut(): void {
    if (this.#answer === undefined) this.#socket.destroy();
  }

  #closed(): void {
    clearTimeout(this.#patience);
    this.#answer?.closed();
  }
}

const ignored = (): void => undefined;
