/** What respond does by the clock: expiries on record, unfinished changes made good, the outbox kept small. */
import type { Logger } from 'pino';
import type { Clock } from '../platform/clock.ts';

export interface Chore {
  readonly name: string;
  readonly everyMs: number;
  readonly run: () => Promise<unknown>;
}

export interface Housekeeping {
  /** Runs the named chore soon, whatever its turn. */
  request(name: string): void;
  stop(): Promise<void>;
}

/** Runs the chores one after the other, each in its turn; one that fails is logged and comes again. */
export function startHousekeeping(
  chores: readonly Chore[],
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Housekeeping {
  const stopping = new AbortController();
  const dueMs = new Map(chores.map(({ name }) => [name, 0]));
  let wake = new AbortController();

  async function runDue(): Promise<void> {
    for (const chore of chores) {
      if ((dueMs.get(chore.name) ?? 0) > clock.monotonicMs() || stopping.signal.aborted) continue;
      dueMs.set(chore.name, clock.monotonicMs() + chore.everyMs);
      try {
        await chore.run();
      } catch (error) {
        log.warn({ err: error, chore: chore.name }, 'chore failed; it is repeated');
      }
    }
  }

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      wake = new AbortController();
      await runDue();
      const nextMs = Math.min(...dueMs.values());
      await clock.sleep(Math.max(1, nextMs - clock.monotonicMs()), wake.signal);
    }
  }

  const running = loop();
  return {
    request(name) {
      dueMs.set(name, 0);
      wake.abort();
    },
    async stop() {
      stopping.abort();
      wake.abort();
      await running;
    },
  };
}
