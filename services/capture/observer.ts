/**
 * The one observer of tap and decorator: a state machine without I/O. A line of JSON-RPC goes in; what is to be put on
 * record, what is passed on and what the sender is answered come out. Intents must be on record before `forward` leaves.
 */
import { CallObserver } from './call-observer.ts';
import { pendingKey } from './calls.ts';
import type { EventDraft } from './draft.ts';
import { forwarded, joined, newLineState, type LineState, type Observation } from './line-state.ts';
import { readLine, type Direction, type WireMessage } from './message.ts';
import type { ObserverOptions } from './observer-options.ts';
import { ToolClasses } from './tool-classes.ts';
import { ToolLists } from './tool-lists.ts';

export class Observer {
  readonly #calls: CallObserver;
  readonly #lists: ToolLists;

  constructor(options: ObserverOptions) {
    const classes = new ToolClasses(options.server, options.mappings);
    this.#lists = new ToolLists(options, classes);
    this.#calls = new CallObserver(options, { lists: this.#lists, classes });
  }

  /** Calls without an answer. */
  get pendingCalls(): number {
    return this.#calls.pending;
  }

  /** Takes one line (no newline at its end) that travels in `direction`. */
  observe(direction: Direction, line: Uint8Array): Observation {
    const { messages, isBatch } = readLine(line);
    const state = newLineState();
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
    if (message.method === 'tools/call') return this.#calls.leaves(direction, message, state);
    if (message.method === 'tools/list' && message.id !== undefined)
      return this.#lists.leaves(pendingKey(direction, message.id.key), message);
    if (message.method === 'notifications/cancelled') return this.#calls.cancelled(direction, message, state);
    if (message.method === undefined && message.id !== undefined) this.#answered(direction, message, state);
  }

  #answered(direction: Direction, message: WireMessage, state: LineState): void {
    if (message.result === undefined && message.error === undefined) return;
    // An answer travels against its request.
    const key = pendingKey(direction === 'to_client' ? 'to_server' : 'to_client', message.id?.key ?? '');
    const draft = this.#calls.answered(key, message) ?? this.#lists.answered(key, message);
    if (draft !== undefined) state.drafts.push(draft);
  }

  /** Calls that have waited for longer than callTimeoutMs, as `timeout`. Call it now and then. */
  expire(): readonly EventDraft[] {
    return this.#calls.expire();
  }

  /** The connection is gone: every call without a result is `abandoned`. */
  close(): readonly EventDraft[] {
    this.#lists.clear();
    return this.#calls.close();
  }
}
