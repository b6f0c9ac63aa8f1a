/**
 * One JSON-RPC message of MCP as it stood on the wire: the envelope is read with the byte scanner, bodies stay spans.
 * Everything in it is attacker-controlled.
 */
import {
  arrayElements,
  lastMember,
  objectMembers,
  plainStringAt,
  type Member,
  type Span,
} from './json-scan.ts';

/** Which way a message travels. Ids of the two directions are two number spaces. */
export type Direction = 'to_server' | 'to_client';

/** A request id: strings and numbers are apart (`1` is not `"1"`). `raw` is as it stood on the wire. */
export interface RpcId {
  readonly key: string;
  readonly raw: string;
}

export interface WireMessage {
  readonly bytes: Uint8Array;
  /** Where the message stands in the line. */
  readonly span: Span;
  readonly id: RpcId | undefined;
  readonly method: string | undefined;
  readonly params: readonly Member[] | undefined;
  readonly paramsSpan: Span | undefined;
  readonly result: Span | undefined;
  readonly error: Span | undefined;
  /** A member of the envelope or of the params stands twice: peers may read it differently. */
  readonly ambiguous: boolean;
  /** Its ids are a number space of this; empty where the connection has one client. */
  readonly scope: string;
}

/** Envelope values that are parsed are short; a longer one is no envelope value. */
const MAX_SMALL_VALUE_BYTES = 64 * 1024;
const decoder = new TextDecoder();

export function textOf(bytes: Uint8Array, span: Span): string {
  return decoder.decode(bytes.subarray(span.start, span.end));
}

/** The parsed value at `span`; undefined when it is absent, malformed or longer than `maxBytes`. */
export function valueAt(
  bytes: Uint8Array,
  span: Span | undefined,
  maxBytes = MAX_SMALL_VALUE_BYTES,
): unknown {
  if (span === undefined || span.end - span.start > maxBytes) return undefined;
  try {
    return JSON.parse(textOf(bytes, span)) as unknown;
  } catch {
    return undefined;
  }
}

export function stringAt(bytes: Uint8Array, span: Span | undefined, maxBytes?: number): string | undefined {
  const plain = span === undefined ? undefined : plainStringAt(bytes, span);
  if (plain !== undefined) return plain;
  const value = valueAt(bytes, span, maxBytes);
  return typeof value === 'string' ? value : undefined;
}

/** So many digits are a safe integer. */
const MAX_DIGITS = 15;

/** The number at `span` where it is nothing but digits without a zero in front, as nearly every id is. */
function digitsAt(bytes: Uint8Array, { start, end }: Span): number | undefined {
  if (end - start > MAX_DIGITS || (bytes[start] === 0x30 && end - start > 1)) return undefined;
  let value = 0;
  for (let at = start; at < end; at++) {
    const digit = (bytes[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return value;
}

function idAt(bytes: Uint8Array, span: Span | undefined): RpcId | undefined {
  if (span === undefined) return undefined;
  const digits = digitsAt(bytes, span);
  if (digits !== undefined) return { key: `n:${digits}`, raw: String(digits) };
  const value = valueAt(bytes, span);
  const raw = textOf(bytes, span);
  if (typeof value === 'string') return { key: `s:${value}`, raw };
  // Beyond 2^53 a parser would make two ids one; the digits tell them apart.
  if (typeof value === 'number') return { key: `n:${Number.isSafeInteger(value) ? value : raw}`, raw };
  return undefined;
}

/** Key of a request id or progress token that the message names. */
export function idKeyOf(
  { bytes, scope }: Pick<WireMessage, 'bytes' | 'scope'>,
  span: Span | undefined,
): string | undefined {
  return scoped(idAt(bytes, span), scope)?.key;
}

function scoped(id: RpcId | undefined, scope: string): RpcId | undefined {
  return id === undefined || scope === '' ? id : { key: `${scope} ${id.key}`, raw: id.raw };
}

/** So few are compared with each other for less than a set of them costs. */
const FEW = 8;

function hasTwins(members: readonly Member[] | undefined): boolean {
  if (members === undefined) return false;
  if (members.length > FEW) return new Set(members.map(({ name }) => name)).size !== members.length;
  return members.some(({ name }, at) => members.findIndex((other) => other.name === name) !== at);
}

function readOne(bytes: Uint8Array, span: Span, scope: string): WireMessage | undefined {
  const members = objectMembers(bytes, span);
  if (members === undefined) return undefined;
  const paramsSpan = lastMember(members, 'params');
  const params = paramsSpan === undefined ? undefined : objectMembers(bytes, paramsSpan);
  return {
    bytes,
    span,
    id: scoped(idAt(bytes, lastMember(members, 'id')), scope),
    method: stringAt(bytes, lastMember(members, 'method')),
    params,
    paramsSpan,
    result: lastMember(members, 'result'),
    error: lastMember(members, 'error'),
    ambiguous: hasTwins(members) || hasTwins(params),
    scope,
  };
}

export interface WireLine {
  readonly messages: readonly WireMessage[];
  /** The line is an array (protocol revision 2025-03-26). */
  readonly isBatch: boolean;
  /** Some of it is no message that we can read. */
  readonly hasUnread: boolean;
}

const NO_MESSAGES: WireLine = { messages: [], isBatch: false, hasUnread: true };

/**
 * The messages of one line (or of one serialised message), none when it is no JSON object or array of objects. Their ids
 * are a number space of `scope`.
 */
export function readLine(bytes: Uint8Array, scope = ''): WireLine {
  const whole: Span = { start: 0, end: bytes.length };
  const elements = arrayElements(bytes, whole);
  if (elements === undefined) {
    const message = readOne(bytes, whole, scope);
    return message === undefined ? NO_MESSAGES : { messages: [message], isBatch: false, hasUnread: false };
  }
  const messages = elements
    .map((span) => readOne(bytes, span, scope))
    .filter((message): message is WireMessage => message !== undefined);
  return { messages, isBatch: true, hasUnread: messages.length < elements.length };
}
