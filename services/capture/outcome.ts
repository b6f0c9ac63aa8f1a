/** How a call ended, read from its answer. */
import type { Outcome } from '../../schemas/event/v1.ts';
import { lastMember, objectMembers, type Member, type Span } from './json-scan.ts';
import { stringAt, textOf, valueAt, type WireMessage } from './message.ts';

export interface Answer {
  readonly outcome: Outcome;
  readonly error?: { readonly code?: number; readonly message?: string };
  /** The opaque state of input_required; the client sends the same value with the next round. */
  readonly requestState?: string;
}

const MAX_ERROR_MESSAGE_CHARACTERS = 4096;

/** An error's message is the peer's text: cut, lone surrogates replaced. */
export function recordableMessage(text: string): string {
  return text.slice(0, MAX_ERROR_MESSAGE_CHARACTERS).replaceAll(/\p{Cs}/gu, '\uFFFD');
}

function readError(message: WireMessage): Answer {
  const members = message.error === undefined ? undefined : objectMembers(message.bytes, message.error);
  const code = valueAt(message.bytes, lastMember(members, 'code'));
  const text = valueAt(message.bytes, lastMember(members, 'message'));
  return {
    outcome: 'rpc_error',
    error: {
      ...(typeof code === 'number' ? { code } : {}),
      ...(typeof text === 'string' ? { message: recordableMessage(text) } : {}),
    },
  };
}

/** The state as a value: peers may escape the same string in different ways. */
export function opaqueState(bytes: Uint8Array, span: Span): string {
  return stringAt(bytes, span) ?? textOf(bytes, span);
}

/** `members` of the result. MCP revisions: isError (all), task (2025-11-25), resultType (2026-07-28). */
export function readAnswer(message: WireMessage, members: readonly Member[] | undefined): Answer {
  if (message.result === undefined) return readError(message);
  if (valueAt(message.bytes, lastMember(members, 'isError')) === true) return { outcome: 'tool_error' };
  const resultType = valueAt(message.bytes, lastMember(members, 'resultType'));
  if (resultType === 'input_required') {
    const state = lastMember(members, 'requestState');
    if (state === undefined) return { outcome: 'input_required' };
    return { outcome: 'input_required', requestState: opaqueState(message.bytes, state) };
  }
  return { outcome: resultType === 'task' || isTask(message, members) ? 'task_created' : 'ok' };
}

function isTask(message: WireMessage, members: readonly Member[] | undefined): boolean {
  const task = lastMember(members, 'task');
  if (task === undefined) return false;
  const taskId = lastMember(objectMembers(message.bytes, task), 'taskId');
  return typeof valueAt(message.bytes, taskId) === 'string';
}
