/**
 * Hands what a broker sends to kafkajs answer by answer. By itself kafkajs keeps what it has of an answer when a connection
 * breaks off, and takes the first bytes of the next connection for the rest of it: it then waits for gigabytes, or throws
 * where nobody catches it and the process ends. Of an answer that is cut off nothing reaches it here.
 */
import type { Socket } from 'node:net';
import { TriplineError } from '../../../../schemas/errors.ts';

/** An answer begins with its length (Kafka protocol, "Network": a big-endian INT32), which does not count itself. */
const LENGTH_BYTES = 4;
/** Far above what is ever asked for (fetches of 10 MB): what is longer is no answer. */
const MAX_ANSWER_BYTES = 512 * 1024 * 1024;

export type Cut =
  | { readonly kind: 'answers'; readonly answers: readonly Buffer[] }
  /** No length begins here. */
  | { readonly kind: 'malformed' };

/** Cuts the bytes of one connection. */
export class AnswerCutter {
  #chunks: Buffer[] = [];
  #heldBytes = 0;
  #neededBytes = LENGTH_BYTES;

  /** Takes the next bytes; answers what is whole by them, each with its length in front, in order. */
  push(bytes: Buffer): Cut {
    this.#chunks.push(bytes);
    this.#heldBytes += bytes.length;
    if (this.#heldBytes < this.#neededBytes) return { kind: 'answers', answers: [] };
    const held = this.#chunks.length === 1 ? bytes : Buffer.concat(this.#chunks);
    const answers: Buffer[] = [];
    let at = 0;
    let needed = LENGTH_BYTES;
    while (held.length - at >= LENGTH_BYTES) {
      const length = held.readInt32BE(at);
      if (length < 0 || length > MAX_ANSWER_BYTES) return { kind: 'malformed' };
      needed = LENGTH_BYTES + length;
      if (held.length - at < needed) break;
      answers.push(held.subarray(at, at + needed));
      at += needed;
      needed = LENGTH_BYTES;
    }
    this.#chunks = at === held.length ? [] : [held.subarray(at)];
    this.#heldBytes = held.length - at;
    this.#neededBytes = needed;
    return { kind: 'answers', answers };
  }
}

/** Has `socket` tell whole answers only. What cannot be read ends the connection, which kafkajs opens anew. */
export function tellWholeAnswers(socket: Socket): void {
  const cutter = new AnswerCutter();
  const tell = socket.emit.bind(socket) as (event: string, ...given: readonly unknown[]) => boolean;
  const take = (bytes: Buffer): boolean => {
    const cut = cutter.push(bytes);
    if (cut.kind === 'malformed')
      socket.destroy(new TriplineError('bus_unavailable', 'no answer of a broker'));
    else for (const answer of cut.answers) if (!socket.destroyed) tellOne(answer);
    return true;
  };
  const tellOne = (answer: Buffer): void => {
    try {
      tell('data', answer);
    } catch (error) {
      // kafkajs cannot read it. Its own error handler mends that; thrown from here the fault would end the process.
      socket.destroy(new TriplineError('bus_unavailable', undefined, { cause: error }));
    }
  };
  const emit = (event: string, ...given: readonly unknown[]): boolean =>
    event === 'data' ? take(given[0] as Buffer) : tell(event, ...given);
  socket.emit = emit as Socket['emit'];
}
