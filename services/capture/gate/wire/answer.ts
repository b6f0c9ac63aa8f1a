/** An answer to a client, written as it comes: on its socket, or by Node's own server. */
import type { ServerResponse } from 'node:http';
import type { RawHeaders } from './header-fields.ts';

export interface AnswerHead {
  readonly status: number;
  /** Names and values in turn, without Content-Length and Date; no line ends in them. */
  readonly headers: RawHeaders;
  /** Bytes of the body; where it is not known the body is framed as it comes. */
  readonly length?: number | undefined;
  /** Of whoever made the answer; ours where absent. */
  readonly date?: string | undefined;
}

export interface Answer {
  readonly hasBegun: boolean;
  /** The end has been given. */
  readonly isEnded: boolean;
  /** All of it has been handed to the system. */
  readonly isFinished: boolean;
  /** No more goes to the client: it has left, or was left. */
  readonly isGone: boolean;
  /** Once. */
  begin(head: AnswerHead): void;
  /** The head leaves before the body. */
  flush(): void;
  /** False when the client does not read: it is told when it does. */
  write(bytes: Uint8Array): boolean;
  end(bytes?: Uint8Array): void;
  /** What is written is kept until `uncork` or the end. */
  cork(): void;
  uncork(): void;
  destroy(): void;
  /** All has been sent, or nothing more can be. One listener. */
  whenClosed(listener: () => void): void;
  /** The client reads again. One listener. */
  whenDrained(listener: () => void): void;
}

export class NodeAnswer implements Answer {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
    // A client that leaves in the middle of a write; `close` follows.
    response.on('error', () => undefined);
  }

  get hasBegun(): boolean {
    return this.#response.headersSent;
  }

  get isEnded(): boolean {
    return this.#response.writableEnded;
  }

  get isFinished(): boolean {
    return this.#response.writableFinished;
  }

  get isGone(): boolean {
    return this.#response.destroyed;
  }

  begin({ status, headers, length, date }: AnswerHead): void {
    const dated = date === undefined ? [] : ['Date', date];
    const measured = length === undefined ? [] : ['Content-Length', String(length)];
    this.#response.writeHead(status, [...headers, ...dated, ...measured]);
  }

  flush(): void {
    this.#response.flushHeaders();
  }

  write(bytes: Uint8Array): boolean {
    return this.#response.write(bytes);
  }

  end(bytes?: Uint8Array): void {
    this.#response.end(bytes);
  }

  cork(): void {
    this.#response.socket?.cork();
  }

  uncork(): void {
    this.#response.socket?.uncork();
  }

  destroy(): void {
    this.#response.destroy();
  }

  whenClosed(listener: () => void): void {
    this.#response.on('close', listener);
  }

  whenDrained(listener: () => void): void {
    this.#response.on('drain', listener);
  }
}
