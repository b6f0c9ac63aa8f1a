/** The life of all exchanges of a connection: opened, cancelled, told of progress, given up. */
import type { Outcome } from '../../schemas/event/v1.ts';
import type { EventDraft } from './draft.ts';
import { against, pendingKey, type Exchange } from './exchange.ts';
import { endedDrafts } from './exchange-drafts.ts';
import { lastMember } from './json-scan.ts';
import type { LineState } from './line-state.ts';
import { idKeyOf, stringAt, valueAt, type Direction, type WireMessage } from './message.ts';
import type { ObserverOptions } from './observer-options.ts';
import { recordableMessage } from './outcome.ts';
import { PendingExchanges } from './pending.ts';

type ExchangesOptions = Pick<
  ObserverOptions,
  'server' | 'transport' | 'clock' | 'callTimeoutMs' | 'maxPendingCalls'
>;

/** How requests end that are not answered on the wire. */
export interface ExchangesEnd {
  readonly outcome: Outcome;
  readonly message?: string;
  /** No late answer can come: nothing is kept of them. */
  readonly final: boolean;
}

export class Exchanges {
  readonly #options: ExchangesOptions;
  readonly #pending: PendingExchanges;

  constructor(options: ExchangesOptions) {
    this.#options = options;
    this.#pending = new PendingExchanges(options.maxPendingCalls);
  }

  /** Without an answer. */
  get size(): number {
    return this.#pending.size;
  }

  open(exchange: Exchange, state: LineState): void {
    for (const evicted of this.#pending.add(exchange)) {
      if (!evicted.ended) state.drafts.push(...endedDrafts(this.#options, evicted, { outcome: 'abandoned' }));
    }
  }

  take(key: string): Exchange | undefined {
    return this.#pending.take(key);
  }

  isOpen(exchange: Exchange): boolean {
    return this.#pending.has(exchange);
  }

  /** This very one, no longer open; its result is the caller's to put on record. */
  remove(exchange: Exchange): void {
    this.#pending.remove(exchange);
  }

  cancelled(direction: Direction, message: WireMessage, state: LineState): void {
    const key = idKeyOf(message, lastMember(message.params, 'requestId'));
    const exchange = key === undefined ? undefined : this.#pending.find(pendingKey(direction, key));
    if (exchange === undefined) return;
    const reason = stringAt(message.bytes, lastMember(message.params, 'reason'));
    const error = reason === undefined ? undefined : { message: recordableMessage(reason) };
    state.drafts.push(...endedDrafts(this.#options, exchange, { outcome: 'cancelled', error }));
    exchange.ended = true;
  }

  /** Counted, and told with the result: an event for each would be a flood that a server can open. */
  progressed(direction: Direction, message: WireMessage): void {
    const token = idKeyOf(message, lastMember(message.params, 'progressToken'));
    if (token === undefined) return;
    const progress = this.#pending.withProgress(pendingKey(against(direction), token))?.progress;
    if (progress === undefined) return;
    progress.count++;
    const last = valueAt(message.bytes, lastMember(message.params, 'progress'));
    const total = valueAt(message.bytes, lastMember(message.params, 'total'));
    if (typeof last === 'number' && Number.isFinite(last)) progress.last = last;
    if (typeof total === 'number' && Number.isFinite(total)) progress.total = total;
  }

  /** Those that have waited for longer than callTimeoutMs, as `timeout`. */
  expire(): readonly EventDraft[] {
    const before = this.#options.clock.monotonicMs() - this.#options.callTimeoutMs;
    const drafts: EventDraft[] = [];
    for (const exchange of this.#pending.all()) {
      if (exchange.ended || exchange.startedAtMs > before || isSubscription(exchange)) continue;
      drafts.push(...endedDrafts(this.#options, exchange, { outcome: 'timeout' }));
      exchange.ended = true;
    }
    return drafts;
  }

  openCalls(max: number): readonly { readonly key: string; readonly callId: string }[] {
    const calls: { readonly key: string; readonly callId: string }[] = [];
    for (const { about, ended, key, callId } of this.#pending.all()) {
      if (calls.length >= max) break;
      if (about.kind === 'call' && !ended) calls.push({ key, callId });
    }
    return calls;
  }

  isOpenAt(key: string): boolean {
    return this.#pending.find(key) !== undefined;
  }

  end(keys: readonly string[], { outcome, message, final }: ExchangesEnd): readonly EventDraft[] {
    const error = message === undefined ? undefined : { message };
    const drafts: EventDraft[] = [];
    for (const key of keys) {
      const exchange = final ? this.#pending.take(key) : this.#pending.find(key);
      if (exchange === undefined || exchange.ended) continue;
      drafts.push(...endedDrafts(this.#options, exchange, { outcome, error }));
      exchange.ended = true;
    }
    return drafts;
  }

  /** Each without a result is `abandoned`, else it would vanish from the record. */
  close(): readonly EventDraft[] {
    const drafts = [...this.#pending.all()]
      .filter((exchange) => !exchange.ended)
      .flatMap((exchange) => endedDrafts(this.#options, exchange, { outcome: 'abandoned' }));
    this.#pending.clear();
    return drafts;
  }
}

function isSubscription({ about }: Exchange): boolean {
  return about.kind === 'message' && about.isSubscription;
}
