/**
 * The head of an HTTP/1.1 message from its bytes (RFC 9112 §2-5), strictly: a sender that folds lines, ends them with a
 * bare LF, puts blanks before the colon or control characters into a value is not understood here, since the next one may
 * understand something else. Pure; who sends chooses every byte.
 */

/** Names and values in turn, in their order, as they were written. */
export type RawHeaders = readonly string[];

/** A head without what differs from message to message. Heads that differ in nothing else may share one. */
export interface HeadShape {
  /** The line before the fields. */
  readonly first: string;
  readonly raw: RawHeaders;
  /** By lower-case name, several of one name joined by a comma (RFC 9110 §5.3). No prototype: a name may be `__proto__`. */
  readonly byName: Readonly<Record<string, string>>;
  /** A name stands more than once; Content-Length and Date count. */
  readonly hasRepeated: boolean;
}

export interface Head {
  readonly shape: HeadShape;
  /** Values of Content-Length and Date, which stand here alone. */
  readonly length: string | undefined;
  readonly date: string | undefined;
  /** Index of the first byte of the body. */
  readonly end: number;
}

export type HeadOutcome =
  | { readonly kind: 'head'; readonly head: Head }
  /** Its end has not come. */
  | { readonly kind: 'partial' }
  | { readonly kind: 'malformed' };

/** As Node's own parser holds a head to. */
export const MAX_HEAD_BYTES = 16 * 1024;
const MAX_FIELDS = 200;
const END = Buffer.from('\r\n\r\n');
const OUTSIDE = /[^\t\r\n\u0020-\u007E\u0080-\u00FF]/u;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/u;
const PARTIAL: HeadOutcome = { kind: 'partial' };
const MALFORMED: HeadOutcome = { kind: 'malformed' };

/** Reads a head that begins with the first of `bytes`. */
export function readHead(bytes: Buffer): HeadOutcome {
  const at = bytes.indexOf(END);
  if (at === -1) return bytes.length > MAX_HEAD_BYTES ? MALFORMED : PARTIAL;
  if (at > MAX_HEAD_BYTES) return MALFORMED;
  const text = bytes.toString('latin1', 0, at);
  if (OUTSIDE.test(text)) return MALFORMED;
  const [first = '', ...lines] = text.split('\r\n');
  if (lines.length > MAX_FIELDS || hasLineEnd(first)) return MALFORMED;
  return headOf(first, lines, at + END.length);
}

function headOf(first: string, lines: readonly string[], end: number): HeadOutcome {
  const raw: string[] = [];
  const byName = Object.create(null) as Record<string, string>;
  let hasRepeated = false;
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon));
    if (!TOKEN.test(name) || hasLineEnd(line)) return MALFORMED;
    const value = withoutBlanks(line, colon + 1);
    const known = name.toLowerCase();
    const before = byName[known];
    hasRepeated ||= before !== undefined;
    byName[known] = before === undefined ? value : `${before}, ${value}`;
    if (!isVariable(known)) raw.push(name, value);
  }
  const { 'content-length': length, date } = byName;
  delete byName['content-length'];
  delete byName['date'];
  return { kind: 'head', head: { shape: { first, raw, byName, hasRepeated }, length, date, end } };
}

const isVariable = (name: string): boolean => name === 'content-length' || name === 'date';

/** A CR or LF that ends no line: what follows it is a line to some and not to others. */
const hasLineEnd = (line: string): boolean => line.includes('\n') || line.includes('\r');

/** OWS is blanks and tabs only; `trim` would take more. */
function withoutBlanks(line: string, from: number): string {
  let start = from;
  let end = line.length;
  while (start < end && isBlank(line.charCodeAt(start))) start++;
  while (end > start && isBlank(line.charCodeAt(end - 1))) end--;
  return line.slice(start, end);
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;

/** The lines of a head, each with its end. What stands in them has no line ends: nobody looks for them here. */
export function headerLines(headers: RawHeaders): string {
  let text = '';
  for (let at = 0; at + 1 < headers.length; at += 2)
    text += `${headers[at] ?? ''}: ${headers[at + 1] ?? ''}\r\n`;
  return text;
}
