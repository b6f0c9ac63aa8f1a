/**
 * Which spans have a child that is a call on record: a tap that took over the trace of an instrumented agent names the
 * agent's span as its parent. That span tells of the same call and is not recorded a second time. A bounded cache: what
 * is forgotten is recorded twice, linked by its trace.
 */
import { LRUCache } from 'lru-cache';
import type { Event } from '../../../schemas/event/v1.ts';

const MAX_CALLS = 100_000;

export class RecordedCalls {
  readonly #known = new LRUCache<string, true>({ max: MAX_CALLS });

  /** Called for every event that is taken. */
  add(tenant: string, { kind, traceId, parentSpanId, tool }: Event): void {
    if (kind !== 'call.intent' || traceId === undefined || parentSpanId === undefined) return;
    this.#known.set(keyOf(tenant, { traceId, spanId: parentSpanId, tool: tool ?? '' }), true);
  }

  /** True when a call of this tool with this span for its parent is on record. */
  has(
    tenant: string,
    span: { readonly traceId: string; readonly spanId: string; readonly tool: string },
  ): boolean {
    return this.#known.has(keyOf(tenant, span));
  }
}

const keyOf = (
  tenant: string,
  { traceId, spanId, tool }: { readonly traceId: string; readonly spanId: string; readonly tool: string },
): string => `${traceId}${spanId}${tenant}\0${tool}`;
