/** Where trace and span ids of calls come from: random ones, or spans of an OpenTelemetry tracer (telemetry.ts). */
import type { Outcome } from '../../schemas/event/v1.ts';
import type { TraceParent } from './trace-context.ts';

export interface CallSpan {
  /** 32 lower-case hex digits. */
  readonly traceId: string;
  /** Ours; the server's work hangs under it where traces are injected. 16 lower-case hex digits. */
  readonly spanId: string;
  /** Two hex digits; 01 = sampled. */
  readonly flags: string;
  end(outcome: Outcome): void;
}

export interface SpanStart {
  readonly tool: string;
  readonly server: string;
  /** The caller's span, where it sent one. */
  readonly parent: TraceParent | undefined;
}

export interface SpanSource {
  start(call: SpanStart): CallSpan;
}

/** Ids without a tracer: the caller's trace is joined, else one is started. `randomHex(n)` gives n random bytes as hex. */
export function randomSpans(randomHex: (bytes: number) => string): SpanSource {
  return {
    start: ({ parent }) => ({
      traceId: parent?.traceId ?? randomHex(16),
      spanId: randomHex(8),
      flags: parent?.flags ?? '01',
      end: () => undefined,
    }),
  };
}
