/** Tries what is due: a few at a time per destination, so that one that hangs holds up nobody else's. */
import type { Logger } from 'pino';
import type { Clock } from '../platform/clock.ts';
import type { RespondMetrics } from './metrics.ts';
import type { Outbox, OutboxEntry } from './outbox.ts';
import { afterAttempt, type AttemptOutcome } from './schedule.ts';
import type { WebhookDestination, WebhookMessage } from './webhook.ts';

/** One try; services/respond/webhook.ts. */
export type SendOnce = (
  destination: WebhookDestination,
  message: WebhookMessage,
  nowMs: number,
) => Promise<AttemptOutcome>;

export interface DeliveryOptions {
  readonly outbox: Outbox;
  readonly destinations: readonly WebhookDestination[];
  readonly sendOnce: SendOnce;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly metrics: RespondMetrics;
  readonly log: Logger;
}

export interface Deliveries {
  /** From now on entries of this partition of topic alerts are ours. */
  own(partition: number): void;
  /** Resolves when no try of the partition is under way, so that its next owner does not repeat one. */
  disown(partition: number): Promise<void>;
  owns(partition: number): boolean;
  /** Something new may be due. */
  wake(): void;
  /** Destinations that answered 410: not called again until the service starts anew. */
  disabled(): ReadonlySet<string>;
  stop(): Promise<void>;
}

const MAX_CONCURRENT_PER_DESTINATION = 4;
const MAX_SLEEP_MS = 60_000;
const WRITE_RETRY_MS = 500;

export function startDeliveries(options: DeliveryOptions): Deliveries {
  const deliveries = new DeliveryLoop(options);
  deliveries.start();
  return deliveries;
}

/** Id that the receiver de-duplicates by: the alert and what happened to it; holds no `.` (Standard Webhooks). */
export function webhookId(alertId: string): string {
  return `${alertId}_fired`;
}

class DeliveryLoop implements Deliveries {
  readonly #options: DeliveryOptions;
  readonly #destinations: ReadonlyMap<string, WebhookDestination>;
  readonly #owned = new Set<number>();
  readonly #running = new Map<string, { readonly entry: OutboxEntry; readonly done: Promise<void> }>();
  readonly #disabled = new Set<string>();
  /** Retry-After of a destination holds for all of its deliveries. */
  readonly #notBeforeMs = new Map<string, number>();
  readonly #stopping = new AbortController();
  #wake = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#destinations = new Map(options.destinations.map((destination) => [destination.name, destination]));
  }

  start(): void {
    this.#loop = this.#run();
  }

  own(partition: number): void {
    this.#owned.add(partition);
    this.wake();
  }

  async disown(partition: number): Promise<void> {
    this.#owned.delete(partition);
    const ending = [...this.#running.values()].filter(({ entry }) => entry.partition === partition);
    await Promise.all(ending.map(({ done }) => done));
  }

  owns(partition: number): boolean {
    return this.#owned.has(partition);
  }

  wake(): void {
    this.#wake.abort();
  }

  disabled(): ReadonlySet<string> {
    return this.#disabled;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.wake();
    await this.#loop;
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      this.#wake = new AbortController();
      const waitMs = this.#startDue(this.#options.clock.nowMs());
      await this.#options.clock.sleep(waitMs, this.#wake.signal);
    }
  }

  /** Starts what is due and has a free place; answers the ms until more may be due. */
  #startDue(nowMs: number): number {
    let nextMs = nowMs + MAX_SLEEP_MS;
    for (const entry of this.#options.outbox.pending()) {
      const destination = this.#destinations.get(entry.destination);
      // A destination that is configured no longer keeps its entries: they go on when it comes back.
      if (destination === undefined || !this.#owned.has(entry.partition)) continue;
      const dueMs = this.#dueMs(entry);
      if (dueMs > nowMs) nextMs = Math.min(nextMs, dueMs);
      else this.#startOne(entry, destination);
    }
    for (const name of this.#destinations.keys())
      this.#options.metrics.pending.set({ destination: name }, this.#options.outbox.pendingCount(name));
    return Math.max(1, nextMs - nowMs);
  }

  #dueMs(entry: OutboxEntry): number {
    if (this.#disabled.has(entry.destination)) return 0;
    return Math.max(entry.nextAttemptMs, this.#notBeforeMs.get(entry.destination) ?? 0);
  }

  #startOne(entry: OutboxEntry, destination: WebhookDestination): void {
    const key = `${entry.destination}\0${entry.subject}`;
    if (this.#running.has(key)) return;
    let running = 0;
    for (const other of this.#running.values())
      if (other.entry.destination === entry.destination) running += 1;
    if (running >= MAX_CONCURRENT_PER_DESTINATION) return;
    const done = this.#try(entry, destination).finally(() => {
      this.#running.delete(key);
      this.wake();
    });
    this.#running.set(key, { entry, done });
  }

  /** Never rejects. A crash between the answer and the write repeats the try, with the same webhook-id. */
  async #try(entry: OutboxEntry, destination: WebhookDestination): Promise<void> {
    const outcome = this.#disabled.has(destination.name)
      ? ({ kind: 'gone', status: 410 } as const)
      : await this.#send(entry, destination);
    this.#learn(destination.name, outcome);
    const next = this.#entryAfter(entry, outcome);
    if (next.state === 'dead') {
      this.#options.metrics.dead.inc({ destination: destination.name, reason: next.reason ?? 'unknown' });
      this.#options.log.error(
        {
          destination: destination.name,
          alertId: entry.subject,
          reason: next.reason,
          attempts: next.attempts,
        },
        'delivery given up',
      );
    }
    await this.#write(next);
  }

  async #send(entry: OutboxEntry, destination: WebhookDestination): Promise<AttemptOutcome> {
    const message = { id: webhookId(entry.subject), body: entry.body ?? '' };
    const outcome = await this.#options.sendOnce(destination, message, this.#options.clock.nowMs());
    this.#options.metrics.attempts.inc({
      destination: destination.name,
      outcome: outcome.kind === 'failed' ? outcome.reason : outcome.kind,
    });
    return outcome;
  }

  #learn(destination: string, outcome: AttemptOutcome): void {
    if (outcome.kind === 'gone') this.#disabled.add(destination);
    if (outcome.kind === 'failed' && outcome.retryAfterMs !== undefined)
      this.#notBeforeMs.set(destination, this.#options.clock.nowMs() + outcome.retryAfterMs);
  }

  #entryAfter(entry: OutboxEntry, outcome: AttemptOutcome): OutboxEntry {
    const nowMs = this.#options.clock.nowMs();
    const attempts = entry.attempts + 1;
    const responseStatus = outcome.status ?? null;
    const tried = { ...entry, attempts, updatedMs: nowMs, responseStatus };
    const next = afterAttempt(outcome, attempts, this.#options.random());
    if (next.kind === 'retry') {
      const reason = outcome.kind === 'failed' ? outcome.reason : null;
      return { ...tried, nextAttemptMs: nowMs + next.waitMs, reason };
    }
    const { body: _body, ...finished } = tried;
    return { ...finished, state: next.kind, reason: next.kind === 'dead' ? next.reason : null };
  }

  /** Until it is written or we stop: the entry stays under way, so nothing is sent again meanwhile. */
  async #write(entry: OutboxEntry): Promise<void> {
    for (;;) {
      try {
        await this.#options.outbox.put([entry]);
        return;
      } catch (error) {
        this.#options.log.warn({ err: error, destination: entry.destination }, 'outbox not written');
        if (this.#stopping.signal.aborted) return;
        await this.#options.clock.sleep(WRITE_RETRY_MS, this.#stopping.signal);
      }
    }
  }
}
