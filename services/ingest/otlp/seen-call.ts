/** A call with its place in a trace and what its resource says, before it is known who it belongs to. */
import { agentOfResource, processOf } from './belonging.ts';
import { textAt } from './attributes.ts';
import { claudeCodeCall, toolCallOf, unofferedCallsOf } from './emitters/index.ts';
import type { Attributes, OtlpLog, OtlpSpan } from './model.ts';
import type { SpanPlace, ToolCall } from './tool-call.ts';

export interface SeenCall {
  /** Unique in its trace; the event's call id. */
  readonly callId: string;
  /** Undefined for log records outside of a trace. */
  readonly place: SpanPlace | undefined;
  readonly call: ToolCall;
  readonly fallback: {
    readonly agent: string;
    /** One run of a process. */
    readonly process: string | undefined;
    readonly host: string | undefined;
  };
}

/** Attribute of the spans that our own taps export: their call is on record under the span's own ids already. */
export const RECORDED_ATTRIBUTE = 'tripline.recorded';

export function isRecordedByTap(span: OtlpSpan): boolean {
  return span.attributes.get(RECORDED_ATTRIBUTE) === true;
}

/** The calls of a span: the one that it is, or those that a model asked for in it and nobody can have run. */
export function callsOfSpan(span: OtlpSpan): readonly SeenCall[] {
  const { traceId, spanId, parentSpanId } = span;
  const place = { traceId, spanId, parentSpanId };
  const fallback = fallbackOf(span.resource);
  const call = toolCallOf(span);
  if (call !== undefined) return [{ callId: spanId, place, call, fallback }];
  return unofferedCallsOf(span).map((unoffered, index) => ({
    callId: `${spanId}/${index}`,
    place,
    call: unoffered,
    fallback,
  }));
}

/** `digest` of the record's content, hex: log records have no ids of their own. */
export function callOfLog(log: OtlpLog, digest: (text: string) => string): SeenCall | undefined {
  const call = claudeCodeCall(log);
  if (call === undefined) return undefined;
  const { traceId, spanId } = log;
  const place =
    traceId === undefined || spanId === undefined ? undefined : { traceId, spanId, parentSpanId: undefined };
  const content = [String(log.timeNs), ...[...log.attributes].map((entry) => JSON.stringify(entry))];
  return {
    callId: call.toolCallId ?? digest(content.join('\n')).slice(0, 32),
    place,
    call,
    fallback: fallbackOf(log.resource),
  };
}

function fallbackOf(resource: Attributes): SeenCall['fallback'] {
  return {
    agent: agentOfResource(resource),
    process: processOf(resource),
    host: textAt(resource, 'host.name'),
  };
}
