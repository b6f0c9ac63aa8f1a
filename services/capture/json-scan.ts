/**
 * A byte scanner for JSON: finds where the members of an object stand, without parsing or copying them, so that hashes
 * are taken over the exact bytes of the wire and a 10 MB result is never turned into objects. It is no validator: what
 * it reads is attacker-controlled and may be malformed, in which case it answers undefined or a span that a parser
 * refuses later. It never recurses.
 */

/** [start, end) within the scanned bytes. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

export interface Member extends Span {
  /** Decoded name. */
  readonly name: string;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const COMMA = 0x2c;
const COLON = 0x3a;

const decoder = new TextDecoder();

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === 0x0a;
}

function skipSpace(bytes: Uint8Array, from: number, end: number): number {
  let at = from;
  while (at < end && isSpace(bytes[at])) at++;
  return at;
}

/** Index after the closing quote of the string that opens at `from`; -1 when it does not close. */
function skipString(bytes: Uint8Array, from: number, end: number): number {
  let at = bytes.indexOf(QUOTE, from + 1);
  while (at !== -1 && at < end) {
    let slashes = 0;
    while (bytes[at - 1 - slashes] === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return at + 1;
    at = bytes.indexOf(QUOTE, at + 1);
  }
  return -1;
}

function isEndOfScalar(byte: number | undefined): boolean {
  return byte === COMMA || byte === CLOSE_OBJECT || byte === CLOSE_ARRAY || isSpace(byte);
}

function skipContainer(bytes: Uint8Array, from: number, end: number): number {
  let depth = 0;
  let at = from;
  while (at < end) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      at = skipString(bytes, at, end);
      if (at === -1) return -1;
      continue;
    }
    at++;
    if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) depth++;
    else if ((byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) && --depth === 0) return at;
  }
  return -1;
}

/** Index after the value that starts at `from`; -1 when it does not end. */
function skipValue(bytes: Uint8Array, from: number, end: number): number {
  const first = bytes[from];
  if (first === QUOTE) return skipString(bytes, from, end);
  if (first === OPEN_OBJECT || first === OPEN_ARRAY) return skipContainer(bytes, from, end);
  let at = from;
  while (at < end && !isEndOfScalar(bytes[at])) at++;
  return at === from ? -1 : at;
}

/** Longer ones are not kept. */
const MAX_KEPT_NAME_BYTES = 48;
const KEPT_NAMES = 512;
const kept: { readonly bytes: Uint8Array; readonly text: string }[] = [];

/** Place in `kept` of printable ASCII without an escape, which stands for itself; -1 for anything else. */
function keptPlace(bytes: Uint8Array, start: number, end: number): number {
  let hash = end - start;
  if (hash > MAX_KEPT_NAME_BYTES) return -1;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x20 || byte > 0x7e || byte === BACKSLASH) return -1;
    hash = (Math.imul(hash, 31) + byte) | 0;
  }
  return hash & (KEPT_NAMES - 1);
}

/**
 * The text of a short string between its quotes, where it stands for itself. The same few names and methods come with
 * every message: they are found by their bytes, since to decode one costs as much as to hash it. Bounded: a peer that
 * sends ever new ones only puts one in the place of another.
 */
function plainText(bytes: Uint8Array, start: number, end: number): string | undefined {
  const place = keptPlace(bytes, start, end);
  if (place === -1) return undefined;
  const known = kept[place];
  if (known !== undefined && isSame(known.bytes, bytes, start, end)) return known.text;
  const own = bytes.slice(start, end);
  const text = decoder.decode(own);
  kept[place] = { bytes: own, text };
  return text;
}

function isSame(known: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (known.length !== end - start) return false;
  for (let at = 0; at < known.length; at++) if (known[at] !== bytes[start + at]) return false;
  return true;
}

/** The string at `span` where it is short and stands for itself; undefined for any other value, which is to be parsed. */
export function plainStringAt(bytes: Uint8Array, { start, end }: Span): string | undefined {
  if (end - start < 2 || bytes[start] !== QUOTE || bytes[end - 1] !== QUOTE) return undefined;
  return plainText(bytes, start + 1, end - 1);
}

/** Decoded name of the member whose quoted name is [start, end); undefined when it is no JSON string. */
function memberName(bytes: Uint8Array, start: number, end: number): string | undefined {
  const plain = plainText(bytes, start + 1, end - 1);
  if (plain !== undefined) return plain;
  const quoted = bytes.subarray(start, end);
  if (!quoted.includes(BACKSLASH)) return decoder.decode(quoted.subarray(1, -1));
  try {
    return String(JSON.parse(decoder.decode(quoted)));
  } catch {
    return undefined;
  }
}

function readMember(bytes: Uint8Array, from: number, end: number): Member | undefined {
  if (bytes[from] !== QUOTE) return undefined;
  const nameEnd = skipString(bytes, from, end);
  if (nameEnd === -1) return undefined;
  const colon = skipSpace(bytes, nameEnd, end);
  if (bytes[colon] !== COLON) return undefined;
  const start = skipSpace(bytes, colon + 1, end);
  const valueEnd = skipValue(bytes, start, end);
  const name = valueEnd === -1 ? undefined : memberName(bytes, from, nameEnd);
  return name === undefined ? undefined : { name, start, end: valueEnd };
}

/** Members of the object at `span`, in order, twins included; undefined when there is no whole object. */
export function objectMembers(bytes: Uint8Array, span: Span): readonly Member[] | undefined {
  let at = skipSpace(bytes, span.start, span.end);
  if (bytes[at] !== OPEN_OBJECT) return undefined;
  const members: Member[] = [];
  at = skipSpace(bytes, at + 1, span.end);
  if (bytes[at] === CLOSE_OBJECT) return members;
  for (;;) {
    const member = readMember(bytes, at, span.end);
    if (member === undefined) return undefined;
    members.push(member);
    at = skipSpace(bytes, member.end, span.end);
    if (bytes[at] === CLOSE_OBJECT) return members;
    if (bytes[at] !== COMMA) return undefined;
    at = skipSpace(bytes, at + 1, span.end);
  }
}

/** Elements of the array at `span`, in order; undefined when there is no whole array. */
export function arrayElements(bytes: Uint8Array, span: Span): readonly Span[] | undefined {
  let at = skipSpace(bytes, span.start, span.end);
  if (bytes[at] !== OPEN_ARRAY) return undefined;
  const elements: Span[] = [];
  at = skipSpace(bytes, at + 1, span.end);
  if (bytes[at] === CLOSE_ARRAY) return elements;
  for (;;) {
    const end = skipValue(bytes, at, span.end);
    if (end === -1) return undefined;
    elements.push({ start: at, end });
    at = skipSpace(bytes, end, span.end);
    if (bytes[at] === CLOSE_ARRAY) return elements;
    if (bytes[at] !== COMMA) return undefined;
    at = skipSpace(bytes, at + 1, span.end);
  }
}

/** The member that a parser would keep: the last of its name (ECMA-262, JSON.parse). */
export function lastMember(members: readonly Member[] | undefined, name: string): Member | undefined {
  return members?.findLast((member) => member.name === name);
}

interface Level {
  /** Names seen, for an object; undefined for an array. */
  readonly names: Set<string> | undefined;
  expectsName: boolean;
}

/**
 * Why the value at `span` cannot stand inside an event as it is: deeper than `maxDepth`, or an object that names a key
 * twice (readers would disagree on its meaning). undefined when it can. Linear in the bytes.
 */
export function inlineFault(
  bytes: Uint8Array,
  span: Span,
  maxDepth: number,
): 'too_deep' | 'duplicate_key' | undefined {
  const levels: Level[] = [];
  let at = span.start;
  while (at < span.end) {
    if (bytes[at] !== QUOTE) {
      if (!stepLevels(levels, bytes[at] ?? 0, maxDepth)) return 'too_deep';
      at++;
      continue;
    }
    const end = skipString(bytes, at, span.end);
    if (end === -1) return undefined;
    const level = levels.at(-1);
    if (level?.expectsName === true && !isNewName(level, memberName(bytes, at, end))) return 'duplicate_key';
    at = end;
  }
  return undefined;
}

/** Follows one structural byte; false when it opens a level too many. */
function stepLevels(levels: Level[], byte: number, maxDepth: number): boolean {
  switch (byte) {
    case OPEN_OBJECT:
    case OPEN_ARRAY:
      levels.push(newLevel(byte));
      return levels.length <= maxDepth;
    case CLOSE_OBJECT:
    case CLOSE_ARRAY:
      levels.pop();
      return true;
    case COMMA: {
      const level = levels.at(-1);
      if (level?.names !== undefined) level.expectsName = true;
      return true;
    }
    default:
      return true;
  }
}

function newLevel(open: number): Level {
  const isObject = open === OPEN_OBJECT;
  return { names: isObject ? new Set() : undefined, expectsName: isObject };
}

function isNewName(level: Level, name: string | undefined): boolean {
  level.expectsName = false;
  if (name === undefined || level.names === undefined) return true;
  if (level.names.has(name)) return false;
  level.names.add(name);
  return true;
}
