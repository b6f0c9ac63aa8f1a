/**
 * The requests that the gate reads for itself: those of an MCP client that sends what nearly all send. Whatever is rarer,
 * or wrong, is left to Node's own server, which reads it from its first byte. Pure.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { readFields, type HeaderFields } from './header-fields.ts';

export interface PlainRequest {
  readonly method: 'POST' | 'GET' | 'DELETE';
  /** In origin form, as it was written. */
  readonly target: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: string[];
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
const UNUSUAL = ['transfer-encoding', 'expect', 'upgrade', 'trailer', 'te', 'set-cookie', 'keep-alive'];
const PARTIAL: RequestOutcome = { kind: 'partial' };
const UNUSUAL_REQUEST: RequestOutcome = { kind: 'unusual' };

/** Reads the request that begins with the first of `bytes`. */
export function readPlainRequest(bytes: Buffer): RequestOutcome {
  const outcome = readFields(bytes);
  if (outcome.kind !== 'fields') return outcome.kind === 'partial' ? PARTIAL : UNUSUAL_REQUEST;
  const { fields } = outcome;
  const [, method, target = ''] = REQUEST_LINE.exec(fields.first) ?? [];
  if (method === undefined || !isPlain(fields)) return UNUSUAL_REQUEST;
  const length = bodyLength(method, fields);
  if (length === undefined || fields.end + length > MAX_PLAIN_BYTES) return UNUSUAL_REQUEST;
  const end = fields.end + length;
  if (bytes.length < end) return PARTIAL;
  const request = {
    method: method as PlainRequest['method'],
    target,
    headers: fields.byName as IncomingHttpHeaders,
    rawHeaders: fields.raw,
    body: bytes.subarray(fields.end, end),
  };
  return { kind: 'request', request, end };
}

/** One value a name, exactly one Host, and a connection that stays. */
function isPlain({ byName, hasRepeated }: HeaderFields): boolean {
  if (hasRepeated || (byName['host'] ?? '') === '') return false;
  const connection = byName['connection'];
  if (connection !== undefined && connection.toLowerCase() !== 'keep-alive') return false;
  return UNUSUAL.every((name) => byName[name] === undefined);
}

/** Bytes of the body (RFC 9112 §6.3: none without a length); undefined where that is unusual. */
function bodyLength(method: string, { byName }: HeaderFields): number | undefined {
  const given = byName['content-length'];
  if (given === undefined) return method === 'POST' ? undefined : 0;
  if (!LENGTH.test(given)) return undefined;
  const length = Number(given);
  return method === 'POST' || length === 0 ? length : undefined;
}
