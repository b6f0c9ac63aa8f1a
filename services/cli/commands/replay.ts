/** replay: sends a file of events or recorded traces to the service, in bounded batches, with progress on stderr. */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { createGunzip } from 'node:zlib';
import { z } from 'zod';
import { TriplineError } from '../../../schemas/errors.ts';
import type { ApiClient } from '../client.ts';
import { connect, type CommandContext } from '../command.ts';
import { traceCallLines, zTraceCall } from '../trace-v1.ts';

export interface ReplayOptions {
  readonly format: 'event' | 'trace-v1';
  /** Events a second at most; undefined = as fast as the service takes them. */
  readonly ratePerSecond: number | undefined;
}

const MAX_BATCH_LINES = 1024;
const MAX_BATCH_BYTES = 2 * 1024 * 1024;
const PROGRESS_EVERY_MS = 1000;
const RETRY_MS = 1000;

const zAccepted = z.object({
  accepted: z.number(),
  duplicates: z.number(),
  rejected: z.array(z.looseObject({ index: z.number(), code: z.string(), message: z.string().optional() })),
});

interface Totals {
  sent: number;
  accepted: number;
  duplicates: number;
  rejected: number;
}

/** Sends the file, until it ends or the command is interrupted, and answers the totals (also printed last). Throws when the file cannot be read or a line of trace-v1 has the wrong form. */
export async function replay(context: CommandContext, file: string, options: ReplayOptions): Promise<Totals> {
  const client = connect(context);
  const totals: Totals = { sent: 0, accepted: 0, duplicates: 0, rejected: 0 };
  const { signal } = context.io;
  const run = randomUUID();
  const started = performance.now();
  let progressAt = started + PROGRESS_EVERY_MS;
  for await (const batch of batches(eventLines(file, options.format))) {
    await pace(totals.sent, started, { ...options, signal });
    if (signal.aborted) break;
    try {
      await sendBatch(context, client, { batch, totals, idempotencyKey: `${run}-${totals.sent}` });
    } catch (error) {
      if (signal.aborted) break;
      throw error;
    }
    if (performance.now() >= progressAt) {
      context.output.note(`sent ${totals.sent}, accepted ${totals.accepted}, rejected ${totals.rejected}`);
      progressAt = performance.now() + PROGRESS_EVERY_MS;
    }
  }
  context.output.item(
    totals,
    () =>
      `sent ${totals.sent}, accepted ${totals.accepted}, duplicates ${totals.duplicates}, rejected ${totals.rejected}`,
  );
  return totals;
}

async function sendBatch(
  context: CommandContext,
  client: ApiClient,
  { batch, totals, idempotencyKey }: { batch: readonly string[]; totals: Totals; idempotencyKey: string },
): Promise<void> {
  const headers = { 'idempotency-key': idempotencyKey };
  const answer = zAccepted.parse(await withRetry(() => client.postLines(batch, headers), context.io.signal));
  for (const fault of answer.rejected.slice(0, 3))
    context.output.note(`line ${totals.sent + fault.index + 1}: ${fault.code}: ${fault.message ?? ''}`);
  totals.sent += batch.length;
  totals.accepted += answer.accepted;
  totals.duplicates += answer.duplicates;
  totals.rejected += answer.rejected.length;
}

/** Retryable refusals (back-pressure) are waited out for a minute; under its key a request that is sent again adds nothing. */
async function withRetry<T>(attempt: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await attempt();
    } catch (error) {
      const again = error instanceof TriplineError && error.retryable && error.code !== 'unreachable';
      if (!again || tries >= 60 || signal.aborted) throw error;
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}

async function pace(
  sent: number,
  started: number,
  { ratePerSecond, signal }: Pick<ReplayOptions, 'ratePerSecond'> & { readonly signal: AbortSignal },
): Promise<void> {
  if (ratePerSecond === undefined) return;
  const waitMs = (sent / ratePerSecond) * 1000 - (performance.now() - started);
  if (waitMs > 1) await sleep(waitMs, undefined, { signal }).catch(() => undefined);
}

async function* eventLines(file: string, format: ReplayOptions['format']): AsyncGenerator<string> {
  let number = 0;
  for await (const line of fileLines(file)) {
    number += 1;
    if (line.trim() === '') continue;
    if (format === 'event') yield line;
    else yield* traceLines(line, `${file}:${number}`);
  }
}

function traceLines(line: string, at: string): readonly string[] {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new TriplineError('request_invalid', `${at}: not valid JSON`, { path: at, cause });
  }
  const call = zTraceCall.safeParse(value);
  if (call.success) return traceCallLines(call.data);
  throw new TriplineError(
    'request_invalid',
    `${at}: ${call.error.issues[0]?.path.join('.') ?? ''}: ${call.error.issues[0]?.message ?? ''}`,
    { path: at },
  );
}

async function* fileLines(file: string): AsyncGenerator<string> {
  const raw = createReadStream(file);
  const input = file.endsWith('.gz') ? raw.pipe(createGunzip()) : raw;
  const lines = createInterface({ input, crlfDelay: Infinity });
  const faults: unknown[] = [];
  for (const stream of new Set([raw, input]))
    stream.once('error', (error: unknown) => {
      faults.push(error);
      lines.close(); // It would wait for more without end.
    });
  try {
    yield* lines;
  } catch (cause) {
    faults.push(cause);
  } finally {
    raw.destroy();
  }
  if (faults.length > 0)
    throw new TriplineError('usage', `${file} cannot be read`, { path: 'FILE', cause: faults[0] });
}

async function* batches(lines: AsyncIterable<string>): AsyncGenerator<readonly string[]> {
  let batch: string[] = [];
  let bytes = 0;
  for await (const line of lines) {
    if (batch.length >= MAX_BATCH_LINES || bytes + line.length > MAX_BATCH_BYTES) {
      if (batch.length > 0) yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(line);
    bytes += Buffer.byteLength(line);
  }
  if (batch.length > 0) yield batch;
}
