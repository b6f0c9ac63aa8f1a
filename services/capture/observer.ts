/**
 * The one observer of tap and decorator: a state machine without I/O. A line of JSON-RPC goes in; what is to be put on
 * record, what is passed on and what the sender is answered come out. Intents must be on record before `forward` leaves.
 */
import type { CallDecision, ControlledCall } from '../../schemas/control/decide.ts';
import type { Control, Refusal } from '../../schemas/control/v1.ts';
import type { Outcome, TRANSPORTS } from '../../schemas/event/v1.ts';
import { ERRORS, type ErrorCode } from '../../schemas/errors.ts';
import { classify, type ClassMappingLine } from '../../detectors/classify/index.ts';
import { PendingCalls, pendingKey, type PendingCall } from './calls.ts';
import { recordableName, type DraftBody, type EventDraft } from './draft.ts';
import { lastMember, objectMembers, type Span } from './json-scan.ts';
import { idKey, readLine, stringAt, valueAt, type Direction, type WireMessage } from './message.ts';
import { opaqueState, readAnswer, recordableMessage, type Answer } from './outcome.ts';
import { ToolRegistry, type Sha256Hex, type Snapshot } from './registry.ts';
import { CallRounds } from './rounds.ts';
import type { SpanSource } from './spans.ts';
import {
  applySplices,
  formatTraceparent,
  parseTraceparent,
  traceparentSplice,
  type Splice,
} from './trace-context.ts';

/** JSON-RPC error code of a refused call (schemas/control/v1.ts REFUSED_RPC_CODE; a test holds them equal). */
export const REFUSED_CODE = -32090;

const REFUSED: ErrorCode = 'control_refused';
const REFUSED_MESSAGE = ERRORS[REFUSED].meaning;

export interface ObserverClock {
  nowMs(): number;
  monotonicMs(): number;
}

export interface ObserverOptions {
  /** The operator's name of the server. */
  readonly server: string;
  readonly transport: (typeof TRANSPORTS)[number];
  readonly agent: string;
  readonly session: string;
  readonly clock: ObserverClock;
  readonly sha256Hex: Sha256Hex;
  /** n random bytes as lower-case hex. */
  readonly randomHex: (bytes: number) => string;
  readonly spans: SpanSource;
  readonly decide: (call: ControlledCall) => CallDecision;
  readonly mappings: () => readonly ClassMappingLine[];
  /** Write our traceparent into calls that leave. Off: not a byte changes. */
  readonly injectTrace: boolean;
  /** A call without an answer for this long is put on record as `timeout`. */
  readonly callTimeoutMs: number;
  readonly maxPendingCalls: number;
}

export interface Observation {
  /** In order; all before `forward` leaves when the line travels to the server. */
  readonly drafts: readonly EventDraft[];
  /** What to pass on: the very same bytes when nothing was changed; undefined when the whole line was refused. */
  readonly forward: Uint8Array | undefined;
  /** JSON texts for the sender of the line (refusals). */
  readonly answers: readonly string[];
}

/** How calls end that are not answered on the wire. */
export interface CallsEnd {
  readonly outcome: Outcome;
  readonly message?: string;
  /** No late answer can come: nothing is kept of the calls. */
  readonly final: boolean;
}

interface LineState {
  readonly drafts: EventDraft[];
  readonly splices: Splice[];
  readonly answers: string[];
  readonly refused: Set<WireMessage>;
}

interface ListRequest {
  readonly first: boolean;
}

interface KnownClass {
  readonly annotations: Readonly<Record<string, unknown>> | undefined;
  readonly class: string;
}

/** Tool names come from a model or an attacker: only so many are remembered. */
const MAX_KNOWN_CLASSES = 1024;
/** tools/list requests in flight; more are not followed. */
const MAX_PENDING_LISTS = 256;

export class Observer {
  readonly #options: ObserverOptions;
  readonly #calls: PendingCalls;
  readonly #registry: ToolRegistry;
  readonly #rounds = new CallRounds();
  readonly #lists = new Map<string, ListRequest>();
  readonly #classes = new Map<string, KnownClass>();
  #classifiedWith: readonly ClassMappingLine[] | undefined;

  constructor(options: ObserverOptions) {
    this.#options = options;
    this.#calls = new PendingCalls(options.maxPendingCalls);
    this.#registry = new ToolRegistry(options.sha256Hex);
  }

  /** Calls without an answer. */
  get pendingCalls(): number {
    return this.#calls.size;
  }

  /**
   * Takes one line (no newline at its end) that travels in `direction`. Ids of one `scope` are a number space of their
   * own: where several clients share a connection's stream, their ids do not meet.
   */
  observe(direction: Direction, line: Uint8Array, scope = ''): Observation {
    const { messages, isBatch } = readLine(line, scope);
    const state: LineState = { drafts: [], splices: [], answers: [], refused: new Set() };
    for (const message of messages) this.#message(direction, message, state);
    return {
      drafts: state.drafts,
      forward: forwarded(line, messages, state),
      answers: joined(state, isBatch),
    };
  }

  /** True when the line holds a tool call on its way to a server; for shells that wait before the first one. */
  static holdsCall(line: Uint8Array): boolean {
    return readLine(line).messages.some((message) => message.method === 'tools/call');
  }

  #message(direction: Direction, message: WireMessage, state: LineState): void {
    // Whatever its id: a server may well run a call that has none, or one that JSON-RPC forbids.
    if (message.method === 'tools/call') return this.#callLeaves(direction, message, state);
    if (message.method === 'tools/list' && message.id !== undefined)
      return this.#listLeaves(direction, message);
    if (message.method === 'notifications/cancelled') return this.#cancelled(direction, message, state);
    if (message.method === undefined && message.id !== undefined) this.#answered(direction, message, state);
  }

  // --- requests

  #callLeaves(direction: Direction, message: WireMessage, state: LineState): void {
    const { bytes, params } = message;
    const tool = recordableName(stringAt(bytes, lastMember(params, 'name')) ?? '');
    const definition = this.#registry.definition(tool);
    const toolClass = this.#classOf(tool, definition?.annotations);
    const decision = this.#options.decide({
      agent: this.#options.agent,
      session: this.#options.session,
      server: this.#options.server,
      tool,
      class: toolClass,
    });
    const body = this.#body('args', bytes, lastMember(params, 'arguments'));
    const call = this.#newCall(direction, message, { tool, toolClass, decision });
    state.drafts.push({
      kind: 'call.intent',
      timeMs: this.#options.clock.nowMs(),
      fields: {
        ...this.#callFields(call),
        ...definitionFields(definition),
        ...(body === undefined ? {} : { argsHash: body.hash, argsBytes: body.span.end - body.span.start }),
        ...(message.ambiguous ? { labels: ['ambiguous_json'] } : {}),
      },
      ...(body === undefined ? {} : { body }),
    });
    if (decision.kind === 'refuse') return this.#refuse(call, decision.control, message, state);
    for (const evicted of this.#calls.add(call)) {
      if (!evicted.ended) state.drafts.push(this.#ended(evicted, 'abandoned'));
    }
    this.#inject(call, message, state);
  }

  /** Class of a listed or called tool; worked out once a tool and list of definitions, not once a call. */
  #classOf(tool: string, annotations: Readonly<Record<string, unknown>> | undefined): string {
    const mappings = this.#options.mappings();
    if (mappings !== this.#classifiedWith || this.#classes.size >= MAX_KNOWN_CLASSES) this.#classes.clear();
    this.#classifiedWith = mappings;
    const known = this.#classes.get(tool);
    if (known !== undefined && known.annotations === annotations) return known.class;
    const { class: found } = classify({ server: this.#options.server, tool, annotations }, mappings);
    this.#classes.set(tool, { annotations, class: found });
    return found;
  }

  #newCall(
    direction: Direction,
    message: WireMessage,
    about: { readonly tool: string; readonly toolClass: string; readonly decision: CallDecision },
  ): PendingCall {
    const meta = lastMember(message.params, '_meta');
    const metaMembers = meta === undefined ? undefined : objectMembers(message.bytes, meta);
    const parent = parseTraceparent(valueAt(message.bytes, lastMember(metaMembers, 'traceparent')));
    const callId = this.#options.randomHex(16);
    return {
      key: pendingKey(direction, message.id?.key ?? ''),
      callId,
      logicalCallId: this.#joinRound(about.tool, message) ?? callId,
      tool: about.tool,
      class: about.toolClass,
      span: this.#options.spans.start({ tool: about.tool, server: this.#options.server, parent }),
      parentSpanId: parent?.spanId,
      startedAtMs: this.#options.clock.monotonicMs(),
      ended: false,
      ...verdictOf(about.decision),
    };
  }

  #joinRound(tool: string, message: WireMessage): string | undefined {
    if (lastMember(message.params, 'inputResponses') === undefined) return undefined;
    const state = lastMember(message.params, 'requestState');
    const stateHash = state === undefined ? undefined : this.#hashText(opaqueState(message.bytes, state));
    return this.#rounds.join(CallRounds.key(tool, stateHash));
  }

  #hashText(text: string): string {
    return this.#options.sha256Hex(new TextEncoder().encode(text));
  }

  #refuse(call: PendingCall, control: Control, message: WireMessage, state: LineState): void {
    state.refused.add(message);
    state.answers.push(refusalAnswer(message, control));
    state.drafts.push(this.#ended(call, 'refused'));
  }

  #inject(call: PendingCall, message: WireMessage, state: LineState): void {
    if (!this.#options.injectTrace) return;
    const splice = traceparentSplice(message, formatTraceparent(call.span));
    if (splice !== undefined) state.splices.push(splice);
  }

  #listLeaves(direction: Direction, message: WireMessage): void {
    if (this.#lists.size >= MAX_PENDING_LISTS) return;
    const first = lastMember(message.params, 'cursor') === undefined;
    this.#lists.set(pendingKey(direction, message.id?.key ?? ''), { first });
  }

  #cancelled(direction: Direction, message: WireMessage, state: LineState): void {
    const key = idKey(message.bytes, lastMember(message.params, 'requestId'));
    const call = key === undefined ? undefined : this.#calls.find(pendingKey(direction, key));
    if (call === undefined) return;
    const reason = stringAt(message.bytes, lastMember(message.params, 'reason'));
    const error = reason === undefined ? {} : { error: { message: recordableMessage(reason) } };
    state.drafts.push(this.#ended(call, 'cancelled', error));
    call.ended = true;
  }

  // --- answers

  #answered(direction: Direction, message: WireMessage, state: LineState): void {
    if (message.result === undefined && message.error === undefined) return;
    // An answer travels against its request.
    const key = pendingKey(direction === 'to_client' ? 'to_server' : 'to_client', message.id?.key ?? '');
    const call = this.#calls.take(key);
    if (call !== undefined) return void state.drafts.push(this.#callAnswered(call, message));
    const list = this.#lists.get(key);
    this.#lists.delete(key);
    if (list === undefined || message.result === undefined) return;
    const snapshot = this.#registry.page(message.bytes, message.result, list.first);
    if (snapshot !== undefined) state.drafts.push(this.#snapshot(snapshot));
  }

  #callAnswered(call: PendingCall, message: WireMessage): EventDraft {
    const body = this.#body('result', message.bytes, message.result ?? message.error);
    if (call.ended) return this.#lateAnswer(call, body);
    const answer = readAnswer(message);
    if (answer.outcome === 'input_required') this.#openRound(call, answer);
    const isResult = message.result !== undefined && body !== undefined;
    return this.#ended(call, answer.outcome, {
      ...(isResult ? { resultHash: body.hash, resultBytes: body.span.end - body.span.start, body } : {}),
      ...(answer.error === undefined ? {} : { error: answer.error }),
      ...(message.ambiguous ? { labels: ['ambiguous_json'] } : {}),
    });
  }

  #openRound(call: PendingCall, answer: Answer): void {
    const hash = answer.requestState === undefined ? undefined : this.#hashText(answer.requestState);
    this.#rounds.open(CallRounds.key(call.tool, hash), call.logicalCallId);
  }

  /** The tool did run although the call was given up: its answer is kept as body of the call, not as a second result. */
  #lateAnswer(call: PendingCall, body: DraftBody | undefined): EventDraft {
    return {
      kind: 'call.body',
      timeMs: this.#options.clock.nowMs(),
      fields: { ...this.#callFields(call), labels: ['late_answer'] },
      partsOnly: true,
      ...(body === undefined ? {} : { body }),
    };
  }

  #snapshot(snapshot: Snapshot): EventDraft {
    const labels = [
      ...(snapshot.changed.length > 0 ? ['definition_changed'] : []),
      ...(snapshot.truncated ? ['tools_truncated'] : []),
    ];
    const tools = snapshot.tools.map((tool) => ({
      name: tool.name,
      definitionHash: tool.definitionHash,
      class: this.#classOf(tool.name, tool.annotations),
      ...(tool.annotations === undefined ? {} : { annotations: tool.annotations }),
    }));
    return {
      kind: 'registry.snapshot',
      timeMs: this.#options.clock.nowMs(),
      fields: {
        server: this.#options.server,
        transport: this.#options.transport,
        ...(labels.length === 0 ? {} : { labels }),
        registry: { snapshotHash: snapshot.snapshotHash, tools },
      },
    };
  }

  // --- ends

  /** Calls that have waited for longer than callTimeoutMs, as `timeout`. Call it now and then. */
  expire(): readonly EventDraft[] {
    const before = this.#options.clock.monotonicMs() - this.#options.callTimeoutMs;
    const drafts: EventDraft[] = [];
    for (const call of this.#calls.all()) {
      if (call.ended || call.startedAtMs > before) continue;
      drafts.push(this.#ended(call, 'timeout'));
      call.ended = true;
    }
    return drafts;
  }

  /** Of these requests, those that are waited for. */
  unanswered(keys: readonly string[]): readonly string[] {
    return keys.filter((key) => this.#calls.find(key) !== undefined || this.#lists.has(key));
  }

  /** Ends requests without their answer; those that ended already, or are not followed, are left alone. */
  endCalls(keys: readonly string[], { outcome, message, final }: CallsEnd): readonly EventDraft[] {
    const drafts: EventDraft[] = [];
    for (const key of keys) {
      this.#lists.delete(key);
      const call = final ? this.#calls.take(key) : this.#calls.find(key);
      if (call === undefined || call.ended) continue;
      drafts.push(this.#ended(call, outcome, message === undefined ? {} : { error: { message } }));
      call.ended = true;
    }
    return drafts;
  }

  /** The connection is gone: every call without a result is `abandoned`, else it would vanish from the record. */
  close(): readonly EventDraft[] {
    const drafts = [...this.#calls.all()]
      .filter((call) => !call.ended)
      .map((call) => this.#ended(call, 'abandoned'));
    this.#calls.clear();
    this.#lists.clear();
    return drafts;
  }

  #callFields(call: PendingCall): Record<string, unknown> {
    return {
      callId: call.callId,
      logicalCallId: call.logicalCallId,
      traceId: call.span.traceId,
      spanId: call.span.spanId,
      ...(call.parentSpanId === undefined ? {} : { parentSpanId: call.parentSpanId }),
      server: this.#options.server,
      transport: this.#options.transport,
      tool: call.tool,
      class: call.class,
      verdict: call.verdict,
      ...(call.controlId === undefined ? {} : { controlId: call.controlId }),
    };
  }

  #ended(
    call: PendingCall,
    outcome: Outcome,
    more: Readonly<Record<string, unknown>> & { readonly body?: DraftBody } = {},
  ): EventDraft {
    call.span.end(outcome);
    const { body, ...fields } = more;
    const durationMs = Math.max(0, this.#options.clock.monotonicMs() - call.startedAtMs);
    return {
      kind: 'call.result',
      timeMs: this.#options.clock.nowMs(),
      fields: {
        ...this.#callFields(call),
        outcome,
        durationMs: Math.round(durationMs * 1000) / 1000,
        ...fields,
      },
      ...(body === undefined ? {} : { body }),
    };
  }

  #body(of: 'args' | 'result', bytes: Uint8Array, span: Span | undefined): DraftBody | undefined {
    if (span === undefined) return undefined;
    return { of, bytes, span, hash: this.#options.sha256Hex(bytes.subarray(span.start, span.end)) };
  }
}

function verdictOf(decision: CallDecision): {
  readonly verdict: string;
  readonly controlId: string | undefined;
} {
  switch (decision.kind) {
    case 'allow':
      return { verdict: 'allow', controlId: undefined };
    case 'shadow':
      return { verdict: 'shadow_refuse', controlId: decision.control.id };
    case 'refuse':
      return { verdict: 'refuse', controlId: decision.control.id };
  }
}

function definitionFields(definition: ReturnType<ToolRegistry['definition']>): Record<string, unknown> {
  if (definition === undefined) return {};
  const { definitionHash, annotations } = definition;
  return annotations === undefined ? { definitionHash } : { definitionHash, annotations };
}

/** The JSON-RPC error for a refused call; the id goes back as the sender wrote it. */
function refusalAnswer(message: WireMessage, control: Control): string {
  const data: Refusal = {
    controlId: control.id,
    scope: control.scope,
    mode: control.mode,
    expiresAt: control.expiresAt,
    reason: control.reason,
  };
  const error = { code: REFUSED_CODE, message: REFUSED_MESSAGE, data };
  return `{"jsonrpc":"2.0","id":${message.id?.raw ?? 'null'},"error":${JSON.stringify(error)}}`;
}

/** Refusals of one batch are answered as one batch. */
function joined(state: LineState, isBatch: boolean): readonly string[] {
  if (state.answers.length === 0 || !isBatch) return state.answers;
  return [`[${state.answers.join(',')}]`];
}

function forwarded(
  line: Uint8Array,
  messages: readonly WireMessage[],
  state: LineState,
): Uint8Array | undefined {
  if (state.refused.size === 0) return applySplices(line, state.splices);
  const kept = messages.filter((message) => !state.refused.has(message));
  if (kept.length === 0) return undefined;
  const decoder = new TextDecoder();
  // What is left of a batch: each element with its own splices, byte for byte.
  const parts = kept.map((message) => {
    const { start, end } = message.span;
    const own = state.splices
      .filter((splice) => splice.start >= start && splice.end <= end)
      .map((splice) => ({ ...splice, start: splice.start - start, end: splice.end - start }));
    return decoder.decode(applySplices(line.subarray(start, end), own));
  });
  return new TextEncoder().encode(`[${parts.join(',')}]`);
}
