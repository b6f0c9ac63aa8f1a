/** Event drafts of a call: its intent, its end, and what came after its end. */
import type { Outcome } from '../../schemas/event/v1.ts';
import type { PendingCall } from './calls.ts';
import type { DraftBody, EventDraft } from './draft.ts';
import type { Span } from './json-scan.ts';
import type { ObserverOptions } from './observer-options.ts';
import type { Sha256Hex, ToolDefinition } from './registry.ts';

/** What is the same for all events of a connection. */
export type Connection = Pick<ObserverOptions, 'server' | 'transport' | 'clock'>;

function callFields(on: Connection, call: PendingCall): Record<string, unknown> {
  return {
    callId: call.callId,
    logicalCallId: call.logicalCallId,
    traceId: call.span.traceId,
    spanId: call.span.spanId,
    ...(call.parentSpanId === undefined ? {} : { parentSpanId: call.parentSpanId }),
    server: on.server,
    transport: on.transport,
    tool: call.tool,
    class: call.class,
    verdict: call.verdict,
    ...(call.controlId === undefined ? {} : { controlId: call.controlId }),
  };
}

function definitionFields(definition: ToolDefinition | undefined): Record<string, unknown> {
  if (definition === undefined) return {};
  const { definitionHash, annotations } = definition;
  return annotations === undefined ? { definitionHash } : { definitionHash, annotations };
}

export interface IntentOf {
  readonly definition: ToolDefinition | undefined;
  readonly args: DraftBody | undefined;
  readonly ambiguous: boolean;
}

export function intentDraft(on: Connection, call: PendingCall, about: IntentOf): EventDraft {
  const { definition, args, ambiguous } = about;
  return {
    kind: 'call.intent',
    timeMs: on.clock.nowMs(),
    fields: {
      ...callFields(on, call),
      ...definitionFields(definition),
      ...(args === undefined ? {} : { argsHash: args.hash, argsBytes: args.span.end - args.span.start }),
      ...(ambiguous ? { labels: ['ambiguous_json'] } : {}),
    },
    ...(args === undefined ? {} : { body: args }),
  };
}

/** The one result of a call; ends its span. */
export function endedDraft(
  on: Connection,
  call: PendingCall,
  end: { readonly outcome: Outcome; readonly body?: DraftBody } & Readonly<Record<string, unknown>>,
): EventDraft {
  const { outcome, body, ...fields } = end;
  call.span.end(outcome);
  const durationMs = Math.max(0, on.clock.monotonicMs() - call.startedAtMs);
  return {
    kind: 'call.result',
    timeMs: on.clock.nowMs(),
    fields: {
      ...callFields(on, call),
      outcome,
      durationMs: Math.round(durationMs * 1000) / 1000,
      ...fields,
    },
    ...(body === undefined ? {} : { body }),
  };
}

/** The tool did run although the call was given up: its answer is kept as body of the call, not as a second result. */
export function lateAnswerDraft(on: Connection, call: PendingCall, body: DraftBody | undefined): EventDraft {
  return {
    kind: 'call.body',
    timeMs: on.clock.nowMs(),
    fields: { ...callFields(on, call), labels: ['late_answer'] },
    partsOnly: true,
    ...(body === undefined ? {} : { body }),
  };
}

/** The bytes of `span` as a body, hashed; undefined where there are none. */
export function bodyOf(
  of: DraftBody['of'],
  bytes: Uint8Array,
  span: Span | undefined,
  sha256Hex: Sha256Hex,
): DraftBody | undefined {
  if (span === undefined) return undefined;
  return { of, bytes, span, hash: sha256Hex(bytes.subarray(span.start, span.end)) };
}
