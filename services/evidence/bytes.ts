/** Byte helpers of the evidence formats. Everything is big endian, as the entry and heads formats say. */

export type Sha256 = (bytes: Uint8Array) => Uint8Array;

/** True when `signature` over `message` verifies under the raw 32-byte Ed25519 `publicKey`. Never throws on bad input. */
export type Ed25519Verify = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean;

/** Digests of the first `count` messages, 32 bytes each, side by side in `digests`. */
export type Sha256Many = (messages: PaddedMessages, count: number, digests: Uint8Array) => void;

/** SHA-256 and Ed25519 as arguments: Node's crypto in the service, WebCrypto or noble in a browser. */
export interface EvidenceCrypto {
  readonly sha256: Sha256;
  readonly ed25519Verify: Ed25519Verify;
  /** Where many at a time are cheaper than one after another. */
  readonly sha256Many?: Sha256Many | undefined;
}

export const HASH_BYTES = 32;
export const STREAM_ID_BYTES = 16;
/** 32 zero bytes; shared, never written to. */
export const ZERO_HASH: Uint8Array = new Uint8Array(HASH_BYTES);
/** 16 zero bytes; shared, never written to. */
export const ZERO_STREAM: Uint8Array = new Uint8Array(STREAM_ID_BYTES);

/** Bytes that SHA-256 works through at a time, and those of the length at the end of its padding. */
const SHA256_BLOCK = 64;
const SHA256_LENGTH = 8;

/** Room for messages of one length, each with its padding (FIPS 180-4 section 5.1.1), written in place. */
export class PaddedMessages {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** From one message to the next. */
  readonly stride: number;
  readonly length: number;

  constructor(length: number, capacity: number) {
    this.length = length;
    this.stride = Math.ceil((length + 1 + SHA256_LENGTH) / SHA256_BLOCK) * SHA256_BLOCK;
    this.bytes = new Uint8Array(this.stride * capacity);
    this.view = new DataView(this.bytes.buffer);
    for (let end = this.stride; end <= this.bytes.length; end += this.stride) {
      this.bytes[end - this.stride + length] = 0x80;
      putU64(this.view, end - SHA256_LENGTH, length * 8);
    }
  }

  get capacity(): number {
    return this.bytes.length / this.stride;
  }
}

/** As Sha256Many, one after another. */
export function sha256EachOf(sha256: Sha256): Sha256Many {
  return ({ bytes, stride, length }, count, digests) => {
    for (let at = 0; at < count; at += 1)
      digests.set(sha256(bytes.subarray(at * stride, at * stride + length)), at * HASH_BYTES);
  };
}

const encoder = new TextEncoder();

export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Domain-separating prefix: the ASCII name and a zero byte. */
export function domain(name: string): Uint8Array {
  return encoder.encode(`${name}\0`);
}

const HEX_OF_BYTE: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, '0'),
);

export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 1) text += HEX_OF_BYTE[bytes[at] as number];
  return text;
}

const nibble = (code: number): number => {
  if (code >= 48 && code <= 57) return code - 48;
  return code >= 97 && code <= 102 ? code - 87 : -1;
};

/** Bytes of exactly `length` from lower-case hex, undefined for anything else. */
export function fromHex(text: string, length: number): Uint8Array | undefined {
  if (text.length !== length * 2) return undefined;
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 1) {
    const high = nibble(text.charCodeAt(at * 2));
    const low = nibble(text.charCodeAt(at * 2 + 1));
    if (high < 0 || low < 0) return undefined;
    bytes[at] = high * 16 + low;
  }
  return bytes;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at += 1) if (a[at] !== b[at]) return false;
  return true;
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Writes a non-negative safe integer as u64 at `at`. */
export function putU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 0x1_0000_0000));
  view.setUint32(at + 4, value >>> 0);
}

const BASE64_LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const BASE64_VALUES: Int8Array = new Int8Array(128).fill(-1);
for (let value = 0; value < BASE64_LETTERS.length; value += 1) {
  BASE64_VALUES[BASE64_LETTERS.charCodeAt(value)] = value;
}

/** Bytes of standard base64 (RFC 4648 section 4, padded), undefined for anything else. */
export function fromBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  const letters = text.length - padding;
  let at = 0;
  let bits = 0;
  let held = 0;
  for (let index = 0; index < letters; index += 1) {
    const value = BASE64_VALUES[text.charCodeAt(index)] ?? -1;
    if (value < 0) return undefined;
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[at] = (held >> bits) & 255;
      at += 1;
    }
  }
  return bytes;
}

/** Standard base64 (RFC 4648 section 4), padded. */
export function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += 3) {
    const left = bytes.length - at;
    const triple = ((bytes[at] as number) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    text += BASE64_LETTERS.charAt(triple >> 18) + BASE64_LETTERS.charAt((triple >> 12) & 63);
    text += left > 1 ? BASE64_LETTERS.charAt((triple >> 6) & 63) : '=';
    text += left > 2 ? BASE64_LETTERS.charAt(triple & 63) : '=';
  }
  return text;
}

/** As fromBase64, and only the one text that toBase64 gives for these bytes. */
export function fromCanonicalBase64(text: string): Uint8Array | undefined {
  const bytes = fromBase64(text);
  return bytes !== undefined && toBase64(bytes) === text ? bytes : undefined;
}

/** 32 bytes of a hash that this process wrote itself. Throws RangeError when it is none. */
export function hashFromHex(text: string): Uint8Array {
  const bytes = fromHex(text, HASH_BYTES);
  if (bytes === undefined) throw new RangeError('not a SHA-256 hash in hex');
  return bytes;
}
