/** OpenTelemetry spans of the recorded calls. Loaded only where an OTLP endpoint is configured (OTEL_*). */
import { SpanKind, SpanStatusCode, ROOT_CONTEXT, trace, type Span, type Tracer } from '@opentelemetry/api';
import type { Outcome } from '../../schemas/event/v1.ts';
import type { CaptureLog } from './log.ts';
import type { CallSpan, SpanSource, SpanStart } from './spans.ts';

const STOP_TIMEOUT_MS = 2_000;

/** A call's span is the one on record: same trace id and span id as its events. */
export function tracerSpans(tracer: Tracer): SpanSource {
  return { start: (call) => startSpan(tracer, call) };
}

function startSpan(tracer: Tracer, call: SpanStart): CallSpan {
  const context =
    call.parent === undefined
      ? ROOT_CONTEXT
      : trace.setSpanContext(ROOT_CONTEXT, {
          traceId: call.parent.traceId,
          spanId: call.parent.spanId,
          traceFlags: Number.parseInt(call.parent.flags, 16),
          isRemote: true,
        });
  const span = tracer.startSpan(
    `tools/call ${call.tool}`,
    {
      kind: SpanKind.CLIENT,
      // Semantic conventions for MCP and GenAI.
      attributes: {
        'mcp.method.name': 'tools/call',
        'gen_ai.operation.name': 'execute_tool',
        'gen_ai.tool.name': call.tool,
        'tripline.server': call.server,
        // The call's events have this trace and span id: whoever takes spans for calls must not count it twice.
        'tripline.recorded': true,
      },
    },
    context,
  );
  const { traceId, spanId, traceFlags } = span.spanContext();
  return {
    traceId,
    spanId,
    flags: traceFlags.toString(16).padStart(2, '0'),
    end: (outcome) => endSpan(span, outcome),
  };
}

const FAILED: ReadonlySet<Outcome> = new Set([
  'tool_error',
  'rpc_error',
  'cancelled',
  'timeout',
  'abandoned',
  'refused',
]);

function endSpan(span: Span, outcome: Outcome): void {
  span.setAttribute('tripline.outcome', outcome);
  if (FAILED.has(outcome)) {
    span.setAttribute('error.type', outcome);
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end();
}

/** Starts the OpenTelemetry SDK as OTEL_* says; `stop` flushes for a bounded time. */
export async function startTelemetry(
  log: CaptureLog,
): Promise<{ readonly spans: SpanSource; stop(): Promise<void> }> {
  const { NodeSDK } = await import('@opentelemetry/sdk-node');
  const sdk = new NodeSDK({ instrumentations: [] });
  sdk.start();
  const spans = tracerSpans(trace.getTracer('@tripline/capture'));
  return {
    spans,
    stop: async () => {
      const timeout = new Promise<void>((resolve) => void setTimeout(resolve, STOP_TIMEOUT_MS).unref());
      const stopped = sdk.shutdown().catch(() => log('warn', 'telemetry_not_flushed'));
      await Promise.race([stopped, timeout]);
    },
  };
}
