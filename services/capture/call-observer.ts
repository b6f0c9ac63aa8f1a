/** Tool calls: what leaves, whether it may, and how its answer is read. */
import type { CallDecision } from '../../schemas/control/decide.ts';
import type { ToolClass } from '../../schemas/event/v1.ts';
import { taskAt } from './describe.ts';
import { recordableName } from './draft.ts';
import { verdictOf, type CallAbout, type Exchange } from './exchange.ts';
import { bodyOf, endedDrafts, given, lateAnswerDraft, requestDraft, type End } from './exchange-drafts.ts';
import { holdRefusal, type Held, type HeldCall } from './holds.ts';
import { lastMember, type Member } from './json-scan.ts';
import type { LineState } from './line-state.ts';
import type { MessageObserver, Shared } from './message-observer.ts';
import { stringAt, valueAt, type Direction, type WireMessage } from './message.ts';
import { metaOf, newExchange, parentOf } from './new-exchange.ts';
import type { ObserverOptions } from './observer-options.ts';
import { readAnswer, type Answer } from './outcome.ts';
import { refusalAnswer } from './refusal.ts';
import type { ToolDefinition } from './registry.ts';
import type { ToolClasses } from './tool-classes.ts';
import type { ToolLists } from './tool-lists.ts';
import { formatTraceparent, traceparentSplice } from './trace-context.ts';

/** Structured output that is looked at; a longer one stays unchecked. */
const MAX_STRUCTURED_BYTES = 256 * 1024;

export interface CallParts extends Shared {
  readonly lists: ToolLists;
  readonly classes: ToolClasses;
  readonly messages: MessageObserver;
}

export class CallObserver {
  readonly #options: ObserverOptions;
  readonly #parts: CallParts;
  #decisionId: string | undefined;

  constructor(options: ObserverOptions, parts: CallParts) {
    this.#options = options;
    this.#parts = parts;
  }

  /** The next call follows from this decision. */
  decided(decisionId: string): void {
    this.#decisionId = decisionId;
  }

  leaves(direction: Direction, message: WireMessage, state: LineState): void {
    const { bytes, params, ambiguous } = message;
    const tool = recordableName(stringAt(bytes, lastMember(params, 'name')) ?? '');
    const definition = this.#parts.lists.definition(tool);
    const toolClass = this.#parts.classes.of(tool, definition?.annotations);
    const { agent, session, server, sha256Hex } = this.#options;
    const decision = this.#options.decide({ agent, session, server, tool, class: toolClass });
    const meta = metaOf(message);
    const about = this.#about(message, meta, { tool, class: toolClass, definition, decision });
    const round = this.#parts.rounds.join(tool, message);
    const argsSpan = lastMember(params, 'arguments');
    const args = bodyOf('args', bytes, argsSpan, sha256Hex);
    const hosts = this.#parts.boundary.hosts(bytes, argsSpan);
    const call = newExchange(this.#options, { direction, message, meta, about, mcp: {}, hosts, round });
    const boundary = this.#parts.boundary.request(args, { ...about, hosts });
    const holdMs = this.#holdMs(toolClass, decision);
    const draft = state.drafts.push(requestDraft(this.#options, call, { args, ambiguous, boundary, holdMs })) - 1;
    if (decision.kind === 'refuse') {
      state.refused.add(message);
      state.answers.push(refusalAnswer(message, decision.control));
      state.drafts.push(...endedDrafts(this.#options, call, { outcome: 'refused' }));
      return;
    }
    this.#parts.exchanges.open(call, state);
    if (round !== undefined) this.#parts.messages.inputsAnswered(message, round, state);
    this.#inject(about, message, state);
    if (holdMs !== undefined) state.held.push({ call, message, draft });
  }

  #holdMs(toolClass: string, decision: CallDecision): number | undefined {
    const { hold } = this.#options;
    return decision.kind !== 'refuse' && hold?.classes.has(toolClass as ToolClass) === true
      ? hold.budgetMs
      : undefined;
  }

  /** A call that was held back; one that was cancelled or abandoned meanwhile does not leave either. */
  settle({ call, message }: HeldCall, held: Held, state: LineState): void {
    if (call.ended || !this.#parts.exchanges.isOpen(call)) return void state.refused.add(message);
    call.hold = held.field;
    if (!held.refused) return;
    this.#parts.exchanges.remove(call);
    state.refused.add(message);
    const about = call.about as CallAbout;
    const control = holdRefusal(held, about, this.#options.clock.nowMs());
    state.answers.push(refusalAnswer(message, control));
    call.about = { ...about, verdict: 'refuse' };
    state.drafts.push(...endedDrafts(this.#options, call, { outcome: 'refused' }));
  }

  #about(
    message: WireMessage,
    meta: readonly Member[] | undefined,
    of: {
      readonly tool: string;
      readonly class: string;
      readonly definition: ToolDefinition | undefined;
      readonly decision: CallDecision;
    },
  ): CallAbout {
    const { tool, class: toolClass, definition, decision } = of;
    const parent = parentOf(message, meta);
    const decisionId = this.#decisionId;
    this.#decisionId = undefined;
    return {
      kind: 'call',
      tool,
      class: toolClass,
      span: this.#options.spans.start({ tool, server: this.#options.server, parent }),
      parentSpanId: parent?.spanId,
      decisionId,
      definition,
      ...verdictOf(decision),
    };
  }

  #inject({ span }: CallAbout, message: WireMessage, state: LineState): void {
    if (!this.#options.injectTrace) return;
    const splice = traceparentSplice(message, formatTraceparent(span));
    if (splice !== undefined) state.splices.push(splice);
  }

  /** An answer to `call`; `members` are those of its result. */
  answered(
    call: Exchange & { readonly about: CallAbout },
    message: WireMessage,
    members: readonly Member[] | undefined,
    state: LineState,
  ): void {
    const { bytes } = message;
    const body = bodyOf('result', bytes, message.result ?? message.error, this.#options.sha256Hex);
    const boundary = this.#parts.messages.crossed(call, message, members, body);
    state.splices.push(...boundary.splices);
    if (call.ended) return void state.drafts.push(lateAnswerDraft(this.#options, call, body, boundary));
    const answer = readAnswer(message, members);
    const promised = answer.outcome === 'ok' ? heldToPromise(call.about.definition, bytes, members) : {};
    const labels = [...(message.ambiguous ? ['ambiguous_json'] : []), ...(promised.labels ?? [])];
    state.drafts.push(
      ...endedDrafts(this.#options, call, {
        outcome: answer.outcome,
        ...(message.result === undefined ? {} : { body }),
        error: answer.error,
        ...promised,
        labels,
        boundary,
        mcp: this.#answerFields(call, answer, bytes, members),
      }),
    );
    if (answer.outcome === 'input_required')
      this.#parts.messages.inputRequired(call, answer, { message, members }, state);
  }

  #answerFields(
    call: Exchange,
    answer: Answer,
    bytes: Uint8Array,
    members: readonly Member[] | undefined,
  ): Readonly<Record<string, unknown>> {
    const requestStateHash = this.#parts.rounds.stateHash(answer.requestState);
    if (answer.outcome !== 'task_created') return given({ requestStateHash });
    const task = taskAt(bytes, members);
    if (task === undefined) return {};
    this.#parts.tasks.created(task, call);
    return given({ taskId: task.taskId, taskStatus: task.status });
  }
}

/** MCP: a tool with an outputSchema answers with structuredContent that fits it. Free text instead can say anything. */
function heldToPromise(
  definition: ToolDefinition | undefined,
  bytes: Uint8Array,
  members: readonly Member[] | undefined,
): Pick<End, 'schemaValid' | 'labels'> {
  const schema = definition?.outputSchema;
  if (schema === undefined) return {};
  const structured = lastMember(members, 'structuredContent');
  if (structured === undefined) return { schemaValid: false, labels: ['unstructured_result'] };
  const value = valueAt(bytes, structured, MAX_STRUCTURED_BYTES);
  const verdict = value === undefined ? 'unchecked' : schema.check(value);
  switch (verdict) {
    case 'valid':
      return { schemaValid: true };
    case 'invalid':
      return { schemaValid: false };
    case 'unchecked':
      return { labels: ['schema_unchecked'] };
  }
}

export function isCall(exchange: Exchange): exchange is Exchange & { readonly about: CallAbout } {
  return exchange.about.kind === 'call';
}
