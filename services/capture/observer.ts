/**
 * The one observer of tap, decorator and gate: a state machine without I/O. A line of JSON-RPC goes in; what is to be put
 * on record, what is passed on and what the sender is answered come out. Intents must be on record before `forward` leaves,
 * unless a journal keeps the line (gone-lines.ts).
 */
import type { BoundaryConfig } from '../../schemas/labels/v1.ts';
import { CallObserver, isCall } from './call-observer.ts';
import type { EventDraft } from './draft.ts';
import { pendingKey, type Exchange } from './exchange.ts';
import { Exchanges, type ExchangesEnd } from './exchanges.ts';
import { objectMembers } from './json-scan.ts';
import type { Settled } from './holds.ts';
import { Boundary, NO_BOUNDARY } from './labels/boundary.ts';
import { forwarded, joined, newLineState, type LineState, type Observation } from './line-state.ts';
import { isControlled, isMessage, MessageObserver } from './message-observer.ts';
import { readLine, type Direction, type WireMessage } from './message.ts';
import { answeredKey, metaOf } from './new-exchange.ts';
import { Notifications } from './notifications.ts';
import type { ObserverOptions } from './observer-options.ts';
import { Peers } from './peers.ts';
import { RequestRounds } from './rounds.ts';
import { Tasks } from './tasks.ts';
import { ToolClasses } from './tool-classes.ts';
import { ToolLists } from './tool-lists.ts';

/** Blank, tab, line feed, carriage return: no message. */
const BLANKS: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d]);
/** What is answered where a policy holds and a line cannot be read (JSON-RPC 2.0 §5.1). */
const UNREAD: Observation = {
  drafts: [],
  forward: undefined,
  answers: ['{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}'],
};

export class Observer {
  readonly #exchanges: Exchanges;
  readonly #calls: CallObserver;
  readonly #messages: MessageObserver;
  readonly #notifications: Notifications;
  readonly #lists: ToolLists;
  readonly #peers: Peers;
  readonly #policy: ObserverOptions['policy'];

  constructor(options: ObserverOptions) {
    this.#policy = options.policy;
    const classes = new ToolClasses(options.server, options.mappings);
    const tasks = new Tasks();
    const rounds = new RequestRounds(options.sha256Hex);
    this.#exchanges = new Exchanges(options);
    this.#lists = new ToolLists(options, classes);
    this.#peers = new Peers(options);
    this.#notifications = new Notifications(options, tasks);
    const { server, sha256Hex, randomHex } = options;
    const config = (): BoundaryConfig => options.boundary?.() ?? NO_BOUNDARY;
    const boundary = new Boundary({ server, sha256Hex, randomHex, config });
    const shared = { exchanges: this.#exchanges, rounds, tasks, boundary };
    this.#messages = new MessageObserver(options, shared);
    const parts = { ...shared, lists: this.#lists, classes, messages: this.#messages };
    this.#calls = new CallObserver(options, parts);
  }

  /** Requests without an answer. */
  get pendingRequests(): number {
    return this.#exchanges.size;
  }

  /**
   * Takes one line (no newline at its end) that travels in `direction`. Ids of one `scope` are a number space of their
   * own: where several clients share a connection's stream, their ids do not meet. `read`: what stands in the line.
   */
  observe(direction: Direction, line: Uint8Array, scope = '', read = readLine(line, scope)): Observation {
    const { messages, isBatch, hasUnread } = read;
    if (hasUnread && this.#mustBeRead(direction, line)) return UNREAD;
    const state = newLineState();
    for (const message of messages) this.#message(direction, message, state);
    const passed = (drafts: readonly EventDraft[]): Observation => ({
      drafts,
      forward: forwarded(line, messages, state),
      answers: joined(state, isBatch),
    });
    const { drafts, held } = state;
    if (held.length === 0) return passed(drafts);
    const settle = (decided: readonly Settled[]): Observation => {
      const settled: EventDraft[] = [];
      held.forEach((one, at) =>
        this.#calls.settle(one, decided[at] as Settled, { ...state, drafts: settled }),
      );
      return passed(settled);
    };
    return { drafts, forward: undefined, answers: [], held: { calls: held, settle } };
  }

  /** A server that is more lenient than we are could take it for a call. */
  #mustBeRead(direction: Direction, line: Uint8Array): boolean {
    return (
      this.#policy?.isEnforced === true && direction === 'to_server' && line.some((byte) => !BLANKS.has(byte))
    );
  }

  /** True when the line holds what a control may refuse; for shells that wait before the first one. */
  static holdsControlled(line: Uint8Array): boolean {
    return readLine(line).messages.some(({ method }) => method === 'tools/call' || isControlled(method));
  }

  /** Calls that wait for their answer, the first `max` of them. */
  openCalls(max: number): readonly { readonly key: string; readonly callId: string }[] {
    return this.#exchanges.openCalls(max);
  }

  /** Goes on with a call that an observer before this one has seen leave. */
  resume(call: Exchange): void {
    this.#exchanges.open(call, newLineState());
  }

  /** The next tool call follows from this decision. */
  decided(decisionId: string): void {
    this.#calls.decided(decisionId);
  }

  #message(direction: Direction, message: WireMessage, state: LineState): void {
    const { method, id } = message;
    if (method === undefined) {
      if (id !== undefined) this.#answered(direction, message, state);
    } else if (method === 'tools/call') {
      // Whatever its id: a server may well run a call that has none, or one that JSON-RPC forbids.
      this.#requested(message, state);
      this.#calls.leaves(direction, message, state);
    } else if (id === undefined && !isControlled(method)) {
      this.#notified(direction, message, state);
    } else if (method !== 'ping') {
      this.#requested(message, state);
      if (method === 'tools/list' && id !== undefined)
        this.#lists.leaves(pendingKey(direction, id.key), message);
      else this.#messages.leaves(direction, message, state);
    }
  }

  /** What a request says of its sender; before the request itself on record. Of initialize both sides come together. */
  #requested(message: WireMessage, state: LineState): void {
    this.#peers.requested(message, metaOf(message));
    if (message.method !== 'initialize') this.#recordPeers(state);
  }

  #recordPeers(state: LineState): void {
    const draft = this.#peers.take();
    if (draft !== undefined) state.drafts.push(draft);
  }

  #notified(direction: Direction, message: WireMessage, state: LineState): void {
    switch (message.method ?? '') {
      case 'notifications/cancelled':
        return this.#exchanges.cancelled(direction, message, state);
      case 'notifications/progress':
        return this.#exchanges.progressed(direction, message);
      case 'notifications/initialized':
        return;
      default: {
        const draft = this.#notifications.sent(direction, message);
        if (draft !== undefined) state.drafts.push(draft);
      }
    }
  }

  #answered(direction: Direction, message: WireMessage, state: LineState): void {
    const { bytes, result, error } = message;
    if (result === undefined && error === undefined) return;
    const key = answeredKey(direction, message);
    const exchange = this.#exchanges.take(key);
    const members = result === undefined ? undefined : objectMembers(bytes, result);
    if (direction === 'to_client') this.#peers.answered(methodOf(exchange), bytes, members);
    this.#recordPeers(state);
    if (exchange === undefined) this.#listed(key, message, state);
    else if (isMessage(exchange)) this.#messages.answered(exchange, message, members, state);
    else if (isCall(exchange)) this.#calls.answered(exchange, message, members, state);
  }

  #listed(key: string, message: WireMessage, state: LineState): void {
    const snapshot = this.#lists.answered(key, message);
    if (snapshot !== undefined) state.drafts.push(snapshot);
    const splice = this.#lists.withoutHidden(message);
    if (splice !== undefined) state.splices.push(splice);
  }

  /** Requests that have waited for longer than callTimeoutMs, as `timeout`. Call it now and then. */
  expire(): readonly EventDraft[] {
    return this.#exchanges.expire();
  }

  /** Of these requests (by pendingKey), those without a result on record. */
  unanswered(keys: readonly string[]): readonly string[] {
    return keys.filter((key) => this.#exchanges.isOpenAt(key) || this.#lists.has(key));
  }

  /** Ends requests that will not be answered; those that ended already, or are none, are left alone. */
  end(keys: readonly string[], how: ExchangesEnd): readonly EventDraft[] {
    for (const key of keys) this.#lists.forget(key);
    return this.#exchanges.end(keys, how);
  }

  /** The connection is gone: every request without a result is `abandoned`. */
  close(): readonly EventDraft[] {
    this.#lists.clear();
    return [...this.#exchanges.close(), ...this.#notifications.close()];
  }
}

function methodOf(exchange: Exchange | undefined): string {
  return exchange !== undefined && isMessage(exchange) ? exchange.about.method : 'tools/call';
}
