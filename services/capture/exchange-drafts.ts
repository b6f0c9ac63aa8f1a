/** Event drafts of an exchange: its request, its end, and what came after its end. */
import type { Outcome } from '../../schemas/event/v1.ts';
import type { DraftBody, EventDraft } from './draft.ts';
import type { CallAbout, Exchange, MessageAbout } from './exchange.ts';
import type { Span } from './json-scan.ts';
import type { ObserverOptions } from './observer-options.ts';
import type { BoundaryFields } from './labels/boundary.ts';
import type { Sha256Hex, ToolDefinition } from './registry.ts';

/** What is the same for all events of a connection. */
export type Connection = Pick<ObserverOptions, 'server' | 'transport' | 'clock'>;

/** Members whose value is there. */
export function given(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const name of Object.keys(fields)) if (fields[name] !== undefined) kept[name] = fields[name];
  return kept;
}

function callFields({ span, tool, class: toolClass, ...about }: CallAbout): Record<string, unknown> {
  const { parentSpanId, decisionId, verdict, controlId, policy, approvalId } = about;
  const ids = { decisionId, traceId: span.traceId, spanId: span.spanId, parentSpanId };
  return given({ ...ids, tool, class: toolClass, verdict, controlId, approvalId, policy });
}

function messageFields(about: MessageAbout): Record<string, unknown> {
  const { method, traceId, parentSpanId, tool, class: toolClass, verdict, controlId, policy } = about;
  return given({ traceId, parentSpanId, tool, method, class: toolClass, verdict, controlId, policy });
}

function exchangeFields(on: Connection, exchange: Exchange): Record<string, unknown> {
  const { callId, logicalCallId, about } = exchange;
  return {
    callId,
    logicalCallId,
    ...(about.kind === 'call' ? callFields(about) : messageFields(about)),
    server: on.server,
    transport: on.transport,
  };
}

function definitionFields(definition: ToolDefinition | undefined): Record<string, unknown> {
  if (definition === undefined) return {};
  const { definitionHash, annotations } = definition;
  return given({ definitionHash, annotations });
}

function mcpField(mcp: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.keys(mcp).length === 0 ? {} : { mcp };
}

export function labelsField(labels: readonly string[]): Record<string, unknown> {
  return labels.length === 0 ? {} : { labels };
}

export function requestDraft(
  on: Connection,
  exchange: Exchange,
  of: {
    readonly args: DraftBody | undefined;
    readonly ambiguous: boolean;
    readonly boundary: BoundaryFields;
    /** It waits so long for a verdict. */
    readonly holdMs?: number | undefined;
  },
): EventDraft {
  const { args, ambiguous, boundary, holdMs } = of;
  const { about } = exchange;
  const body = about.kind === 'message' && about.hidesBodies ? undefined : args;
  return {
    kind: about.kind === 'call' ? 'call.intent' : 'mcp.request',
    timeMs: on.clock.nowMs(),
    fields: {
      ...exchangeFields(on, exchange),
      ...(about.kind === 'call' ? definitionFields(about.definition) : {}),
      ...(args === undefined ? {} : { argsHash: args.hash, argsBytes: args.span.end - args.span.start }),
      ...labelsField([...(ambiguous ? ['ambiguous_json'] : []), ...boundary.labels]),
      ...boundary.fields,
      ...(holdMs === undefined ? {} : { hold: { budgetMs: holdMs } }),
      ...mcpField(exchange.mcp),
    },
    ...(body === undefined ? {} : { body }),
  };
}

export interface End {
  readonly outcome: Outcome;
  readonly body?: DraftBody | undefined;
  readonly error?: unknown;
  readonly labels?: readonly string[];
  readonly schemaValid?: boolean | undefined;
  readonly mcp?: Readonly<Record<string, unknown>>;
  readonly boundary?: BoundaryFields;
}

function boundaryOf({ labels = [], boundary }: End): Record<string, unknown> {
  return { ...labelsField([...labels, ...(boundary?.labels ?? [])]), ...boundary?.fields };
}

function progressField({ progress }: Exchange): Record<string, unknown> {
  return progress.count === 0 ? {} : { progress };
}

function bodyFields(exchange: Exchange, body: DraftBody | undefined): Record<string, unknown> {
  if (body === undefined) return {};
  const resultBytes = body.span.end - body.span.start;
  // What a person typed may be so short that its hash can be guessed back.
  const hides = exchange.about.kind === 'message' && exchange.about.hidesBodies;
  return hides ? { resultBytes } : { resultHash: body.hash, resultBytes };
}

/** The one result of an exchange, after its request where that was held back; ends the span of a call. */
export function endedDrafts(on: Connection, exchange: Exchange, end: End): readonly EventDraft[] {
  const { about, heldBack } = exchange;
  if (about.kind === 'call') about.span.end(end.outcome);
  exchange.heldBack = undefined;
  const durationMs = Math.max(0, on.clock.monotonicMs() - exchange.startedAtMs);
  const { outcome, error, schemaValid } = end;
  const draft: EventDraft = {
    kind: about.kind === 'call' ? 'call.result' : 'mcp.result',
    timeMs: on.clock.nowMs(),
    fields: {
      ...exchangeFields(on, exchange),
      outcome,
      durationMs: Math.round(durationMs * 1000) / 1000,
      ...bodyFields(exchange, end.body),
      ...given({ error, schemaValid, hold: exchange.hold }),
      ...boundaryOf(end),
      ...mcpField({ ...exchange.mcp, ...progressField(exchange), ...end.mcp }),
    },
    ...(end.body === undefined || (about.kind === 'message' && about.hidesBodies) ? {} : { body: end.body }),
  };
  return heldBack === undefined ? [draft] : [heldBack, draft];
}

/** It did run although it was given up: its answer is kept as body of the call, not as a second result. */
export function lateAnswerDraft(
  on: Connection,
  exchange: Exchange,
  body: DraftBody | undefined,
  boundary: BoundaryFields,
): EventDraft {
  const hides = exchange.about.kind === 'message' && exchange.about.hidesBodies;
  return {
    kind: 'call.body',
    timeMs: on.clock.nowMs(),
    fields: {
      ...exchangeFields(on, exchange),
      labels: ['late_answer', ...boundary.labels],
      ...boundary.fields,
    },
    partsOnly: true,
    ...(body === undefined || hides ? {} : { body }),
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
