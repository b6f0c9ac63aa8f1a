/**
 * A walk over the bytes of JSON text (RFC 8259): past values, telling whether they are well-formed, UTF-8, not too deep,
 * and without repeated names. Whoever sends them controls every byte; time is linear, memory bounded.
 */
import { utf8Length } from './utf8.ts';
import { MAX_JSON_DEPTH } from './v1.ts';

/** What is said of a string beside its place. */
const ESCAPED = 1;
const WIDE = 2;

export const QUOTE = 0x22;
const BACKSLASH = 0x5c;
export const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;
export const COMMA = 0x2c;
export const COLON = 0x3a;
const ZERO = 0x30;

/** Names that one object may hold here; they are compared each with each. */
const MAX_NAMES = 32;

/** FNV-1a, 32 bits. */
const HASH_START = 0x811c9dc5;
const HASH_PRIME = 0x01000193;
export function hashOf(bytes: Uint8Array, from: number, end: number): number {
  let hash = HASH_START;
  for (let at = from; at < end; at++) hash = Math.imul(hash ^ (bytes[at] as number), HASH_PRIME);
  return hash | 0;
}

export class JsonBytes {
  protected bytes: Uint8Array = new Uint8Array(0);
  protected at = 0;
  protected end = 0;
  /** Of the string or number that was passed last. */
  protected flags = 0;
  /** Hashes of the names of all objects that are open. */
  private readonly names = new Int32Array(MAX_NAMES * (MAX_JSON_DEPTH + 1));
  private nameCount = 0;

  /** Four bytes each, those of the array's memory from `wordsAt` of it on. */
  private words: Int32Array = NO_WORDS;
  private wordsAt = 0;

  protected open(bytes: Uint8Array, from: number, end: number): void {
    if (this.bytes !== bytes) this.takeWords(bytes);
    this.bytes = bytes;
    this.at = from;
    this.end = end;
    this.nameCount = 0;
  }

  private takeWords({ buffer, byteOffset, length }: Uint8Array): void {
    this.wordsAt = -byteOffset & 3;
    const count = Math.max(0, length - this.wordsAt) >> 2;
    this.words = count === 0 ? NO_WORDS : new Int32Array(buffer, byteOffset + this.wordsAt, count);
  }

  protected space(): void {
    const { bytes } = this;
    for (; this.at < this.end; this.at++) {
      const byte = bytes[this.at];
      if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d && byte !== 0x0a) return;
    }
  }

  /** Past one value (RFC 8259 §3); `depth`: of the arrays and objects that it would open. */
  protected value(depth: number): boolean {
    switch (this.bytes[this.at] as number) {
      case QUOTE:
        this.at++;
        return this.string();
      case OPEN_BRACE:
        return this.object(depth);
      case OPEN_BRACKET:
        return this.array(depth);
      case 0x74:
        return this.literal('true');
      case 0x66:
        return this.literal('false');
      case 0x6e:
        return this.literal('null');
      default:
        return this.number();
    }
  }

  protected object(depth: number): boolean {
    const first = this.nameCount;
    if (depth > MAX_JSON_DEPTH) return false;
    this.at++;
    this.space();
    if (this.bytes[this.at] === OPEN_BRACE + 2) {
      this.at++;
      return true;
    }
    for (;;) {
      if (!this.member(first, depth)) return false;
      const byte = this.bytes[this.at++];
      if (byte === COMMA) {
        this.space();
        continue;
      }
      this.nameCount = first;
      return byte === OPEN_BRACE + 2;
    }
  }

  protected member(first: number, depth: number): boolean {
    const { bytes } = this;
    if (bytes[this.at] !== QUOTE) return false;
    const from = ++this.at;
    if (!this.string() || (this.flags & ESCAPED) !== 0) return false;
    if (!this.isNewName(first, hashOf(bytes, from, this.at - 1))) return false;
    this.space();
    if (bytes[this.at++] !== COLON) return false;
    this.space();
    if (!this.value(depth + 1)) return false;
    this.space();
    return true;
  }

  /** False also where a name may be one of before: hashes may meet. */
  protected isNewName(first: number, hash: number): boolean {
    const { names, nameCount } = this;
    if (nameCount - first >= MAX_NAMES) return false;
    for (let at = first; at < nameCount; at++) if (names[at] === hash) return false;
    names[nameCount] = hash;
    this.nameCount++;
    return true;
  }

  protected array(depth: number): boolean {
    if (depth > MAX_JSON_DEPTH) return false;
    this.at++;
    this.space();
    if (this.bytes[this.at] === OPEN_BRACKET + 2) {
      this.at++;
      return true;
    }
    for (;;) {
      if (!this.value(depth + 1)) return false;
      this.space();
      const byte = this.bytes[this.at++];
      if (byte !== COMMA) return byte === OPEN_BRACKET + 2;
      this.space();
    }
  }

  protected literal(text: string): boolean {
    for (let index = 0; index < text.length; index++) {
      if (this.bytes[this.at + index] !== text.charCodeAt(index)) return false;
    }
    this.at += text.length;
    this.flags = 0;
    return true;
  }

  protected number(): boolean {
    const { bytes } = this;
    this.flags = 0;
    if (bytes[this.at] === 0x2d) this.at++;
    if (bytes[this.at] === ZERO) this.at++;
    else if (!this.digits()) return false;
    if (bytes[this.at] === 0x2e) {
      this.at++;
      if (!this.digits()) return false;
    }
    if (((bytes[this.at] as number) | 0x20) !== 0x65) return true;
    this.at++;
    if (bytes[this.at] === 0x2b || bytes[this.at] === 0x2d) this.at++;
    return this.digits();
  }

  protected digits(): boolean {
    const from = this.at;
    while (this.at < this.end && isDigit(this.bytes[this.at] as number)) this.at++;
    return this.at > from;
  }

  /** Past a string whose opening quote has been passed (RFC 8259 §7); its bytes are UTF-8. */
  protected string(): boolean {
    const { bytes, end } = this;
    let { at } = this;
    let flags = 0;
    const isPlain = IS_PLAIN;
    let longAt = at + LONG_TEXT;
    for (; at < end; at++) {
      const byte = bytes[at] as number;
      if (isPlain[byte] === 1) {
        if (at < longAt) continue;
        at = this.pastPlain(at) - 1;
        longAt = at + LONG_TEXT;
        continue;
      }
      if (byte === QUOTE) {
        this.at = at + 1;
        this.flags = flags;
        return true;
      }
      const length = byte === BACKSLASH ? escapeLength(bytes, at) : utf8Length(bytes, at);
      if (length === 0) return false;
      flags |= byte === BACKSLASH ? ESCAPED : WIDE;
      at += length - 1;
    }
    return false;
  }

  /** Past plain bytes, four at a time, as far as that is easily told. */
  private pastPlain(from: number): number {
    const { words, wordsAt } = this;
    let at = from;
    while (((at - wordsAt) & 3) !== 0) if (IS_PLAIN[this.bytes[at++] as number] !== 1) return at - 1;
    let word = (at - wordsAt) >> 2;
    const last = (this.end - wordsAt) >> 2;
    while (word < last && isPlainWord(words[word] as number)) word++;
    return Math.max(at, (word << 2) + wordsAt);
  }
}

const NO_WORDS = new Int32Array(0);
/** Plain bytes of a text after which more are looked at four at a time. */
const LONG_TEXT = 16;
const HIGH_BITS = 0x80808080 | 0;

/** False where one of four bytes is not plain; also of some that are (S. E. Anderson, "Bit Twiddling Hacks"). */
function isPlainWord(word: number): boolean {
  const quotes = word ^ 0x22222222;
  const backslashes = word ^ 0x5c5c5c5c;
  const small = ((word - 0x20202020) | (quotes - 0x01010101) | (backslashes - 0x01010101)) & HIGH_BITS;
  return ((small | word) & HIGH_BITS) === 0;
}

/** By byte 1 where it stands for itself inside of a string. */
const IS_PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte < 0x80 && byte !== QUOTE && byte !== BACKSLASH ? 1 : 0,
);
export const isDigit = (byte: number): boolean => byte >= ZERO && byte <= 0x39;
const isHexDigit = (byte: number): boolean =>
  isDigit(byte) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66);

/** Bytes of the escape at a backslash, 0 where it is none. One that leaves the line ends in no quote of it. */
function escapeLength(bytes: Uint8Array, at: number): number {
  const letter = bytes[at + 1] as number;
  if (letter !== 0x75) return '"\\/bfnrt'.includes(String.fromCharCode(letter)) ? 2 : 0;
  for (let index = 2; index < 6; index++) if (!isHexDigit(bytes[at + index] as number)) return 0;
  return 6;
}
