/** Takes the framing off the body of an answer (RFC 9112 §6, §7.1). Pure but for its place; the server chooses every byte. */
import type { Framing } from './response-head.ts';

export interface Decoded {
  /** Bytes of the body. */
  readonly pieces: readonly Buffer[];
  /** `rest`: what came behind the end of the body. */
  readonly state: 'more' | 'end' | 'malformed';
  readonly rest: number;
}

const LF = 0x0a;
const CRLF = Buffer.from('\r\n');
/** Extensions of a chunk and trailers are not ours to carry on, and not without bounds. */
const MAX_LINE_BYTES = 4 * 1024;
const MAX_TRAILER_BYTES = 16 * 1024;
const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/u.source;
const QUOTED =
  /"(?:[\t\u0020\u0021\u0023-\u005B\u005D-\u007E\u0080-\u00FF]|\\[\t\u0020-\u007E\u0080-\u00FF])*"/u.source;
const EXTENSION = `[\\t ]*;[\\t ]*${TOKEN}(?:[\\t ]*=[\\t ]*(?:${TOKEN}|${QUOTED}))?`;
const SIZE_LINE = new RegExp(`^([0-9A-Fa-f]{1,12})(?:${EXTENSION})*$`, 'u');
const TRAILER = new RegExp(`^${TOKEN}:[\\t\\u0020-\\u007E\\u0080-\\u00FF]*$`, 'u');

/** Where a chunked body stands: before a size line, in data, before the line end behind it, in the trailers. */
type Place = 'size' | 'data' | 'data_end' | 'trailers';

export class BodyDecoder {
  readonly #framing: Framing;
  #left: number;
  #place: Place = 'size';
  /** Of a line whose end has not come. */
  #line: Buffer = Buffer.alloc(0);
  #trailerBytes = 0;

  constructor(framing: Framing) {
    this.#framing = framing;
    this.#left = framing.kind === 'length' ? framing.bytes : 0;
  }

  /** Takes the next bytes of the connection. Not to be called after `end` or `malformed`. */
  push(bytes: Buffer): Decoded {
    switch (this.#framing.kind) {
      case 'none':
        return { pieces: [], state: 'end', rest: bytes.length };
      case 'until_close':
        return { pieces: bytes.length === 0 ? [] : [bytes], state: 'more', rest: 0 };
      case 'length':
        return this.#counted(bytes);
      case 'chunked':
        return this.#chunked(bytes);
    }
  }

  #counted(bytes: Buffer): Decoded {
    const piece = bytes.subarray(0, this.#left);
    this.#left -= piece.length;
    const pieces = piece.length === 0 ? [] : [piece];
    return { pieces, state: this.#left === 0 ? 'end' : 'more', rest: bytes.length - piece.length };
  }

  #chunked(bytes: Buffer): Decoded {
    const pieces: Buffer[] = [];
    let at = 0;
    while (at < bytes.length) {
      if (this.#place === 'data') {
        const piece = bytes.subarray(at, at + this.#left);
        pieces.push(piece);
        at += piece.length;
        this.#left -= piece.length;
        if (this.#left === 0) this.#place = 'data_end';
        continue;
      }
      const line = this.#lineFrom(bytes, at);
      if (line === undefined) return { pieces, state: this.#isLineLong() ? 'malformed' : 'more', rest: 0 };
      at = line.next;
      const state = this.#took(line.text);
      if (state !== 'more') return { pieces, state, rest: bytes.length - at };
    }
    return { pieces, state: 'more', rest: 0 };
  }

  /** The line that ends in `bytes`, without its end; undefined, and kept, where it goes on. */
  #lineFrom(
    bytes: Buffer,
    at: number,
  ): { readonly text: string | undefined; readonly next: number } | undefined {
    const end = bytes.indexOf(LF, at);
    const part = bytes.subarray(at, end === -1 ? bytes.length : end + 1);
    const line = this.#line.length === 0 ? part : Buffer.concat([this.#line, part]);
    if (end === -1) {
      this.#line = line;
      return undefined;
    }
    this.#line = Buffer.alloc(0);
    const isEnded = line.length >= CRLF.length && line.subarray(-CRLF.length).equals(CRLF);
    const text =
      isEnded && line.length <= MAX_LINE_BYTES
        ? line.toString('latin1', 0, line.length - CRLF.length)
        : undefined;
    return { text, next: end + 1 };
  }

  #isLineLong(): boolean {
    return this.#line.length > MAX_LINE_BYTES;
  }

  #took(line: string | undefined): Decoded['state'] {
    if (line === undefined) return 'malformed';
    switch (this.#place) {
      case 'size':
        return this.#tookSize(line);
      case 'data_end':
        this.#place = 'size';
        return line === '' ? 'more' : 'malformed';
      case 'trailers':
        if (line === '') return 'end';
        this.#trailerBytes += line.length;
        return TRAILER.test(line) && this.#trailerBytes <= MAX_TRAILER_BYTES ? 'more' : 'malformed';
      case 'data':
        return 'malformed';
    }
  }

  #tookSize(line: string): Decoded['state'] {
    const digits = SIZE_LINE.exec(line)?.[1];
    if (digits === undefined) return 'malformed';
    this.#left = Number.parseInt(digits, 16);
    this.#place = this.#left === 0 ? 'trailers' : 'data';
    return 'more';
  }
}
