/** An answer in HTTP/1.1 (RFC 9112 §6) on a connection that stays. */
import { EventEmitter } from 'node:events';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Answer } from './answer.ts';
import { headerLines, type RawHeaders } from './header-fields.ts';

export interface SocketAnswerOptions {
  readonly socket: Socket;
  /** Told to clients, so that they close an idle connection first. */
  readonly keepAliveMs: number;
  readonly nowMs: () => number;
  /** It has been handed to the system: the connection may go on with the next request, or is to be closed. */
  readonly onFinished: (mayStay: boolean) => void;
}

const LINE_END = Buffer.from('\r\n');
const LAST_CHUNK = Buffer.from('0\r\n\r\n');
/** Their answers have no body, and say nothing of its length. */
const NO_BODY: ReadonlySet<number> = new Set([204, 304]);

export class SocketAnswer extends EventEmitter implements Answer {
  readonly #options: SocketAnswerOptions;
  /** Of what is written and not yet handed to the socket. */
  #parts: Uint8Array[] = [];
  #isCorked = false;
  #isChunked = false;
  #hasBody = true;
  #mayStay = true;
  headersSent = false;
  writableEnded = false;
  writableFinished = false;
  destroyed = false;

  constructor(options: SocketAnswerOptions) {
    super();
    this.#options = options;
  }

  writeHead(status: number, headers: RawHeaders): void {
    if (this.headersSent) return;
    this.headersSent = true;
    const names = new Set(headers.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase()));
    this.#hasBody = !NO_BODY.has(status);
    this.#isChunked = this.#hasBody && !names.has('content-length');
    this.#mayStay = !names.has('connection');
    const own = this.#ownHeaders(names.has('date'));
    const lines = headerLines(headers) + headerLines(own);
    const text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n${lines}\r\n`;
    this.#parts.push(Buffer.from(text, 'latin1'));
  }

  #ownHeaders(hasDate: boolean): string[] {
    const { keepAliveMs, nowMs } = this.#options;
    const own: string[] = [];
    if (!hasDate) own.push('Date', new Date(nowMs()).toUTCString());
    if (this.#isChunked) own.push('Transfer-Encoding', 'chunked');
    const timeoutS = Math.floor(keepAliveMs / 1000);
    if (this.#mayStay) own.push('Connection', 'keep-alive', 'Keep-Alive', `timeout=${timeoutS}`);
    return own;
  }

  flushHeaders(): void {
    this.#flush();
  }

  write(bytes: Uint8Array): boolean {
    if (this.destroyed || this.writableEnded) return false;
    this.#add(bytes);
    if (!this.#isCorked) this.#flush();
    return !this.#options.socket.writableNeedDrain;
  }

  #add(bytes: Uint8Array): void {
    if (bytes.length === 0 || !this.#hasBody) return;
    if (!this.#isChunked) return void this.#parts.push(bytes);
    this.#parts.push(Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, LINE_END);
  }

  end(bytes?: Uint8Array): void {
    if (this.destroyed || this.writableEnded) return;
    this.writableEnded = true;
    if (bytes !== undefined) this.#add(bytes);
    if (this.#isChunked) this.#parts.push(LAST_CHUNK);
    this.#isCorked = false;
    this.#flush(() => this.#finished());
  }

  cork(): void {
    this.#isCorked = true;
  }

  uncork(): void {
    this.#isCorked = false;
    this.#flush();
  }

  /** In one write: each would be a packet, and wake the client. */
  #flush(onWritten?: () => void): void {
    const { socket } = this.#options;
    const parts = this.#parts;
    if (this.destroyed || (parts.length === 0 && onWritten === undefined)) return;
    this.#parts = [];
    const [only = LINE_END.subarray(2)] = parts;
    socket.write(parts.length <= 1 ? only : Buffer.concat(parts), () => onWritten?.());
  }

  #finished(): void {
    if (this.destroyed) return;
    this.writableFinished = true;
    this.emit('close');
    this.#options.onFinished(this.#mayStay);
  }

  /** The socket takes more again. */
  drained(): void {
    this.emit('drain');
  }

  /** The connection is no more. */
  closed(): void {
    if (this.destroyed || this.writableFinished) return;
    this.destroyed = true;
    this.#parts = [];
    this.emit('close');
  }

  destroy(): void {
    this.#options.socket.destroy();
    this.closed();
  }
}
