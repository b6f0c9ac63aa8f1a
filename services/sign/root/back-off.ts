/** How long a part of the root log waits before it asks somebody else again. */

const FIRST_RETRY_MS = 5_000;
const MAX_RETRY_MS = 300_000;

/**
 * `everyMs` while all is well. After a fault at first soon, then twice as long each time: what is asked seldom (a time
 * stamp) is not given up for its whole interval, what is asked often (a copy) does not hammer a place that is down.
 */
export function waitMs(everyMs: number, failures: number): number {
  if (failures === 0) return everyMs;
  const first = Math.min(everyMs, FIRST_RETRY_MS);
  return Math.min(first * 2 ** Math.min(failures - 1, 16), Math.max(everyMs, MAX_RETRY_MS));
}
