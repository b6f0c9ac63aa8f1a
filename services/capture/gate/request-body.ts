/** The body of a client's POST: whole, bounded, and the same to us as to the server, or it goes no further. */
import { isUtf8 } from 'node:buffer';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { ErrorCode } from '../../../schemas/errors.ts';
import { readLine, type WireLine } from '../message.ts';
import type { Forwardable } from './upstream.ts';
import type { RawHeaders } from './wire/header-fields.ts';

export type BodyOutcome =
  /** `release` when nothing holds the bytes any more. */
  | { readonly kind: 'body'; readonly bytes: Buffer; readonly release: () => void }
  | { readonly kind: 'too_large' }
  /** Other requests hold all the room that there is. */
  | { readonly kind: 'no_room' }
  /** The client left before it was whole. */
  | { readonly kind: 'gone' };

/** Bytes of bodies that all connections of a gate hold together. */
export class HeldBytes {
  readonly #max: number;
  #held = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** False, and nothing is taken, where there is no room. */
  take(bytes: number): boolean {
    if (this.#held + bytes > this.#max) return false;
    this.#held += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#held -= bytes;
  }
}

export interface BodyLimits {
  readonly maxBytes: number;
  readonly held: HeldBytes;
}

/** A body that has come already, whole. */
export function bodyAtHand(bytes: Buffer, { maxBytes, held }: BodyLimits): BodyOutcome {
  if (bytes.length > maxBytes) return { kind: 'too_large' };
  if (!held.take(bytes.length)) return { kind: 'no_room' };
  let size = bytes.length;
  const release = (): void => {
    held.give(size);
    size = 0;
  };
  return { kind: 'body', bytes, release };
}

/** The body of a request, whole. What it took of `held` is given back where it does not become one. */
export function readBody(request: IncomingMessage, { maxBytes, held }: BodyLimits): Promise<BodyOutcome> {
  return new Promise((resolve) => {
    let chunks: Buffer[] = [];
    let size = 0;
    let isOver = false;
    const release = (): void => {
      held.give(size);
      size = 0;
    };
    const end = (outcome: BodyOutcome): void => {
      if (isOver) return;
      isOver = true;
      chunks = [];
      if (outcome.kind !== 'body') release();
      resolve(outcome);
    };
    request.on('data', (chunk: Buffer) => {
      if (isOver) return;
      if (size + chunk.length > maxBytes) return end({ kind: 'too_large' });
      if (!held.take(chunk.length)) return end({ kind: 'no_room' });
      size += chunk.length;
      chunks.push(chunk);
    });
    request.on('end', () => {
      const [only] = chunks;
      const bytes = only !== undefined && chunks.length === 1 ? only : Buffer.concat(chunks);
      end({ kind: 'body', bytes, release });
    });
    request.on('error', () => end({ kind: 'gone' }));
    request.on('close', () => end({ kind: 'gone' }));
  });
}

export type RequestOutcome =
  | { readonly kind: 'messages'; readonly line: WireLine }
  | { readonly kind: 'refused'; readonly code: ErrorCode };

/** By headers, which are one object where a client says the same. */
const plain = new WeakMap<IncomingHttpHeaders, boolean>();

/** False for headers that would have the server read other characters than we do. */
function isPlainUtf8({ headers, rawHeaders }: Forwardable): boolean {
  const known = plain.get(headers);
  if (known !== undefined) return known;
  const isPlain = saysUtf8(headers) && !hasTwoTypes(rawHeaders);
  plain.set(headers, isPlain);
  return isPlain;
}

/** Node keeps the first; all of them go on, and a server may take the last. */
function hasTwoTypes(rawHeaders: RawHeaders): boolean {
  const isType = (name: string, index: number): boolean =>
    index % 2 === 0 && name.toLowerCase() === 'content-type';
  return rawHeaders.filter(isType).length > 1;
}

function saysUtf8(headers: IncomingHttpHeaders): boolean {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') return false;
  const charset = /;\s*charset\s*=\s*"?([^\s";]+)/iu.exec(headers['content-type'] ?? '')?.[1];
  return charset === undefined || /^utf-?8$/iu.test(charset);
}

const REPLACED = '\uFFFD';

function isStrictJson(body: Buffer): boolean {
  const text = body.toString('utf8');
  // What is no UTF-8 would stand there replaced; nearly no text has that character of its own.
  if (text.includes(REPLACED) && !isUtf8(body)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The messages of a body; refused where a server might read something else in it. */
export function readRequest(request: Forwardable, body: Buffer, scope: string): RequestOutcome {
  if (!isPlainUtf8(request)) return { kind: 'refused', code: 'body_unsupported_type' };
  const line = readLine(body, scope);
  if (line.messages.length === 0 || !isStrictJson(body)) return { kind: 'refused', code: 'body_malformed' };
  return { kind: 'messages', line };
}
