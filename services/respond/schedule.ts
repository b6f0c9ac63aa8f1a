/** When a delivery is tried again: pure. Standard Webhooks' schedule, spread by jitter, never earlier than Retry-After. */

/** Wait before try 1, 2, 3 …; after the last one a delivery is dead (standardwebhooks.com, "Deliverability and reliability"). */
export const RETRY_WAITS_MS: readonly number[] = [
  0, 5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000, 86_400_000,
];
const JITTER = 0.1;
const MAX_RETRY_AFTER_MS = 86_400_000;

/** How one try ended. */
export type AttemptOutcome =
  | { readonly kind: 'delivered'; readonly status: number }
  /** 410: the endpoint asks never to be called again. */
  | { readonly kind: 'gone'; readonly status: number }
  | {
      readonly kind: 'failed';
      readonly reason: 'http_status' | 'timeout' | 'network' | 'address_refused' | 'secret_invalid';
      /** Absent where no answer came: then it may have been delivered. */
      readonly status?: number;
      readonly retryAfterMs?: number;
    };

export type NextStep =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'dead'; readonly reason: 'endpoint_gone' | 'attempts_exhausted' }
  | { readonly kind: 'retry'; readonly waitMs: number };

/** What follows try number `attempts` (1 = the first). `random` in [0, 1) spreads the wait by ±10 %. */
export function afterAttempt(outcome: AttemptOutcome, attempts: number, random: number): NextStep {
  if (outcome.kind === 'delivered') return { kind: 'delivered' };
  if (outcome.kind === 'gone') return { kind: 'dead', reason: 'endpoint_gone' };
  const waitMs = RETRY_WAITS_MS[attempts];
  if (waitMs === undefined) return { kind: 'dead', reason: 'attempts_exhausted' };
  const spreadMs = Math.round(waitMs * (1 - JITTER + 2 * JITTER * random));
  return { kind: 'retry', waitMs: Math.max(spreadMs, outcome.retryAfterMs ?? 0) };
}

/** Retry-After (RFC 9110 §10.2.3: seconds or a date) in ms from now, at most a day; undefined when it says nothing. The receiver controls it. */
export function parseRetryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined || header.length > 64) return undefined;
  const waitMs = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  if (!Number.isFinite(waitMs) || waitMs <= 0) return undefined;
  return Math.min(waitMs, MAX_RETRY_AFTER_MS);
}
