/**
 * Reads DER (X.690), as far as time stamps need it: definite lengths in their shortest form, whole inputs, bounded depth.
 * Whoever hands bytes over controls all of them; what is not in the one form is undefined, never guessed.
 */

/** Class and constructed bit included, as the first octet has them. */
export const DER_TAGS = {
  boolean: 0x01,
  integer: 0x02,
  octetString: 0x04,
  oid: 0x06,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  context0: 0xa0,
} as const;

export interface DerNode {
  readonly tag: number;
  readonly content: Uint8Array;
  /** Tag, length and content. */
  readonly whole: Uint8Array;
}

const MAX_LENGTH_OCTETS = 4;
const CONSTRUCTED = 0x20;
const HIGH_TAG = 0x1f;

interface Read {
  readonly node: DerNode;
  readonly end: number;
}

function readNode(bytes: Uint8Array, at: number): Read | undefined {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined || (tag & HIGH_TAG) === HIGH_TAG) return undefined;
  const octets = first < 0x80 ? 0 : first & 0x7f;
  const length = first < 0x80 ? first : longLength(bytes.subarray(at + 2, at + 2 + octets), octets);
  const from = at + 2 + octets;
  if (length === undefined || from + length > bytes.length) return undefined;
  const end = from + length;
  return { node: { tag, content: bytes.subarray(from, end), whole: bytes.subarray(at, end) }, end };
}

/** Undefined for what is not whole, not definite, or could be written in fewer octets. */
function longLength(bytes: Uint8Array, octets: number): number | undefined {
  if (octets === 0 || octets > MAX_LENGTH_OCTETS || bytes.length !== octets) return undefined;
  let length = 0;
  for (const octet of bytes) length = length * 256 + octet;
  return length >= 0x80 && bytes[0] !== 0 ? length : undefined;
}

/** One value that takes all of `bytes`. */
export function readDer(bytes: Uint8Array): DerNode | undefined {
  const read = readNode(bytes, 0);
  return read?.end === bytes.length ? read.node : undefined;
}

/** Values inside a constructed one. */
export function childrenOf(node: DerNode | undefined): readonly DerNode[] | undefined {
  if (node === undefined || (node.tag & CONSTRUCTED) === 0) return undefined;
  const children: DerNode[] = [];
  for (let at = 0; at < node.content.length;) {
    const read = readNode(node.content, at);
    if (read === undefined) return undefined;
    children.push(read.node);
    at = read.end;
  }
  return children;
}

/** Children of a value that must have this tag. */
export function childrenIn(node: DerNode | undefined, tag: number): readonly DerNode[] | undefined {
  return node?.tag === tag ? childrenOf(node) : undefined;
}

/** Dotted text of an object identifier. */
export function oidOf(node: DerNode | undefined): string | undefined {
  if (node?.tag !== DER_TAGS.oid || node.content.length === 0) return undefined;
  const numbers: number[] = [];
  let value = 0;
  let isOpen = false;
  for (const octet of node.content) {
    if (value > Number.MAX_SAFE_INTEGER / 256) return undefined;
    value = value * 128 + (octet & 0x7f);
    isOpen = (octet & 0x80) !== 0;
    if (isOpen) continue;
    numbers.push(value);
    value = 0;
  }
  const [first = 0, ...rest] = numbers;
  if (isOpen) return undefined;
  const top = Math.min(Math.floor(first / 40), 2);
  return [top, first - top * 40, ...rest].join('.');
}

/** A GeneralizedTime as RFC 3161 writes it (UTC, `Z`, fraction without trailing zeros), Unix ms. */
export function timeOf(node: DerNode | undefined): number | undefined {
  if (node?.tag !== DER_TAGS.generalizedTime) return undefined;
  const text = String.fromCharCode(...node.content.subarray(0, 32));
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d{1,6}))?Z$/.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction = ''] = match;
  const timeMs = Date.parse(
    `${year}-${month}-${day}T${hour}:${minute}:${second}.${fraction.padEnd(3, '0').slice(0, 3)}Z`,
  );
  return Number.isNaN(timeMs) ? undefined : timeMs;
}

/** Tag, length and the parts put together. */
export function writeDer(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  const head = length < 0x80 ? [tag, length] : [tag, 0x80 | octets.length, ...octets];
  const bytes = new Uint8Array(head.length + length);
  bytes.set(head);
  let at = head.length;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
