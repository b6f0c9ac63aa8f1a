/**
 * The requests that the gate reads for itself: those of an MCP client that sends what nearly all send. Whatever is rarer,
 * or wrong, is left to Node's own server, which reads it from its first byte. Pure.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { FamiliarHeads } from './familiar-heads.ts';
import type { HeadShape, RawHeaders } from './header-fields.ts';

export interface PlainRequest {
  readonly method: 'POST' | 'GET' | 'DELETE';
  /** In origin form, as it was written. */
  readonly target: string;
  /** Content-Length and Date are left out. */
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: RawHeaders;
  /** The same for requests of one connection whose heads say the same. */
  readonly shape: HeadShape;
  readonly body: Buffer;
}

export type RequestOutcome =
  | { readonly kind: 'request'; readonly request: PlainRequest; readonly end: number }
  /** Well so far; its end has not come. */
  | { readonly kind: 'partial' }
  /** For Node's server. */
  | { readonly kind: 'unusual' };

/** A longer request is for Node's server, which takes it piece by piece. */
export const MAX_PLAIN_BYTES = 64 * 1024;
const REQUEST_LINE = /^(POST|GET|DELETE) (\/[\u0021\u0022\u0024-\u007E]*) HTTP\/1\.1$/u;
const LENGTH = /^\d{1,9}$/u;
/** They change how a message is framed or what is done with its connection, or have rules of their own. */
const UNUSUAL = [
  'transfer-encoding',
  'expect',
  'upgrade',
  'trailer',
  'te',
  'set-cookie',
  'keep-alive',
  // Old clients mean Connection, and Node takes it for that.
  'proxy-connection',
];
const PARTIAL: RequestOutcome = { kind: 'partial' };
const UNUSUAL_REQUEST: RequestOutcome = { kind: 'unusual' };

/** Reads the request that begins with the first of `bytes`; `heads` are those of its connection. */
export function readPlainRequest(bytes: Buffer, heads: FamiliarHeads): RequestOutcome {
  const outcome = heads.read(bytes);
  if (outcome.kind !== 'head') return outcome.kind === 'partial' ? PARTIAL : UNUSUAL_REQUEST;
  const { head } = outcome;
  const line = lineOf(head.shape);
  if (line === undefined || head.date !== undefined) return UNUSUAL_REQUEST;
  const length = bodyLength(line.method, head.length);
  if (length === undefined || head.end + length > MAX_PLAIN_BYTES) return UNUSUAL_REQUEST;
  const end = head.end + length;
  if (bytes.length < end) return PARTIAL;
  const { shape } = head;
  const headers = shape.byName as IncomingHttpHeaders;
  const body = bytes.subarray(head.end, end);
  return { kind: 'request', request: { ...line, headers, rawHeaders: shape.raw, shape, body }, end };
}

type RequestLine = Pick<PlainRequest, 'method' | 'target'>;

/** Of shapes that have been looked at; none where the request is unusual. */
const lines = new WeakMap<HeadShape, RequestLine | 'unusual'>();

function lineOf(shape: HeadShape): RequestLine | undefined {
  const known = lines.get(shape);
  if (known !== undefined) return known === 'unusual' ? undefined : known;
  const [, method, target = ''] = REQUEST_LINE.exec(shape.first) ?? [];
  const line =
    method === undefined || !isPlain(shape)
      ? undefined
      : { method: method as PlainRequest['method'], target };
  lines.set(shape, line ?? 'unusual');
  return line;
}

/** One value a name, exactly one Host, and a connection that stays. */
function isPlain({ byName, hasRepeated }: HeadShape): boolean {
  if (hasRepeated || (byName['host'] ?? '') === '') return false;
  const connection = byName['connection'];
  if (connection !== undefined && connection.toLowerCase() !== 'keep-alive') return false;
  return UNUSUAL.every((name) => byName[name] === undefined);
}

/** Bytes of the body (RFC 9112 §6.3: none without a length); undefined where that is unusual. */
function bodyLength(method: string, given: string | undefined): number | undefined {
  if (given === undefined) return method === 'POST' ? undefined : 0;
  if (!LENGTH.test(given)) return undefined;
  const length = Number(given);
  return method === 'POST' || length === 0 ? length : undefined;
}
