/** Tool calls: what leaves, whether it may, and how its answer is read. */
import type { CallDecision } from '../../schemas/control/decide.ts';
import type { Control } from '../../schemas/control/v1.ts';
import type { ToolClass } from '../../schemas/event/v1.ts';
import { taskAt } from './describe.ts';
import { recordableName, type DraftBody } from './draft.ts';
import { verdictOf, type CallAbout, type Exchange } from './exchange.ts';
import { bodyOf, endedDrafts, given, lateAnswerDraft, requestDraft, type End } from './exchange-drafts.ts';
import { fitsInline } from './encode.ts';
import { holdRefusal, type Held, type HeldCall, type Settled } from './holds.ts';
import type { PolicyAnswer, PolicyCall, Refused, ShownArgs } from './policy/call-policy.ts';
import { lastMember, type Member } from './json-scan.ts';
import type { BoundaryFields } from './labels/boundary.ts';
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

/** A control, or the policy with what it has to say beside. */
type RefusedBy = Pick<Refused, 'control'> & Partial<Pick<Refused, 'detail' | 'after'>>;

interface JudgedCall {
  readonly tool: string;
  readonly class: string;
  readonly definition: ToolDefinition | undefined;
  readonly args: DraftBody | undefined;
  readonly hosts: readonly string[];
  readonly boundary: BoundaryFields;
  readonly policyCall: PolicyCall;
  readonly decision: CallDecision;
  /** undefined where there is no policy, or a control has refused the call before it. */
  readonly answer: PolicyAnswer | undefined;
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
    const { ambiguous } = message;
    const judged = this.#judge(message);
    const { tool, hosts, args, boundary, decision, answer } = judged;
    const meta = metaOf(message);
    const about = this.#about(message, meta, judged);
    const round = this.#parts.rounds.join(tool, message);
    const call = newExchange(this.#options, { direction, message, meta, about, mcp: {}, hosts, round });
    const refused = refusedBy(decision, answer);
    const holdMs = refused === undefined ? this.#holdMs(judged.class) : undefined;
    if (answer?.kind === 'pass') state.drafts.push(...answer.before);
    const draft =
      state.drafts.push(requestDraft(this.#options, call, { args, ambiguous, boundary, holdMs })) - 1;
    if (refused !== undefined) return this.#refused(call, message, state, refused);
    this.#parts.exchanges.open(call, state);
    if (round !== undefined) this.#parts.messages.inputsAnswered(message, round, state);
    this.#inject(about, message, state);
    const approved = this.#approval(judged);
    if (holdMs === undefined && approved === undefined) return;
    state.held.push({ call, message, draft, isHeld: holdMs !== undefined, approved });
  }

  /** What the call is, and what controls and policy say of it. */
  #judge(message: WireMessage): JudgedCall {
    const { bytes, params } = message;
    const name = stringAt(bytes, lastMember(params, 'name')) ?? '';
    const tool = recordableName(name);
    const definition = this.#parts.lists.definition(tool);
    const toolClass = this.#parts.classes.of(tool, definition?.annotations);
    const { agent, session, server, sha256Hex } = this.#options;
    const decision = this.#options.decide({ agent, session, server, tool, class: toolClass });
    const argsSpan = lastMember(params, 'arguments');
    const args = bodyOf('args', bytes, argsSpan, sha256Hex);
    const hosts = this.#parts.boundary.hosts(bytes, argsSpan);
    const boundary = this.#parts.boundary.request(args, { tool, class: toolClass, hosts });
    // Of a name that cannot be recorded as it is, the server would run another tool than the policy has looked at.
    const ambiguous = message.ambiguous || name !== tool;
    const policyCall = policyCallOf(
      { tool, class: toolClass, args, labels: boundary.labels, ambiguous },
      this.#options.shown,
    );
    const answer = decision.kind === 'refuse' ? undefined : this.#options.policy?.decide(policyCall);
    return { tool, class: toolClass, definition, args, hosts, boundary, policyCall, decision, answer };
  }

  /** Waits for the approval of a call that does. */
  #approval({ policyCall, answer }: JudgedCall): HeldCall['approved'] {
    const { policy } = this.#options;
    return answer?.kind === 'wait' && policy !== undefined
      ? () => policy.wait(policyCall, answer)
      : undefined;
  }

  #refused(
    call: Exchange,
    message: WireMessage,
    state: LineState,
    { control, detail, after = [] }: RefusedBy,
  ): void {
    state.refused.add(message);
    state.answers.push(refusalAnswer(message, control, detail));
    state.drafts.push(...endedDrafts(this.#options, call, { outcome: 'refused' }), ...after);
  }

  #holdMs(toolClass: string): number | undefined {
    const { hold } = this.#options;
    return hold?.classes.has(toolClass as ToolClass) === true ? hold.budgetMs : undefined;
  }

  /** A call that waited; one that was cancelled or abandoned meanwhile does not leave either. */
  settle({ call, message }: HeldCall, settled: Settled, state: LineState): void {
    const { held, approval } = settled;
    if (approval?.kind === 'granted') state.drafts.push(...approval.before);
    if (call.ended || !this.#parts.exchanges.isOpen(call)) return void state.refused.add(message);
    call.hold = held?.field;
    const refused = this.#settledBy(call, settled);
    if (refused === undefined) return;
    this.#parts.exchanges.remove(call);
    this.#refused(call, message, state, refused);
  }

  /** Who refuses a call that waited, as its result will say. */
  #settledBy(call: Exchange, { held, approval }: Settled): RefusedBy | undefined {
    if (approval?.kind === 'refused') {
      const { verdict, policy } = approval.refused;
      call.about = { ...(call.about as CallAbout), verdict, policy };
      return approval.refused;
    }
    const control = approval === undefined ? undefined : this.#approved(call, approval.approvalId);
    if (control === undefined && held?.refused !== true) return undefined;
    const about = call.about as CallAbout;
    call.about = { ...about, verdict: 'refuse' };
    return { control: control ?? holdRefusal(held as Held, about, this.#options.clock.nowMs()) };
  }

  /** The granted call goes on record as such; the kill that came while somebody thought about it, if one did. */
  #approved(call: Exchange, approvalId: string): Control | undefined {
    const { agent, session, server } = this.#options;
    const about = call.about as CallAbout;
    const decision = this.#options.decide({ agent, session, server, tool: about.tool, class: about.class });
    call.about = { ...about, ...verdictOf(decision), approvalId };
    return decision.kind === 'refuse' ? decision.control : undefined;
  }

  #about(
    message: WireMessage,
    meta: readonly Member[] | undefined,
    { tool, class: toolClass, definition, decision, answer }: JudgedCall,
  ): CallAbout {
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
      ...verdictOf(decision, answer),
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

/** Who refuses a call at once. */
function refusedBy(decision: CallDecision, answer: PolicyAnswer | undefined): RefusedBy | undefined {
  if (decision.kind === 'refuse') return { control: decision.control };
  return answer?.kind === 'refuse' ? answer : undefined;
}

/** What the policy is asked of a call. */
function policyCallOf(
  call: {
    readonly tool: string;
    readonly class: string;
    readonly args: DraftBody | undefined;
    readonly labels: readonly string[];
    readonly ambiguous: boolean;
  },
  shownAs: ObserverOptions['shown'],
): PolicyCall {
  const { args, labels, ...named } = call;
  let known: ShownArgs | undefined;
  const shown = (): ShownArgs => {
    if (args === undefined) return { hash: undefined, isShowable: true };
    return shownAs?.(args, named.tool) ?? { hash: args.hash, isShowable: fitsInline(args) };
  };
  // The bytes of the line are gone when a call that waited is asked about again.
  return { ...named, kind: 'call', shown: () => (known ??= shown()), labels: () => labels };
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
