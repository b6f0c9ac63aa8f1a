/**
 * Erasures, one after the other, each a few steps that may be repeated:
 *   requested -> wait until all that was on the bus is recorded -> which keys -> release them, so that what comes gets new
 *   ones -> wait again -> which entries -> listed -> ERASURE entries, signed -> recorded -> rows, keys, bus, detector,
 *   waiting rooms -> finished.
 * Nothing is gone before the ERASURE entries are signed, so that `verify` never meets a hole without its reason. A crash
 * anywhere is taken up at the last phase that was written down.
 */
import { LEDGER_TOPICS, RECORD_GROUP, TOPICS } from '../../../schemas/topics.ts';
import { toHex } from '../../evidence/bytes.ts';
import { parseRanges } from '../../evidence/index-ranges.ts';
import { isErasable } from '../../platform/bus/port.ts';
import type { ErasableKeys } from '../../platform/payloads/keys.ts';
import type { StepContext } from '../../platform/step.ts';
import { erasureBodies } from './audit-lines.ts';
import { eraseOnBus } from './bus.ts';
import { concerned, entriesOf, entriesUnder, expiredSubjects, listed, subjectsOf } from './collect.ts';
import { holdOver, type Holds } from './holds.ts';
import type { ErasureOutcome, Intent, Intents } from './intents.ts';
import type { RepairTurns } from './repair-turns.ts';
import { deleteRows, TOLD_AFTER_MS } from './rows.ts';

/** What else of this process keeps what was said. */
export interface Forgetting {
  /** Empties what detection remembers; `drop` runs while it has no state. */
  detect?(drop: () => Promise<void>): Promise<void>;
  /** Removes what lies in free pages of waiting rooms. */
  waiting?(): Promise<void>;
}

export interface ErasureParts {
  readonly context: Pick<StepContext, 'audit' | 'bus' | 'clock' | 'config' | 'log' | 'randomBytes' | 'store'>;
  readonly keys: ErasableKeys;
  readonly intents: Intents;
  readonly holds: Holds;
  readonly repairs: RepairTurns;
  /** Asked when it is needed: steps start after this one. */
  readonly forgetting: () => Forgetting;
}

const LOOK_EVERY_MS = 200;
const RETRY_MS = 2_000;
const RETENTION_ACTOR = 'system:sign';
/** Keys that one run of the retention takes; the next takes more. */
const MAX_EXPIRED = 10_000;

export class ErasureRun {
  readonly #parts: ErasureParts;
  readonly #stopping = new AbortController();
  #wake = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #retentionAtMs = 0;

  constructor(parts: ErasureParts) {
    this.#parts = parts;
  }

  begin(): void {
    this.#running = this.#loop();
  }

  wake(): void {
    this.#wake.abort();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake.abort();
    await this.#running;
  }

  async #loop(): Promise<void> {
    const { context, intents } = this.#parts;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      let waitMs = context.config.retention.checkEveryMs;
      try {
        await this.#askRetention();
        for (const intent of intents.open()) await this.#finish(intent);
      } catch (error) {
        if (!signal.aborted)
          context.log.warn({ err: error }, 'an erasure is not finished; it is taken up again');
        waitMs = RETRY_MS;
      }
      if (!signal.aborted) await context.clock.sleep(waitMs, this.#wake.signal);
    }
  }

  async #finish(intent: Intent): Promise<void> {
    const { repairs } = this.#parts;
    try {
      let from = intent;
      for (;;) {
        const recorded = await this.#prepare(from);
        if (recorded === undefined) return;
        if (!repairs.isDisturbed) return await this.#erase(recorded);
        // Rows came back that were not there to be listed.
        from = { ...recorded, phase: 'requested' };
      }
    } finally {
      repairs.end();
    }
  }

  /** Undefined as of #list. */
  async #prepare(intent: Intent): Promise<Intent | undefined> {
    if (intent.phase !== 'requested') await this.#parts.repairs.begin(this.#stopping.signal);
    const ready = intent.phase === 'requested' ? await this.#list(intent) : intent;
    return ready?.phase === 'listed' ? await this.#record(ready) : ready;
  }

  /** Undefined where a hold keeps it, or where there is nothing. */
  async #list(intent: Intent): Promise<Intent | undefined> {
    const { context, intents, keys, holds, repairs } = this.#parts;
    const { store } = context;
    repairs.end();
    await this.#settled();
    await repairs.begin(this.#stopping.signal);
    const held = intent.by === 'retention' ? [] : await concerned(store, intent);
    if (holdOver(holds.list(), intent.tenant, held) !== undefined) {
      this.#close(intent, { outcome: 'held', entries: 0, busUntilMs: null });
      return undefined;
    }
    const first = intent.by === 'retention' ? [] : await entriesOf(store, intent);
    const subjects = intent.by === 'retention' ? await this.#expired(intent) : await subjectsOf(store, first);
    await keys.release(subjects);
    // A batch that is under way may have asked for these keys before.
    await this.#settled();
    const logs = listed([...first, ...(await entriesUnder(store, subjects))]);
    const next: Intent = { ...intent, phase: 'listed', subjects, logs };
    if (logs.length === 0) {
      this.#close(next, { outcome: 'erased', entries: 0, busUntilMs: null });
      return undefined;
    }
    intents.put(next);
    return next;
  }

  async #record(intent: Intent): Promise<Intent> {
    const { context, intents } = this.#parts;
    for (const body of erasureBodies(intent)) await context.audit.record(intent.tenant, body);
    await this.#settled();
    const next: Intent = { ...intent, phase: 'recorded' };
    intents.put(next);
    return next;
  }

  async #erase(intent: Intent): Promise<void> {
    const { context, keys, forgetting } = this.#parts;
    const { store, clock, bus } = context;
    const { signal } = this.#stopping;
    const lines = await eraseOnBus.linesOf(store, intent);
    const onLongWait = (parts: number): void =>
      context.log.warn({ erasure: intent.id, parts }, 'an erasure waits: replaced parts are on disk');
    await deleteRows(store, intent.logs, { clock, signal, onLongWait });
    await keys.destroy(intent.subjects);
    let busUntilMs: number | null = null;
    if (isErasable(bus)) {
      await eraseOnBus.take(bus, lines);
      const drop = async (): Promise<void> => {
        await bus.dropRecords(TOPICS.detectState.name);
        await bus.dropRecords(TOPICS.facts.name);
      };
      await (forgetting().detect?.(drop) ?? drop());
      await bus.renewFiles();
    } else busUntilMs = clock.nowMs() + longestRetentionMs();
    await forgetting().waiting?.();
    this.#close(intent, { outcome: 'erased', entries: countOf(intent), busUntilMs });
  }

  #close(intent: Intent, what: Pick<ErasureOutcome, 'outcome' | 'entries' | 'busUntilMs'>): void {
    const { context, intents } = this.#parts;
    const { id, tenant, by, requestedMs } = intent;
    intents.finish({
      v: 1,
      id,
      tenant,
      by,
      requestedMs,
      finishedMs: Math.trunc(context.clock.nowMs()),
      ...what,
    });
    context.log.info({ erasure: id, ...what }, 'erasure finished');
  }

  /** All that was on the ledger's topics when this was called is signed. */
  async #settled(): Promise<void> {
    const { repairs } = this.#parts;
    const { bus, clock, log } = this.#parts.context;
    const { signal } = this.#stopping;
    let toldAtMs = clock.monotonicMs() + TOLD_AFTER_MS;
    for (const topic of LEDGER_TOPICS) {
      for (const { partition, latest, earliest } of await bus.offsets(topic)) {
        for (;;) {
          const done = (await bus.committed(RECORD_GROUP, { topic, partition })) ?? earliest;
          if (done >= latest) break;
          if (clock.monotonicMs() >= toldAtMs) {
            toldAtMs = Infinity;
            log.warn({ topic, partition, recorded: done, latest }, 'an erasure waits: not all is recorded');
            repairs.yield();
          }
          await clock.sleep(LOOK_EVERY_MS, signal);
          signal.throwIfAborted();
        }
      }
    }
    await repairs.resume(signal);
  }

  async #expired(intent: Intent): Promise<number[]> {
    const { context, holds } = this.#parts;
    const { tenant, beforeMs = 0 } = intent;
    const own = holds.list().filter((hold) => hold.tenant === tenant);
    if (own.some(({ kind }) => kind === 'tenant')) return [];
    const names = (kind: 'session' | 'principal'): string[] =>
      own.flatMap((hold) => (hold.kind === kind ? (hold.name ?? []) : []));
    const held = { sessions: names('session'), principals: names('principal') };
    return await expiredSubjects(context.store, { tenant, beforeMs, limit: MAX_EXPIRED }, held);
  }

  /** Once an interval: an erasure for each tenant that has something due. */
  async #askRetention(): Promise<void> {
    const { context, intents } = this.#parts;
    const { payloadDays, checkEveryMs } = context.config.retention;
    if (payloadDays === undefined || context.clock.monotonicMs() < this.#retentionAtMs) return;
    const beforeMs = Math.trunc(context.clock.nowMs() - payloadDays * 86_400_000);
    const tenants = await context.store.query<{ tenant: string }>('SELECT DISTINCT tenant FROM events');
    for (const { tenant } of tenants) {
      const intent: Intent = {
        v: 1,
        id: toHex(context.randomBytes(16)),
        tenant,
        by: 'retention',
        name: '',
        reason: `retention.payloadDays ${payloadDays}`,
        actor: RETENTION_ACTOR,
        role: 'system',
        requestedMs: Math.trunc(context.clock.nowMs()),
        beforeMs,
        phase: 'requested',
        subjects: [],
        logs: [],
      };
      if ((await this.#expired(intent)).length > 0) intents.put(intent);
    }
    this.#retentionAtMs = context.clock.monotonicMs() + checkEveryMs;
  }
}

function countOf({ logs }: Intent): number {
  const ranges = logs.flatMap(({ indexes }) => parseRanges(indexes) ?? []);
  return ranges.reduce((sum, { from, to }) => sum + to - from + 1, 0);
}

function longestRetentionMs(): number {
  return Math.max(...Object.values(TOPICS).map(({ retentionMs }) => retentionMs ?? 0));
}
