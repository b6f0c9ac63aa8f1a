/** Tool calls of a connection, from the moment they leave to their one result. */
import type { CallDecision } from '../../schemas/control/decide.ts';
import { bodyOf, endedDraft, intentDraft, lateAnswerDraft } from './call-drafts.ts';
import { PendingCalls, pendingKey, type PendingCall } from './calls.ts';
import { recordableName, type EventDraft } from './draft.ts';
import { lastMember, objectMembers } from './json-scan.ts';
import type { LineState } from './line-state.ts';
import { idKey, stringAt, valueAt, type Direction, type WireMessage } from './message.ts';
import type { ObserverOptions } from './observer-options.ts';
import { opaqueState, readAnswer, recordableMessage, type Answer } from './outcome.ts';
import { refusalAnswer } from './refusal.ts';
import { CallRounds } from './rounds.ts';
import type { ToolClasses } from './tool-classes.ts';
import type { ToolLists } from './tool-lists.ts';
import { formatTraceparent, parseTraceparent, traceparentSplice } from './trace-context.ts';

export class CallObserver {
  readonly #options: ObserverOptions;
  readonly #lists: ToolLists;
  readonly #classes: ToolClasses;
  readonly #calls: PendingCalls;
  readonly #rounds = new CallRounds();

  constructor(options: ObserverOptions, known: { readonly lists: ToolLists; readonly classes: ToolClasses }) {
    this.#options = options;
    this.#lists = known.lists;
    this.#classes = known.classes;
    this.#calls = new PendingCalls(options.maxPendingCalls);
  }

  /** Calls without an answer. */
  get pending(): number {
    return this.#calls.size;
  }

  leaves(direction: Direction, message: WireMessage, state: LineState): void {
    const { bytes, params } = message;
    const tool = recordableName(stringAt(bytes, lastMember(params, 'name')) ?? '');
    const definition = this.#lists.definition(tool);
    const toolClass = this.#classes.of(tool, definition?.annotations);
    const { agent, session, server, sha256Hex } = this.#options;
    const decision = this.#options.decide({ agent, session, server, tool, class: toolClass });
    const call = this.#newCall(direction, message, { tool, toolClass, decision });
    const args = bodyOf('args', bytes, lastMember(params, 'arguments'), sha256Hex);
    const { ambiguous } = message;
    state.drafts.push(intentDraft(this.#options, call, { definition, args, ambiguous }));
    if (decision.kind === 'refuse') {
      state.refused.add(message);
      state.answers.push(refusalAnswer(message, decision.control));
      state.drafts.push(endedDraft(this.#options, call, { outcome: 'refused' }));
      return;
    }
    for (const evicted of this.#calls.add(call)) {
      if (!evicted.ended) state.drafts.push(endedDraft(this.#options, evicted, { outcome: 'abandoned' }));
    }
    this.#inject(call, message, state);
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

  #inject(call: PendingCall, message: WireMessage, state: LineState): void {
    if (!this.#options.injectTrace) return;
    const splice = traceparentSplice(message, formatTraceparent(call.span));
    if (splice !== undefined) state.splices.push(splice);
  }

  cancelled(direction: Direction, message: WireMessage, state: LineState): void {
    const key = idKey(message.bytes, lastMember(message.params, 'requestId'));
    const call = key === undefined ? undefined : this.#calls.find(pendingKey(direction, key));
    if (call === undefined) return;
    const reason = stringAt(message.bytes, lastMember(message.params, 'reason'));
    const error = reason === undefined ? {} : { error: { message: recordableMessage(reason) } };
    state.drafts.push(endedDraft(this.#options, call, { outcome: 'cancelled', ...error }));
    call.ended = true;
  }

  /** The draft that the answer gives; undefined where no call waits under this key. */
  answered(key: string, message: WireMessage): EventDraft | undefined {
    const call = this.#calls.take(key);
    if (call === undefined) return undefined;
    const { bytes } = message;
    const body = bodyOf('result', bytes, message.result ?? message.error, this.#options.sha256Hex);
    if (call.ended) return lateAnswerDraft(this.#options, call, body);
    const answer = readAnswer(message);
    if (answer.outcome === 'input_required') this.#openRound(call, answer);
    const isResult = message.result !== undefined && body !== undefined;
    return endedDraft(this.#options, call, {
      outcome: answer.outcome,
      ...(isResult ? { resultHash: body.hash, resultBytes: body.span.end - body.span.start, body } : {}),
      ...(answer.error === undefined ? {} : { error: answer.error }),
      ...(message.ambiguous ? { labels: ['ambiguous_json'] } : {}),
    });
  }

  #openRound(call: PendingCall, answer: Answer): void {
    const hash = answer.requestState === undefined ? undefined : this.#hashText(answer.requestState);
    this.#rounds.open(CallRounds.key(call.tool, hash), call.logicalCallId);
  }

  /** Calls that have waited for longer than callTimeoutMs, as `timeout`. */
  expire(): readonly EventDraft[] {
    const before = this.#options.clock.monotonicMs() - this.#options.callTimeoutMs;
    const drafts: EventDraft[] = [];
    for (const call of this.#calls.all()) {
      if (call.ended || call.startedAtMs > before) continue;
      drafts.push(endedDraft(this.#options, call, { outcome: 'timeout' }));
      call.ended = true;
    }
    return drafts;
  }

  /** Every call without a result is `abandoned`, else it would vanish from the record. */
  close(): readonly EventDraft[] {
    const drafts = [...this.#calls.all()]
      .filter((call) => !call.ended)
      .map((call) => endedDraft(this.#options, call, { outcome: 'abandoned' }));
    this.#calls.clear();
    return drafts;
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
