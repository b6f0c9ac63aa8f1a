/** The head of a server's answer and how its body is framed (RFC 9112 §4, §6.3), strictly: pure, the server chooses all. */
import type { FamiliarHeads } from './familiar-heads.ts';
import type { HeadShape, RawHeaders } from './header-fields.ts';

export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /** The end of the connection is the end of the body. */
  | { readonly kind: 'until_close' };

export interface ResponseHead {
  readonly status: number;
  /** Content-Length and Date are left out. */
  readonly headers: HeadShape['byName'];
  /** The same array for answers of one server whose heads say the same. */
  readonly rawHeaders: RawHeaders;
  readonly date: string | undefined;
  readonly framing: Framing;
  /** The connection may carry another request. */
  readonly keepsAlive: boolean;
  /** Index of the first byte of the body. */
  readonly end: number;
}

export type ResponseHeadOutcome =
  | { readonly kind: 'head'; readonly head: ResponseHead }
  /** Interim (1xx): the answer follows at `end`. */
  | { readonly kind: 'interim'; readonly end: number }
  | { readonly kind: 'partial' }
  | { readonly kind: 'malformed' };

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: .*)?$/u;
const LENGTH = /^\d{1,15}$/u;
const SWITCHING_PROTOCOLS = 101;
const NO_BODY: ReadonlySet<number> = new Set([204, 304]);
const MALFORMED: ResponseHeadOutcome = { kind: 'malformed' };
const NONE: Framing = { kind: 'none' };
const CHUNKED: Framing = { kind: 'chunked' };
const UNTIL_CLOSE: Framing = { kind: 'until_close' };

/** Reads the head that begins with the first of `bytes`: of an answer to a GET, POST, DELETE or OPTIONS. */
export function readResponseHead(bytes: Buffer, heads: FamiliarHeads): ResponseHeadOutcome {
  const outcome = heads.read(bytes);
  if (outcome.kind !== 'head') return outcome;
  const { shape, length, date, end } = outcome.head;
  const line = statusOf(shape);
  // Nobody asked for another protocol: what follows would be no HTTP.
  if (line === undefined || line.status === SWITCHING_PROTOCOLS) return MALFORMED;
  const { status } = line;
  if (status < 200) return { kind: 'interim', end };
  const said = framingOf(line, shape, length);
  if (said === undefined) return MALFORMED;
  const framing = NO_BODY.has(status) ? NONE : said;
  // A server that announces a body where there is none may send it, and it would be read as the next answer.
  const isDoubtful = framing !== said && said.kind !== 'until_close';
  const keepsAlive = framing.kind !== 'until_close' && line.staysOpen && !isDoubtful;
  const { byName: headers, raw: rawHeaders } = shape;
  return { kind: 'head', head: { status, headers, rawHeaders, date, framing, keepsAlive, end } };
}

interface StatusLine {
  readonly status: number;
  /** HTTP/1.1. */
  readonly isCurrent: boolean;
  readonly staysOpen: boolean;
}

/** Of shapes that have been looked at. */
const known = new WeakMap<HeadShape, StatusLine>();

function statusOf(shape: HeadShape): StatusLine | undefined {
  const before = known.get(shape);
  if (before !== undefined) return before;
  const [, minor, digits] = STATUS_LINE.exec(shape.first) ?? [];
  if (digits === undefined) return undefined;
  const isCurrent = minor === '1';
  const line = { status: Number(digits), isCurrent, staysOpen: staysOpen(shape, isCurrent) };
  known.set(shape, line);
  return line;
}

/** undefined where two readers could come to two ends. */
function framingOf(
  { isCurrent }: StatusLine,
  { byName }: HeadShape,
  length: string | undefined,
): Framing | undefined {
  const encoding = byName['transfer-encoding'];
  if (encoding !== undefined) {
    const isChunked = isCurrent && length === undefined && encoding.toLowerCase() === 'chunked';
    return isChunked ? CHUNKED : undefined;
  }
  if (length === undefined) return UNTIL_CLOSE;
  if (!LENGTH.test(length)) return undefined;
  const bytes = Number(length);
  return bytes === 0 ? NONE : { kind: 'length', bytes };
}

function staysOpen({ byName }: HeadShape, isCurrent: boolean): boolean {
  const options = (byName['connection'] ?? '').toLowerCase().split(',');
  const says = (option: string): boolean => options.some((one) => one.trim() === option);
  return isCurrent ? !says('close') : says('keep-alive');
}
