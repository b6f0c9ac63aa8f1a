/** One request that a server was asked, and its answer as the bytes of the connection bring it. */
import type { Socket } from 'node:net';
import { BodyDecoder } from './body-decoder.ts';
import type { FamiliarHeads } from './familiar-heads.ts';
import { readResponseHead, type ResponseHead } from './response-head.ts';

/** The body of an answer as it comes: pieces, then its end, or that it broke off. */
export interface AnswerReader {
  readonly onPiece: (piece: Buffer) => void;
  /** What has come so far is not all. */
  readonly onMore?: () => void;
  readonly onEnd: () => void;
  readonly onBrokenOff: () => void;
}

export interface UpstreamAnswer extends Pick<ResponseHead, 'status' | 'headers' | 'rawHeaders' | 'date'> {
  /** Who takes the body. Call it while the answer is being told. */
  readTo(reader: AnswerReader): void;
  /** The connection is read no further, but for what has been read already. */
  pause(): void;
  resume(): void;
  readonly isPaused: boolean;
}

export interface AskHandlers {
  /** The request has been handed to the system: nothing here holds its bytes. */
  readonly onSent?: () => void;
  readonly onAnswer: (answer: UpstreamAnswer) => void;
  /** Instead of an answer; `code` is the system's, or MALFORMED. */
  readonly onFailed: (code: string) => void;
}

/** What the server sent is no answer in HTTP/1.1. */
export const MALFORMED = 'http_malformed';
const CLOSED = 'ECONNRESET';
const NOTHING = Buffer.alloc(0);
const NO_READER: AnswerReader = {
  onPiece: () => undefined,
  onEnd: () => undefined,
  onBrokenOff: () => undefined,
};

export interface AskingOptions {
  /** Of the server's answers. */
  readonly heads: FamiliarHeads;
  readonly handlers: AskHandlers;
  /** What becomes of the connection behind the answer. */
  readonly onOver: (mayStay: boolean) => void;
}

export class Asking implements UpstreamAnswer {
  readonly #socket: Socket;
  readonly #heads: FamiliarHeads;
  readonly #handlers: AskHandlers;
  readonly #onOver: (mayStay: boolean) => void;
  #bytes: Buffer = NOTHING;
  #head: ResponseHead | undefined;
  #decoder: BodyDecoder | undefined;
  #reader = NO_READER;
  #isSent = false;
  #isOver = false;

  constructor(socket: Socket, { heads, handlers, onOver }: AskingOptions) {
    this.#socket = socket;
    this.#heads = heads;
    this.#handlers = handlers;
    this.#onOver = onOver;
  }

  send(message: readonly Uint8Array[]): void {
    const socket = this.#socket;
    const [last, ...before] = message.toReversed();
    if (before.length > 0) socket.cork();
    for (const part of before.toReversed()) socket.write(part);
    socket.write(last ?? NOTHING, () => {
      this.#isSent = true;
      this.#handlers.onSent?.();
    });
    if (before.length > 0) socket.uncork();
  }

  get status(): number {
    return this.#head?.status ?? 0;
  }

  get headers(): ResponseHead['headers'] {
    return this.#head?.headers ?? {};
  }

  get rawHeaders(): ResponseHead['rawHeaders'] {
    return this.#head?.rawHeaders ?? [];
  }

  get date(): string | undefined {
    return this.#head?.date;
  }

  readTo(reader: AnswerReader): void {
    this.#reader = reader;
  }

  pause(): void {
    if (!this.#isOver) this.#socket.pause();
  }

  resume(): void {
    if (!this.#isOver) this.#socket.resume();
  }

  get isPaused(): boolean {
    return !this.#isOver && this.#socket.isPaused();
  }

  /** Breaks off: nothing more is told. */
  destroy(): void {
    this.#leave(false);
  }

  /** Bytes of the connection. */
  take(bytes: Buffer): void {
    if (this.#head !== undefined) return this.#body(bytes);
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    const outcome = this.#readHead();
    if (outcome.kind === 'malformed') return this.broken(MALFORMED);
    if (outcome.kind === 'partial') return;
    const { head } = outcome;
    const rest = this.#bytes.subarray(head.end);
    this.#bytes = NOTHING;
    this.#head = head;
    this.#decoder = new BodyDecoder(head.framing);
    this.#handlers.onAnswer(this);
    if (rest.length > 0 || head.framing.kind === 'none') this.#body(rest);
    else if (!this.#hasLeft()) this.#reader.onMore?.();
  }

  #readHead(): Exclude<ReturnType<typeof readResponseHead>, { kind: 'interim' }> {
    for (;;) {
      const outcome = readResponseHead(this.#bytes, this.#heads);
      if (outcome.kind !== 'interim') return outcome;
      this.#bytes = this.#bytes.subarray(outcome.end);
    }
  }

  #body(bytes: Buffer): void {
    if (this.#isOver || this.#decoder === undefined) return;
    const { pieces, state, rest } = this.#decoder.push(bytes);
    for (const piece of pieces) if (!this.#hasLeft()) this.#reader.onPiece(piece);
    if (this.#hasLeft()) return;
    if (state === 'more') return this.#reader.onMore?.();
    if (state === 'malformed') return this.broken(MALFORMED);
    this.#whole(rest === 0);
  }

  /** A reader may break off while it is told. */
  #hasLeft(): boolean {
    return this.#isOver;
  }

  #whole(isClean: boolean): void {
    this.#leave(isClean && this.#isSent && this.#head?.keepsAlive === true);
    this.#reader.onEnd();
  }

  /** The server has closed its side. */
  ended(): void {
    if (this.#head?.framing.kind === 'until_close') this.#whole(false);
    else this.broken(CLOSED);
  }

  /** The connection is no more, or of no more use. */
  broken(code: string = CLOSED): void {
    if (this.#isOver) return;
    this.#leave(false);
    if (this.#head === undefined) this.#handlers.onFailed(code);
    else this.#reader.onBrokenOff();
  }

  #leave(mayStay: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onOver(mayStay);
  }
}
