/**
 * Messages of MCP that are no tool calls: what is read (resources, prompts), what a server asks of a client (sampling,
 * elicitation, roots), tasks, and all others. Reads bring content into the context and can carry data out, so controls
 * hold for them as for calls.
 */
import type { CallDecision } from '../../schemas/control/decide.ts';
import { classify } from '../../detectors/classify/index.ts';
import { describeAnswer, describeMessage, ELICITATION, taskAt, type TaskState } from './describe.ts';
import { recordableName, type DraftBody } from './draft.ts';
import { against, senderOf, verdictOf, type Exchange, type MessageAbout } from './exchange.ts';
import { bodyOf, endedDrafts, given, lateAnswerDraft, requestDraft } from './exchange-drafts.ts';
import type { Exchanges } from './exchanges.ts';
import { answerInputs, inputRequests, type InputRequest } from './input-requests.ts';
import { objectMembers, type Member } from './json-scan.ts';
import { NO_ANSWER, type AnswerFields, type Boundary } from './labels/boundary.ts';
import type { LineState } from './line-state.ts';
import type { Direction, WireMessage } from './message.ts';
import { metaOf, newExchange, parentOf } from './new-exchange.ts';
import type { ObserverOptions } from './observer-options.ts';
import { readAnswer, type Answer } from './outcome.ts';
import type { PolicyAnswer, PolicyCall } from './policy/call-policy.ts';
import { refusalAnswer } from './refusal.ts';
import type { JoinedRound, RequestRounds } from './rounds.ts';
import type { Tasks } from './tasks.ts';

/** Requests that a control refuses: they fetch content, or bring arguments of the agent to a server. */
const CONTROLLED: ReadonlySet<string> = new Set([
  'resources/read',
  'resources/subscribe',
  'prompts/get',
  'completion/complete',
]);
/** Their results bring content to the model, as those of tool calls do. */
const BRINGS_CONTENT: ReadonlySet<string> = new Set([
  'resources/read',
  'prompts/get',
  'tasks/result',
  'tasks/get',
]);
const SUBSCRIPTION = 'subscriptions/listen';
/** Clients poll: what says nothing new is counted (tasks.ts). */
const POLL = 'tasks/get';

/** True where a control may refuse it on its way to a server. */
export function isControlled(method: string | undefined): boolean {
  return method !== undefined && CONTROLLED.has(method);
}

/** What is shared with the calls of the connection. */
export interface Shared {
  readonly exchanges: Exchanges;
  readonly rounds: RequestRounds;
  readonly tasks: Tasks;
  readonly boundary: Boundary;
}

export class MessageObserver {
  readonly #options: ObserverOptions;
  readonly #shared: Shared;

  constructor(options: ObserverOptions, shared: Shared) {
    this.#options = options;
    this.#shared = shared;
  }

  leaves(direction: Direction, message: WireMessage, state: LineState): void {
    const method = recordableName(message.method ?? '');
    const mcp = { sender: senderOf(direction), ...describeMessage(method, message.bytes, message.params) };
    const round = this.#shared.rounds.join(subjectOf(method, mcp), message);
    const about = this.#about(method, mcp, message);
    const { decision, answer } = this.#judge(direction, message, about);
    const verdict = decision === undefined ? {} : verdictOf(decision, answer);
    const exchange = newExchange(this.#options, {
      direction,
      message,
      meta: metaOf(message),
      about: { ...about, ...verdict },
      mcp,
      hosts: this.#hosts(method, message),
      round,
      logicalCallId: this.#originOf(mcp)?.logicalCallId,
    });
    this.#request(exchange, message, state);
    const refusal = refusalOf(message, decision, answer);
    if (refusal !== undefined) {
      state.refused.add(message);
      state.answers.push(refusal);
      state.drafts.push(...endedDrafts(this.#options, exchange, { outcome: 'refused' }));
      return;
    }
    this.#shared.exchanges.open(exchange, state);
    if (round !== undefined) this.inputsAnswered(message, round, state);
  }

  /** What controls and policy say of a read on its way to a server; nothing of any other message. */
  #judge(
    direction: Direction,
    message: WireMessage,
    about: MessageAbout,
  ): { readonly decision?: CallDecision; readonly answer?: PolicyAnswer | undefined } {
    const { method } = about;
    if (direction !== 'to_server' || !isControlled(method)) return {};
    const decision = this.#options.decide({ ...this.#who(), tool: method, class: about.class ?? 'other' });
    if (decision.kind === 'refuse') return { decision };
    return { decision, answer: this.#options.policy?.decide(this.#readOf(method, about, message)) };
  }

  /** What the policy is asked of a read: its method stands for the tool, and nobody approves it. */
  #readOf(method: string, about: MessageAbout, message: WireMessage): PolicyCall {
    const { bytes, paramsSpan } = message;
    return {
      kind: 'read',
      tool: method,
      class: about.class ?? 'other',
      ambiguous: message.ambiguous || message.method !== method,
      shown: () => ({ hash: undefined, isShowable: false }),
      labels: () => {
        const args = bodyOf('args', bytes, paramsSpan, this.#options.sha256Hex);
        return this.#shared.boundary.request(args, { ...about, hosts: [] }).labels;
      },
    };
  }

  #hosts(method: string, { bytes, paramsSpan }: WireMessage): readonly string[] {
    return BRINGS_CONTENT.has(method) ? this.#shared.boundary.hosts(bytes, paramsSpan) : [];
  }

  #who(): { readonly agent: string; readonly session: string; readonly server: string } {
    const { agent, session, server } = this.#options;
    return { agent, session, server };
  }

  #originOf(mcp: Readonly<Record<string, unknown>>): ReturnType<Tasks['origin']> {
    const taskId = mcp['taskId'];
    return typeof taskId === 'string' ? this.#shared.tasks.origin(taskId) : undefined;
  }

  #about(method: string, mcp: Readonly<Record<string, unknown>>, message: WireMessage): MessageAbout {
    const parent = parentOf(message, metaOf(message));
    const origin = this.#originOf(mcp);
    const uri = mcp['uri'];
    const { server } = this.#options;
    const read = { server, method, mcp: typeof uri === 'string' ? { uri } : {} };
    return {
      kind: 'message',
      method,
      traceId: parent?.traceId,
      parentSpanId: parent?.spanId,
      tool: origin?.tool,
      class: origin?.class ?? classify(read, this.#options.mappings()).class,
      hidesBodies: method === ELICITATION,
      isSubscription: method === SUBSCRIPTION,
    };
  }

  #request(exchange: Exchange, message: WireMessage, state: LineState): void {
    const args = bodyOf('args', message.bytes, message.paramsSpan, this.#options.sha256Hex);
    const { about, hosts } = exchange;
    const hides = about.kind === 'message' && about.hidesBodies;
    const boundary = this.#shared.boundary.request(hides ? undefined : args, { ...about, hosts });
    const draft = requestDraft(this.#options, exchange, { args, ambiguous: message.ambiguous, boundary });
    const isPoll = about.kind === 'message' && about.method === POLL;
    if (!isPoll || message.id === undefined) return void state.drafts.push(draft);
    // The bytes of its body are gone when its answer comes; what it asks is in its fields.
    const { body: _gone, ...held } = draft;
    exchange.heldBack = held;
  }

  /** An answer to `exchange`, whose `about` is a message; `members` are those of its result. */
  answered(
    exchange: Exchange & { readonly about: MessageAbout },
    message: WireMessage,
    members: readonly Member[] | undefined,
    state: LineState,
  ): void {
    const { bytes } = message;
    const { method } = exchange.about;
    const body = bodyOf('result', bytes, message.result ?? message.error, this.#options.sha256Hex);
    const boundary = this.crossed(exchange, message, members, body);
    state.splices.push(...boundary.splices);
    if (exchange.ended)
      return void state.drafts.push(lateAnswerDraft(this.#options, exchange, body, boundary));
    const answer = readAnswer(message, members);
    const task = this.#taskSeen(exchange, answer, taskAt(bytes, members));
    if (task === 'nothing_new') return;
    const isResult = message.result !== undefined;
    state.drafts.push(
      ...endedDrafts(this.#options, exchange, {
        outcome: answer.outcome,
        ...(isResult ? { body } : {}),
        error: answer.error,
        labels: message.ambiguous ? ['ambiguous_json'] : [],
        boundary,
        mcp: {
          ...describeAnswer(method, bytes, members),
          ...task,
          ...given({ requestStateHash: this.#shared.rounds.stateHash(answer.requestState) }),
        },
      }),
    );
    if (answer.outcome === 'input_required')
      this.inputRequired(exchange, answer, { message, members }, state);
  }

  /** How the result of `exchange` is labelled, and what of it the host wants on the wire. */
  crossed(
    { about, hosts, direction }: Exchange,
    message: WireMessage,
    members: readonly Member[] | undefined,
    body: DraftBody | undefined,
  ): AnswerFields {
    const isContent = about.kind === 'call' || (BRINGS_CONTENT.has(about.method) && !about.hidesBodies);
    if (!isContent || message.result === undefined) return NO_ANSWER;
    return this.#shared.boundary.answer(body, members, { ...about, hosts }, direction === 'to_server');
  }

  #taskSeen(
    exchange: Exchange,
    answer: Answer,
    task: TaskState | undefined,
  ): Readonly<Record<string, unknown>> | 'nothing_new' {
    if (task === undefined) return {};
    const fields = given({ taskId: task.taskId, taskStatus: task.status });
    if (answer.outcome === 'task_created') {
      this.#shared.tasks.created(task, exchange);
      return fields;
    }
    const news = this.#shared.tasks.seen(task);
    if (news === undefined) return exchange.heldBack === undefined ? fields : 'nothing_new';
    return news.skipped === 0 ? fields : { ...fields, skipped: news.skipped };
  }

  /** A request has to be repeated with what the client is asked for: the next round is known, and what is asked on record. */
  inputRequired(
    exchange: Exchange,
    answer: Answer,
    of: { readonly message: WireMessage; readonly members: readonly Member[] | undefined },
    state: LineState,
  ): void {
    const { logicalCallId, about, mcp, direction } = exchange;
    const number = typeof mcp['round'] === 'number' ? mcp['round'] : 1;
    const round = { logicalCallId, number };
    const { rounds } = this.#shared;
    const subject = about.kind === 'call' ? about.tool : subjectOf(about.method, mcp);
    rounds.open(subject, rounds.stateHash(answer.requestState), round);
    for (const input of inputRequests(of.message, of.members, round))
      this.#asked(against(direction), input, state);
  }

  #asked(direction: Direction, input: InputRequest, state: LineState): void {
    const { method, message, key, logicalCallId } = input;
    const mcp = { sender: senderOf(direction), ...describeMessage(method, message.bytes, message.params) };
    const about = this.#about(method, mcp, message);
    const meta = metaOf(message);
    const of = { direction, message, meta, about, mcp, hosts: [], key, logicalCallId };
    const exchange = newExchange(this.#options, of);
    this.#request(exchange, message, state);
    this.#shared.exchanges.open(exchange, state);
  }

  /** The answers that a repeated request brings. */
  inputsAnswered(message: WireMessage, round: JoinedRound, state: LineState): void {
    const answered = (exchange: Exchange, answer: WireMessage): void => {
      if (!isMessage(exchange) || answer.result === undefined) return;
      this.answered(exchange, answer, objectMembers(answer.bytes, answer.result), state);
    };
    const take = (key: string): Exchange | undefined => this.#shared.exchanges.take(key);
    answerInputs(message, round, { take, answered }, state);
  }
}

export function isMessage(exchange: Exchange): exchange is Exchange & { readonly about: MessageAbout } {
  return exchange.about.kind === 'message';
}

/** The answer to a read that controls or policy refuse. */
function refusalOf(
  message: WireMessage,
  decision: CallDecision | undefined,
  answer: PolicyAnswer | undefined,
): string | undefined {
  if (decision?.kind === 'refuse') return refusalAnswer(message, decision.control);
  return answer?.kind === 'refuse' ? refusalAnswer(message, answer.control, answer.detail) : undefined;
}

/** What a round repeats, where the server names it by no state. */
function subjectOf(method: string, { uri, name }: Readonly<Record<string, unknown>>): string {
  return JSON.stringify([method, uri, name]);
}
