/**
 * Cutting a request body into event lines without re-serialising: the bytes of each element stay as they were sent,
 * but for raw line breaks inside an element, which are white space in valid JSON and become blanks (a line of NDJSON
 * holds none). The sender controls every byte; one pass, no recursion.
 */
export type BodyForm = 'ndjson' | 'json';

const LF = 0x0a;
const CR = 0x0d;
const BLANK = 0x20;
const TAB = 0x09;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

const isSpace = (byte: number): boolean => byte === BLANK || byte === LF || byte === CR || byte === TAB;

/** The elements of a body, trimmed, in order. Blank lines are no elements. A broken array gives its rest as one element, which then fails to parse. */
export function cutBody(body: Uint8Array, form: BodyForm): Uint8Array[] {
  if (form === 'ndjson') return cutLines(body);
  const start = firstNonSpace(body, 0);
  if (start === body.length) return [];
  const elements = body[start] === OPEN_BRACKET ? cutArray(body, start) : [body.subarray(start)];
  return elements
    .map(trim)
    .filter((element) => element.length > 0)
    .map(withoutBreaks);
}

function cutLines(body: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  for (let from = 0; from < body.length;) {
    let end = body.indexOf(LF, from);
    if (end < 0) end = body.length;
    const line = trimmed(body, from, end);
    if (line.length > 0) lines.push(withoutBreaks(line));
    from = end + 1;
  }
  return lines;
}

function cutArray(body: Uint8Array, open: number): Uint8Array[] {
  const elements: Uint8Array[] = [];
  let depth = 0;
  let from = open + 1;
  for (let at = open; at < body.length; at += 1) {
    const byte = body[at] ?? 0;
    if (byte === QUOTE) at = endOfString(body, at);
    else depth += depthChange(byte);
    const closes = depth === 0;
    if (!closes && !(byte === COMMA && depth === 1)) continue;
    elements.push(body.subarray(from, at));
    from = at + 1;
    if (closes) return withRest(elements, body.subarray(from));
  }
  return [...elements, body.subarray(from)];
}

const depthChange = (byte: number): number => {
  if (byte === OPEN_BRACKET || byte === OPEN_BRACE) return 1;
  return byte === CLOSE_BRACKET || byte === CLOSE_BRACE ? -1 : 0;
};

/** Bytes behind the closing bracket are no event; they are kept as an element, to be refused by name and not lost. */
function withRest(elements: Uint8Array[], rest: Uint8Array): Uint8Array[] {
  return firstNonSpace(rest, 0) === rest.length ? elements : [...elements, rest];
}

function endOfString(body: Uint8Array, open: number): number {
  for (let at = open + 1; at < body.length; at += 1) {
    if (body[at] === BACKSLASH) at += 1;
    else if (body[at] === QUOTE) return at;
  }
  return body.length;
}

function firstNonSpace(bytes: Uint8Array, from: number): number {
  let at = from;
  while (at < bytes.length && isSpace(bytes[at] ?? 0)) at += 1;
  return at;
}

const trim = (bytes: Uint8Array): Uint8Array => trimmed(bytes, 0, bytes.length);

/** [from, to) of the bytes without white space at either end. */
function trimmed(bytes: Uint8Array, from: number, to: number): Uint8Array {
  let start = from;
  let end = to;
  while (start < end && isSpace(bytes[start] ?? 0)) start += 1;
  while (end > start && isSpace(bytes[end - 1] ?? 0)) end -= 1;
  return bytes.subarray(start, end);
}

function withoutBreaks(bytes: Uint8Array): Uint8Array {
  if (!bytes.includes(LF) && !bytes.includes(CR)) return bytes;
  return bytes.map((byte) => (byte === LF || byte === CR ? BLANK : byte));
}
