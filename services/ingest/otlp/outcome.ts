/** How a call ended. The span's status alone does not tell: several runtimes leave it OK when the tool answers an error. */
import type { Outcome } from '../../../schemas/event/v1.ts';
import { jsonOf, objectOf, own, textAt } from './attributes.ts';
import type { OtlpSpan } from './model.ts';

const JSON_RPC_CODE = /^-\d{1,6}$/;
const TIMEOUTS: ReadonlySet<string> = new Set(['timeout', 'TimeoutError', 'deadline_exceeded']);
const CANCELS: ReadonlySet<string> = new Set(['cancelled', 'canceled', 'AbortError', 'CancelledError']);

/** From `error.type`, the span's status and `isError` of an MCP result. */
export function outcomeOf(span: OtlpSpan, result: string | undefined): Outcome {
  const type = textAt(span.attributes, 'error.type');
  if (type !== undefined) return outcomeOfType(type);
  return span.failed || saysError(result) ? 'tool_error' : 'ok';
}

function outcomeOfType(type: string): Outcome {
  if (JSON_RPC_CODE.test(type)) return 'rpc_error';
  if (TIMEOUTS.has(type)) return 'timeout';
  return CANCELS.has(type) ? 'cancelled' : 'tool_error';
}

/** True for an MCP CallToolResult with `isError`, also where an instrumentation renamed it. */
export function saysError(result: string | undefined): boolean {
  // Most results are long and say nothing of the kind.
  if (result === undefined || !/is_?error/i.test(result)) return false;
  const value = objectOf(jsonOf(result));
  return value !== undefined && (own(value, 'isError') === true || own(value, 'is_error') === true);
}

const MAX_ERROR_CHARACTERS = 2048;

/** What went wrong, without the stack that some runtimes put behind it. */
export function errorOf(span: OtlpSpan): string | undefined {
  const said = span.statusMessage === '' ? span.exceptionMessage : span.statusMessage;
  const [message = ''] = said.slice(0, MAX_ERROR_CHARACTERS * 4).split(/\n\s*(?:\n|at )/);
  return message === '' ? undefined : message.slice(0, MAX_ERROR_CHARACTERS);
}
