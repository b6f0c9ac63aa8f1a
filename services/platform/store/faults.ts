/** ClickHouse's exception codes → our codes. Foreign errors are converted here once; text decides nothing. */
import { TriplineError, type ErrorCode } from '../../../schemas/errors.ts';

const TIMEOUT_EXCEEDED = 159;
const QUERY_WAS_CANCELLED = 394;
/** Outcome unknown or the server cannot work now: TOO_MANY_SIMULTANEOUS_QUERIES, SOCKET_TIMEOUT, NETWORK_ERROR, MEMORY_LIMIT_EXCEEDED, TOO_MANY_PARTS, NOT_ENOUGH_SPACE. */
const UNAVAILABLE: ReadonlySet<number> = new Set([202, 209, 210, 241, 243, 252]);

/** The error for an exception with this ClickHouse code (0 = none known). */
export function storeFault(clickhouseCode: number, message: string, cause?: unknown): TriplineError {
  const code = codeOf(clickhouseCode);
  return new TriplineError(code, `ClickHouse ${clickhouseCode}: ${message.slice(0, 500)}`, { cause });
}

function codeOf(clickhouseCode: number): ErrorCode {
  if (clickhouseCode === TIMEOUT_EXCEEDED || clickhouseCode === QUERY_WAS_CANCELLED) return 'store_timeout';
  return UNAVAILABLE.has(clickhouseCode) ? 'store_unavailable' : 'store_query_failed';
}
