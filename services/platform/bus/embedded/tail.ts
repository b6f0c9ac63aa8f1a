/** A reader without a group: every record of every partition of its topics, one call at a time. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '../../clock.ts';
import type { BusConsumer, TailOptions } from '../port.ts';
import type { EmbeddedPartition } from './partition.ts';

const MAX_READ_BYTES = 1024 * 1024;
const MAX_READ_RECORDS = 1024;
const PAUSE_MS = 200;

export function startTail(
  options: TailOptions,
  partitions: readonly EmbeddedPartition[],
  clock: Clock,
): BusConsumer {
  const stopping = new AbortController();
  const positions = new Map(
    partitions.map((partition) => [
      partition,
      options.from === 'earliest' ? partition.earliest : partition.end,
    ]),
  );
  const ended = run();
  return {
    assignment: () => partitions.map(({ topic, partition }) => ({ topic, partition })),
    stop: async () => {
      stopping.abort();
      await ended;
    },
  };

  async function run(): Promise<void> {
    const { signal } = stopping;
    await nextTurn();
    while (!signal.aborted) {
      try {
        if (!(await deliver())) await waitForAny(positions, signal);
      } catch (error) {
        options.onError?.(error);
        await clock.sleep(PAUSE_MS, signal);
      }
      await nextTurn();
    }
  }

  /** One round over the partitions; false when none had anything. */
  async function deliver(): Promise<boolean> {
    let any = false;
    for (const [partition, position] of positions) {
      if (position >= partition.end || stopping.signal.aborted) continue;
      any = true;
      // Retention may have passed a slow reader: it goes on at what is left.
      const from = Math.max(position, partition.earliest);
      const { records, nextOffset } = partition.read(from, partition.end, {
        maxBytes: MAX_READ_BYTES,
        maxRecords: MAX_READ_RECORDS,
      });
      if (records.length > 0) await options.onRecords(records);
      positions.set(partition, nextOffset);
    }
    return any;
  }
}

async function waitForAny(
  positions: ReadonlyMap<EmbeddedPartition, number>,
  signal: AbortSignal,
): Promise<void> {
  const ready = (): boolean => [...positions].some(([partition, position]) => partition.end > position);
  await new Promise<void>((resolve) => {
    const subscriptions = [...positions.keys()].map((partition) => partition.onAdvance(check));
    signal.addEventListener('abort', check, { once: true });
    check();
    function check(): void {
      if (!ready() && !signal.aborted) return;
      for (const off of subscriptions) off();
      signal.removeEventListener('abort', check);
      resolve();
    }
  });
}
