/** Event drafts of an exchange: its request, its end, and what came after its end. */
import type { Outcome } from '../../schemas/event/v1.ts';
import type { DraftBody, EventDraft } from './draft.ts';
import type { CallAbout, Exchange, MessageAbout } from './exchange.ts';
import type { Span } from './json-scan.ts';
import type { ObserverOptions } from './observer-options.ts';
import type { BoundaryFields } from './labels/boundary.ts';
import type { Sha256Hex } from './registry.ts';

/** What is the same for all events of a connection. */
export type Connection = Pick<ObserverOptions, 'server' | 'transport' | 'clock'>;

/** Members whose value is there. */
export function given(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const name of Object.keys(fields)) if (fields[name] !== undefined) kept[name] = fields[name];
  return kept;
}

/** Of one shape each: what is undefined stands in no event (JSON.stringify). Objects that are joined from parts cost more than a hash. */
function callFields(on: Connection, exchange: Exchange, about: CallAbout): Record<string, unknown> {
  const { span, parentSpanId, decisionId, verdict, controlId, policy, approvalId, tool } = about;
  return {
    callId: exchange.callId,
    logicalCallId: exchange.logicalCallId,
    decisionId,
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId,
    tool,
    class: about.class,
    verdict,
    controlId,
    approvalId,
    policy,
    server: on.server,
    transport: on.transport,
  };
}

function messageFields(on: Connection, exchange: Exchange, about: MessageAbout): Record<string, unknown> {
  const { method, traceId, parentSpanId, tool, verdict, controlId, policy } = about;
  return {
    callId: exchange.callId,
    logicalCallId: exchange.logicalCallId,
    traceId,
    parentSpanId,
    tool,
    method,
    class: about.class,
    verdict,
    controlId,
    policy,
    server: on.server,
    transport: on.transport,
  };
}

/** A new object. */
function exchangeFields(on: Connection, exchange: Exchange): Record<string, unknown> {
  const { about } = exchange;
  return about.kind === 'call' ? callFields(on, exchange, about) : messageFields(on, exchange, about);
}

function mcpField(mcp: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> | undefined {
  for (const name of Object.keys(mcp)) if (mcp[name] !== undefined) return mcp;
  return undefined;
}

const labelsOrNone = (labels: readonly string[]): readonly string[] | undefined =>
  labels.length === 0 ? undefined : labels;

function setDefinition(fields: Record<string, unknown>, { definition }: CallAbout): void {
  fields['definitionHash'] = definition?.definitionHash;
  fields['annotations'] = definition?.annotations;
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
  const body = hidesBodies(exchange) ? undefined : args;
  const fields = exchangeFields(on, exchange);
  if (about.kind === 'call') setDefinition(fields, about);
  fields['argsHash'] = args?.hash;
  fields['argsBytes'] = args === undefined ? undefined : args.span.end - args.span.start;
  fields['labels'] = labelsOrNone(ambiguous ? ['ambiguous_json', ...boundary.labels] : boundary.labels);
  Object.assign(fields, boundary.fields);
  fields['hold'] = holdMs === undefined ? undefined : { budgetMs: holdMs };
  fields['mcp'] = mcpField(exchange.mcp);
  const draft = {
    kind: about.kind === 'call' ? 'call.intent' : 'mcp.request',
    timeMs: on.clock.nowMs(),
    fields,
  } as const;
  return body === undefined ? draft : { ...draft, body };
}

export interface End {
  readonly outcome: Outcome;
  readonly body?: DraftBody | undefined;
  readonly error?: unknown;
  readonly labels?: readonly string[];
  readonly schemaValid?: boolean | undefined;
  readonly mcp?: Readonly<Record<string, unknown>> | undefined;
  readonly boundary?: BoundaryFields;
}

/** What a person typed may be so short that its hash can be guessed back. */
function hidesBodies({ about }: Exchange): boolean {
  return about.kind === 'message' && about.hidesBodies;
}

/** The one result of an exchange, after its request where that was held back; ends the span of a call. */
export function endedDrafts(on: Connection, exchange: Exchange, end: End): readonly EventDraft[] {
  const { about, heldBack } = exchange;
  if (about.kind === 'call') about.span.end(end.outcome);
  exchange.heldBack = undefined;
  const hides = hidesBodies(exchange);
  const draft = {
    kind: about.kind === 'call' ? 'call.result' : 'mcp.result',
    timeMs: on.clock.nowMs(),
    fields: endFields(on, exchange, end),
  } as const;
  const whole = end.body === undefined || hides ? draft : { ...draft, body: end.body };
  return heldBack === undefined ? [whole] : [heldBack, whole];
}

function endFields(on: Connection, exchange: Exchange, end: End): Record<string, unknown> {
  const { body, labels = [], boundary } = end;
  const durationMs = Math.max(0, on.clock.monotonicMs() - exchange.startedAtMs);
  const fields = exchangeFields(on, exchange);
  fields['outcome'] = end.outcome;
  fields['durationMs'] = Math.round(durationMs * 1000) / 1000;
  fields['resultHash'] = hidesBodies(exchange) ? undefined : body?.hash;
  fields['resultBytes'] = body === undefined ? undefined : body.span.end - body.span.start;
  fields['error'] = end.error;
  fields['schemaValid'] = end.schemaValid;
  fields['hold'] = exchange.hold;
  const found = boundary?.labels ?? [];
  fields['labels'] = labelsOrNone(labels.length === 0 ? found : [...labels, ...found]);
  if (boundary !== undefined) Object.assign(fields, boundary.fields);
  fields['mcp'] = mcpField(mcpOf(exchange, end));
  return fields;
}

function mcpOf({ mcp, progress }: Exchange, end: End): Readonly<Record<string, unknown>> {
  if (progress.count === 0 && end.mcp === undefined) return mcp;
  return { ...mcp, ...(progress.count === 0 ? {} : { progress }), ...end.mcp };
}

/** It did run although it was given up: its answer is kept as body of the call, not as a second result. */
export function lateAnswerDraft(
  on: Connection,
  exchange: Exchange,
  body: DraftBody | undefined,
  boundary: BoundaryFields,
): EventDraft {
  return {
    kind: 'call.body',
    timeMs: on.clock.nowMs(),
    fields: {
      ...exchangeFields(on, exchange),
      labels: ['late_answer', ...boundary.labels],
      ...boundary.fields,
    },
    partsOnly: true,
    ...(body === undefined || hidesBodies(exchange) ? {} : { body }),
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
