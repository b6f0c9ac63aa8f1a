/** What every command gets, and how it reaches a service. */
import { ApiClient, runningUrl, tokenOf } from './client.ts';
import type { CommandIo, Output } from './output.ts';
import { TriplineError } from '../../schemas/errors.ts';

export interface CommandContext {
  readonly io: CommandIo;
  readonly output: Output;
}

const DEFAULT_URL = 'http://127.0.0.1:8747';

/** A client of the running service (TRIPLINE_URL, run.json of the data directory, else the default address). */
export function connect({ io }: CommandContext): ApiClient {
  return new ApiClient({ url: runningUrl(io.env) ?? DEFAULT_URL, token: tokenOf(io.env) }, io.signal);
}

/**
 * Runs `work` with a client: of the running service, or, where none runs here and a data directory exists, of a
 * read-only one that is opened for the time of the command (steps sign and query, no consumer).
 */
export async function withReader<T>(
  context: CommandContext,
  work: (client: ApiClient) => Promise<T>,
): Promise<T> {
  if (runningUrl(context.io.env) !== undefined) return await work(connect(context));
  const { openForReading } = await import('./offline.ts');
  const opened = await openForReading(context.io.env);
  if (opened === undefined) return await work(connect(context));
  try {
    return await work(new ApiClient(opened.endpoint, context.io.signal));
  } finally {
    await opened.close();
  }
}

/** `30s`, `15m`, `1h`, `7d` or plain milliseconds → ms. Throws usage naming `option`. */
export function parseDurationMs(text: string, option: string): number {
  const match = /^(\d{1,12})(ms|s|m|h|d)?$/.exec(text);
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match?.[2] ?? 'ms'];
  if (match === null || unit === undefined)
    throw new TriplineError('usage', `${option}: ${text} is no duration (write 30s, 15m, 1h, 7d)`, {
      path: option,
    });
  return Number(match[1]) * unit;
}

/** A whole number in [min, max]. Throws usage naming `option`. */
export function parseCount(text: string, option: string, [min, max]: readonly [number, number]): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max)
    throw new TriplineError('usage', `${option}: ${text} is no whole number from ${min} to ${max}`, {
      path: option,
    });
  return value;
}
