/** An answer to a client, written as it comes: Node's own ServerResponse is one. */
import type { RawHeaders } from './header-fields.ts';

export interface Answer {
  readonly headersSent: boolean;
  /** No more goes to the client: it has left, or was left. */
  readonly destroyed: boolean;
  /** The end has been given. */
  readonly writableEnded: boolean;
  /** All of it has been handed to the system. */
  readonly writableFinished: boolean;
  /** Without a Content-Length the body is framed as it comes. Names and values in turn; no line ends in them. */
  writeHead(status: number, headers: string[] & RawHeaders): unknown;
  flushHeaders(): void;
  /** False when the client does not read: `drain` follows. */
  write(bytes: Uint8Array): boolean;
  end(bytes?: Uint8Array): unknown;
  /** What is written is kept until `uncork` or the end. */
  cork(): void;
  uncork(): void;
  destroy(): unknown;
  /** `close`: all has been sent, or nothing more can be. */
  on(event: 'close' | 'drain', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
}
