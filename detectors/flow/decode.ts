/** Texts that another may be an encoding of. Lenient: what does not decode to readable text is dropped, never a fault. */
import { readable } from './readable.ts';
import type { Steps } from './steps.ts';
import type { Encoding } from './via.ts';
import { isWordLike } from './words.ts';

/** Six characters, the shortest token, take eight of base64 and twelve of hex. */
const BASE64_RUN = /[A-Za-z0-9+/_-]{8,}/g;
const HEX_RUN = /[0-9A-Fa-f]{12,}/g;
/** What one decoding costs beside the characters it looks at. */
const DECODE_STEPS = 16;
const PERCENT = /%[0-9A-Fa-f]{2}/;

const BASE64_VALUES = new Int8Array(128).fill(-1);
const BASE64_LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
for (let value = 0; value < 64; value++) BASE64_VALUES[BASE64_LETTERS.charCodeAt(value)] = value;
// The URL alphabet of RFC 4648.
BASE64_VALUES['-'.charCodeAt(0)] = 62;
BASE64_VALUES['_'.charCodeAt(0)] = 63;

/** A run of base64 letters from a place on; up to three letters at the end that make no byte are left. */
function base64Bytes(run: string, from: number): Uint8Array {
  const length = run.length - from;
  const bytes = new Uint8Array(Math.floor((length * 3) / 4));
  let held = 0;
  let bits = 0;
  let at = 0;
  for (let index = from; index < run.length && at < bytes.length; index++) {
    held = ((held << 6) | (BASE64_VALUES[run.charCodeAt(index)] as number)) & 0xffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at++] = (held >> bits) & 0xff;
  }
  return bytes;
}

function hexBytes(run: string, from: number): Uint8Array {
  const bytes = new Uint8Array((run.length - from) >> 1);
  for (let at = 0; at < bytes.length; at++) {
    bytes[at] = Number.parseInt(run.slice(from + 2 * at, from + 2 * at + 2), 16);
  }
  return bytes;
}

/** A text, the tokens of it that may hold an encoded value, and the work that is left for it. */
export interface Encoded {
  readonly text: string;
  readonly tokens: readonly string[];
  readonly steps: Steps;
}

interface RunCode {
  readonly run: RegExp;
  /** A text that is nothing but one run wrapped into lines or spaced out. */
  readonly spaced: RegExp;
  /** Places at which a run may start in the midst of what surrounds it; each is tried. */
  readonly alignments: number;
  readonly decode: (run: string, from: number) => Uint8Array;
}

const BASE64: RunCode = {
  run: BASE64_RUN,
  spaced: /^[A-Za-z0-9+/_=\s-]+$/,
  alignments: 4,
  decode: base64Bytes,
};
const HEX: RunCode = { run: HEX_RUN, spaced: /^[0-9A-Fa-f\s:]+$/, alignments: 2, decode: hexBytes };

function runsOf({ text, tokens }: Encoded, code: RunCode): Set<string> {
  const runs = new Set<string>();
  for (const token of tokens) for (const run of token.match(code.run) ?? []) runs.add(run);
  if (/[\s:]/.test(text) && code.spaced.test(text)) {
    for (const run of text.replace(/[\s:]+/g, '').match(code.run) ?? []) runs.add(run);
  }
  return runs;
}

function runsDecoded(encoded: Encoded, code: RunCode): string[] {
  const texts: string[] = [];
  for (const run of runsOf(encoded, code)) {
    if (!encoded.steps.take((run.length + DECODE_STEPS) * code.alignments)) break;
    if (isWordLike(run)) continue;
    for (let from = 0; from < code.alignments; from++) {
      const text = readable(code.decode(run, from));
      if (text !== undefined) texts.push(text);
    }
  }
  return texts;
}

const encoder = new TextEncoder();
const ascii = new TextDecoder('latin1');
const NOT_ASCII = /[\u0080-\uFFFF]/;

function percentDecoded(token: string): string | undefined {
  const bytes = encoder.encode(token);
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] as number;
    const value = byte === 0x25 ? hexPair(bytes[at + 1], bytes[at + 2]) : -1;
    bytes[length++] = value < 0 ? byte : value;
    if (value >= 0) at += 2;
  }
  return readable(bytes.subarray(0, length));
}

function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function hexPair(high: number | undefined, low: number | undefined): number {
  const [left, right] = [hexDigit(high), hexDigit(low)];
  return left < 0 || right < 0 ? -1 : left * 16 + right;
}

/** Form encoding writes a blank as +, which base64 means as itself: both are texts. */
function percentTexts({ tokens, steps }: Encoded): string[] {
  const texts: string[] = [];
  for (const token of tokens) {
    if (!PERCENT.test(token)) continue;
    if (!steps.take(2 * (token.length + DECODE_STEPS))) break;
    const both = token.includes('+') ? [token, token.replaceAll('+', ' ')] : [token];
    for (const text of both) {
      const plain = percentDecoded(text);
      if (plain !== undefined) texts.push(plain);
    }
  }
  return texts;
}

/** Letter by letter, pairs of surrogates kept. The tokens of the reversed text are the reversed tokens. */
function reversedText({ text, steps }: Encoded): string[] {
  if (!steps.take(text.length)) return [];
  if (NOT_ASCII.test(text)) {
    const letters = /[\uD800-\uDFFF]/.test(text) ? Array.from(text) : text.split('');
    return [letters.toReversed().join('')];
  }
  const letters = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) letters[text.length - 1 - at] = text.charCodeAt(at);
  return [ascii.decode(letters)];
}

export function decodings(encoded: Encoded, encoding: Encoding): string[] {
  switch (encoding) {
    case 'base64':
      return runsDecoded(encoded, BASE64);
    case 'hex':
      return runsDecoded(encoded, HEX);
    case 'url':
      return percentTexts(encoded);
    case 'reverse':
      return reversedText(encoded);
  }
}
