/** A request → the calls in it with their owners, as one request of one tenant. */
import { belongs, type Belongs } from '../../../../services/ingest/otlp/belong.ts';
import { belongingOf } from '../../../../services/ingest/otlp/belonging.ts';
import type { OtlpSpan } from '../../../../services/ingest/otlp/model.ts';
import { callsOfSpan, type SeenCall } from '../../../../services/ingest/otlp/seen-call.ts';
import { TraceMemory } from '../../../../services/ingest/otlp/trace-memory.ts';

export const LIMITS = { maxItems: 20_000 };
export const TENANT = 'a';

export interface ReadCall {
  readonly seen: SeenCall;
  readonly belongs: Belongs;
}

export function readCalls(spans: readonly OtlpSpan[], memory = new TraceMemory()): readonly ReadCall[] {
  const seen = spans.flatMap((span) => {
    const calls = callsOfSpan(span);
    const tool = calls.find(({ callId }) => callId === span.spanId)?.call.tool;
    memory.add(TENANT, span, { ...belongingOf(span), tool });
    return calls;
  });
  return seen.map((call) => ({ seen: call, belongs: belongs(TENANT, call, memory, false) }));
}
