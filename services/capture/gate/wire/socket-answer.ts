/** An answer in HTTP/1.1 (RFC 9112 §6) on a connection that stays. */
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Answer, AnswerHead } from './answer.ts';
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
const NOTHING = Buffer.alloc(0);
/** Their answers have no body, and say nothing of its length. */
const NO_BODY: ReadonlySet<number> = new Set([204, 304]);
const ignored = (): void => undefined;

export class SocketAnswer implements Answer {
  readonly #options: SocketAnswerOptions;
  /** Of what is written and not yet handed to the socket. */
  #parts: Uint8Array[] = [];
  #isCorked = false;
  #isChunked = false;
  #hasBody = true;
  #mayStay = true;
  #onClosed = ignored;
  #onDrained = ignored;
  hasBegun = false;
  isEnded = false;
  isFinished = false;
  isGone = false;

  constructor(options: SocketAnswerOptions) {
    this.#options = options;
  }

  begin({ status, headers, length, date }: AnswerHead): void {
    if (this.hasBegun) return;
    this.hasBegun = true;
    const { keepAliveMs, nowMs } = this.#options;
    const { bytes, mayStay } = fixedPart(status, headers, keepAliveMs);
    this.#mayStay = mayStay;
    this.#hasBody = !NO_BODY.has(status);
    this.#isChunked = this.#hasBody && length === undefined;
    const framing = length === undefined ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`;
    const dated = `Date: ${date ?? new Date(nowMs()).toUTCString()}\r\n`;
    const end = this.#hasBody ? `${dated}${framing}\r\n\r\n` : `${dated}\r\n`;
    this.#parts.push(bytes, Buffer.from(end, 'latin1'));
  }

  flush(): void {
    this.#flush();
  }

  write(bytes: Uint8Array): boolean {
    if (this.isGone || this.isEnded) return false;
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
    if (this.isGone || this.isEnded) return;
    this.isEnded = true;
    if (bytes !== undefined) this.#add(bytes);
    if (this.#isChunked) this.#parts.push(LAST_CHUNK);
    this.#isCorked = false;
    this.#flush((error) => {
      // `close` follows a fault.
      if (error === undefined || error === null) this.#finished();
    });
  }

  cork(): void {
    this.#isCorked = true;
  }

  uncork(): void {
    this.#isCorked = false;
    this.#flush();
  }

  /** In one write: each would be a packet, and wake the client. */
  #flush(onWritten?: (error?: Error | null) => void): void {
    const parts = this.#parts;
    if (this.isGone || (parts.length === 0 && onWritten === undefined)) return;
    this.#parts = [];
    const [only = NOTHING] = parts;
    this.#options.socket.write(parts.length <= 1 ? only : Buffer.concat(parts), onWritten);
  }

  #finished(): void {
    if (this.isGone || this.#options.socket.destroyed) return;
    this.isFinished = true;
    this.#onClosed();
    this.#options.onFinished(this.#mayStay);
  }

  /** The socket takes more again. */
  drained(): void {
    this.#onDrained();
  }

  /** The connection is no more. */
  closed(): void {
    if (this.isGone || this.isFinished) return;
    this.isGone = true;
    this.#parts = [];
    this.#onClosed();
  }

  destroy(): void {
    // The connection may be the next answer's already.
    if (this.isFinished) return;
    this.#options.socket.destroy();
    this.closed();
  }

  whenClosed(listener: () => void): void {
    this.#onClosed = listener;
  }

  whenDrained(listener: () => void): void {
    this.#onDrained = listener;
  }
}

interface FixedPart {
  readonly status: number;
  readonly bytes: Buffer;
  readonly mayStay: boolean;
}

/** Of answers whose headers are the same array: a server says the same each time. */
const fixedParts = new WeakMap<RawHeaders, FixedPart>();

/** Status line and headers, without the end of the head. */
function fixedPart(status: number, headers: RawHeaders, keepAliveMs: number): FixedPart {
  const known = fixedParts.get(headers);
  if (known?.status === status) return known;
  const mayStay = !headers.some((name, index) => index % 2 === 0 && name.toLowerCase() === 'connection');
  const stays = ['Connection', 'keep-alive', 'Keep-Alive', `timeout=${Math.floor(keepAliveMs / 1000)}`];
  const lines = headerLines(mayStay ? [...headers, ...stays] : headers);
  const line = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n`;
  const part = { status, bytes: Buffer.from(`${line}${lines}`, 'latin1'), mayStay };
  fixedParts.set(headers, part);
  return part;
}
