/**
 * Rows out of the tables, from the disk too. Statements name entries by log and index, never a subject: the engine keeps
 * the text of a mutation in a file. Payloads are sealed and stay; what stands in the clear is emptied.
 */
import { TriplineError } from '../../../schemas/errors.ts';
import { parseRanges, type IndexRange } from '../../evidence/index-ranges.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Store } from '../../platform/store/port.ts';
import type { Intent } from './intents.ts';

const PROJECTIONS = ['events', 'alerts', 'dead_letters'] as const;
const RANGES_A_STATEMENT = 1000;
/** Number that no key has: bytes that stood in the clear and are erased. */
const ERASED_IN_THE_CLEAR = '18446744073709551615';
const LOOK_EVERY_MS = 500;
/** A wait that is longer is told: whoever asked for the erasure waits as well. */
export const TOLD_AFTER_MS = 10_000;
/** Servers keep replaced parts for 8 minutes. */
const MAX_WAIT_MS = 20 * 60_000;

interface Waiting {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Told once, where parts stay on disk for longer than some seconds. */
  readonly onLongWait: (parts: number) => void;
}

/** Resolves when no part on disk holds a row of these entries. Idempotent. */
export async function deleteRows(store: Store, logs: Intent['logs'], waiting: Waiting): Promise<void> {
  for (const { log, indexes } of logs) {
    if (!/^[0-9a-f]{64}$/u.test(log)) throw new TriplineError('internal', 'a log id is malformed');
    const ranges = parseRanges(indexes) ?? [];
    for (let from = 0; from < ranges.length; from += RANGES_A_STATEMENT) {
      const where = whereOf(log, ranges.slice(from, from + RANGES_A_STATEMENT));
      for (const table of PROJECTIONS) {
        if ((await rowsOf(store, table, where)) === 0) continue;
        await store.command(`ALTER TABLE ${table} DELETE WHERE ${where} SETTINGS mutations_sync = 2`);
      }
      const clear = `${where} AND subject = 0`;
      if ((await rowsOf(store, 'payloads', clear)) === 0) continue;
      await store.command(
        `ALTER TABLE payloads UPDATE bytes = '', subject = ${ERASED_IN_THE_CLEAR} WHERE ${clear} SETTINGS mutations_sync = 2`,
      );
    }
  }
  await partsGone(store, waiting);
}

async function rowsOf(store: Store, table: string, where: string): Promise<number> {
  const [row] = await store.query<{ rows: string }>(
    `SELECT toString(count()) AS rows FROM ${table} WHERE ${where}`,
  );
  return Number(row?.rows ?? 0);
}

/** Numbers and hex digits alone. */
function whereOf(log: string, ranges: readonly IndexRange[]): string {
  const parts = ranges.map(({ from, to }) =>
    from === to ? `idx = ${from}` : `idx BETWEEN ${from} AND ${to}`,
  );
  return `log_id = unhex('${log}') AND (${parts.join(' OR ')})`;
}

/** A replaced part stays on disk for a while. Looked at even where nothing was deleted now: an earlier life may have. */
async function partsGone(store: Store, { clock, signal, onLongWait }: Waiting): Promise<void> {
  let toldAtMs = clock.monotonicMs() + TOLD_AFTER_MS;
  const untilMs = clock.monotonicMs() + MAX_WAIT_MS;
  const nowMs = clock.nowMs();
  for (;;) {
    // Parts that merges replace from now on hold what is left only.
    const [row] = await store.query<{ rows: string }>(
      `SELECT toString(count()) AS rows FROM system.parts
       WHERE database = currentDatabase() AND table IN ('events', 'alerts', 'dead_letters', 'payloads') AND active = 0
         AND toUnixTimestamp(remove_time) * 1000 < {now:UInt64} + 1000`,
      { params: { now: nowMs } },
    );
    const parts = Number(row?.rows ?? 0);
    if (parts === 0) return;
    if (clock.monotonicMs() >= toldAtMs) {
      toldAtMs = Infinity;
      onLongWait(parts);
    }
    if (clock.monotonicMs() > untilMs)
      throw new TriplineError('store_timeout', 'replaced parts are still on disk');
    await clock.sleep(LOOK_EVERY_MS, signal);
    signal.throwIfAborted();
  }
}
