/** The head of a server's answer and how its body is framed (RFC 9112 §4, §6.3), strictly: pure, the server chooses all. */
import { readFields, type HeaderFields } from './header-fields.ts';

export type Framing =
  | { readonly kind: 'none' }
  | { readonly kind: 'length'; readonly bytes: number }
  | { readonly kind: 'chunked' }
  /** The end of the connection is the end of the body. */
  | { readonly kind: 'until_close' };

export interface ResponseHead {
  readonly status: number;
  readonly headers: HeaderFields['byName'];
  readonly rawHeaders: string[];
  readonly framing: Framing;
  /** The connection may carry another request. */
  readonly keepsAlive: boolean;
  /** Index of the first byte of the body. */
  readonly end: number;
}

export type HeadOutcome =
  | { readonly kind: 'head'; readonly head: ResponseHead }
  /** Interim (1xx): the answer follows at `end`. */
  | { readonly kind: 'interim'; readonly end: number }
  | { readonly kind: 'partial' }
  | { readonly kind: 'malformed' };

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: .*)?$/u;
const LENGTH = /^\d{1,15}$/u;
const SWITCHING_PROTOCOLS = 101;
const NO_BODY = [204, 304];
const MALFORMED: HeadOutcome = { kind: 'malformed' };
const NONE: Framing = { kind: 'none' };
const CHUNKED: Framing = { kind: 'chunked' };
const UNTIL_CLOSE: Framing = { kind: 'until_close' };

/** Reads the head that begins with the first of `bytes`: of an answer to a GET, POST, DELETE or OPTIONS. */
export function readResponseHead(bytes: Buffer): HeadOutcome {
  const outcome = readFields(bytes);
  if (outcome.kind !== 'fields') return outcome;
  const { fields } = outcome;
  const [, minor, digits] = STATUS_LINE.exec(fields.first) ?? [];
  if (digits === undefined) return MALFORMED;
  const status = Number(digits);
  // Nobody asked for another protocol: what follows would be no HTTP.
  if (status === SWITCHING_PROTOCOLS) return MALFORMED;
  if (status < 200) return { kind: 'interim', end: fields.end };
  const isCurrent = minor === '1';
  const framing = NO_BODY.includes(status) ? NONE : framingOf(fields, isCurrent);
  if (framing === undefined) return MALFORMED;
  const keepsAlive = framing.kind !== 'until_close' && staysOpen(fields, isCurrent);
  const head = {
    status,
    headers: fields.byName,
    rawHeaders: fields.raw,
    framing,
    keepsAlive,
    end: fields.end,
  };
  return { kind: 'head', head };
}

/** undefined where two readers could come to two ends. */
function framingOf({ byName }: HeaderFields, isCurrent: boolean): Framing | undefined {
  const encoding = byName['transfer-encoding'];
  const length = byName['content-length'];
  if (encoding !== undefined) {
    const isChunked = isCurrent && length === undefined && encoding.toLowerCase() === 'chunked';
    return isChunked ? CHUNKED : undefined;
  }
  if (length === undefined) return UNTIL_CLOSE;
  if (!LENGTH.test(length)) return undefined;
  return length === '0' ? NONE : { kind: 'length', bytes: Number(length) };
}

function staysOpen({ byName }: HeaderFields, isCurrent: boolean): boolean {
  const options = (byName['connection'] ?? '').toLowerCase().split(',');
  const says = (option: string): boolean => options.some((one) => one.trim() === option);
  return isCurrent ? !says('close') : says('keep-alive');
}
