/** What the gate says itself: JSON-RPC errors, in the form in which a client of MCP looks for them. */
import { ERRORS, type ErrorCode } from '../../../schemas/errors.ts';
import type { WireMessage } from '../message.ts';
import { messageEvent } from './sse.ts';
import type { Answer } from './wire/answer.ts';

/** Error codes of JSON-RPC 2.0 and MCP 2026-07-28. */
const PARSE_ERROR = -32_700;
export const HEADER_MISMATCH = -32_020;
/** JSON-RPC leaves -32000 to -32099 to servers; `data.code` says which of ours it is. */
const GATE_ERROR = -32_000;

function rpcCode(code: ErrorCode): number {
  if (code === 'body_malformed') return PARSE_ERROR;
  return code === 'header_mismatch' ? HEADER_MISMATCH : GATE_ERROR;
}

function errorText(code: ErrorCode, id: string, detail: string | undefined): string {
  const { meaning, retryable } = ERRORS[code];
  const message = detail === undefined ? meaning : `${meaning} ${detail}`;
  const error = { code: rpcCode(code), message, data: { code, retryable } };
  return `{"jsonrpc":"2.0","id":${id},"error":${JSON.stringify(error)}}`;
}

/** One error for each request of a POST; the ids go back as they were written. */
export function errorFor(messages: readonly WireMessage[], code: ErrorCode, detail?: string): string {
  const ids = messages.flatMap(({ id, method }) =>
    id === undefined || method === undefined ? [] : [id.raw],
  );
  const texts = (ids.length === 0 ? ['null'] : ids).map((id) => errorText(code, id, detail));
  return texts.length === 1 ? (texts[0] ?? '') : `[${texts.join(',')}]`;
}

/** Answers with one of our errors and its HTTP status; nothing when an answer has begun already. */
export function refuse(
  response: Answer,
  code: ErrorCode,
  messages: readonly WireMessage[] = [],
  detail?: string,
): void {
  if (response.hasBegun || response.isGone) return;
  // A client that was refused before its body was read must not send the rest of it as a request.
  const headers = code === 'body_too_large' ? ['Connection', 'close'] : [];
  sendJson(response, ERRORS[code].status, errorFor(messages, code, detail), headers);
}

function sendJson(response: Answer, status: number, text: string, headers: readonly string[] = []): void {
  const body = Buffer.from(text);
  response.begin({ status, headers: ['Content-Type', 'application/json', ...headers], length: body.length });
  response.end(body);
}

/** Answers a POST with JSON-RPC messages, as JSON or as the event stream that the client asks for. */
export function answerPost(response: Answer, accept: string | undefined, text: string): void {
  const takesJson = accept === undefined || /application\/json|\*\/\*|application\/\*/u.test(accept);
  if (takesJson || !accept.includes('text/event-stream')) return sendJson(response, 200, text);
  response.begin({
    status: 200,
    headers: ['Content-Type', 'text/event-stream', 'Cache-Control', 'no-cache'],
  });
  response.end(messageEvent(text));
}

/** JSON answers of ours before those of the server, as one batch. */
export function mergedBatch(own: readonly string[], theirs: Buffer): string {
  const inner = [...own, theirs.toString('utf8')]
    .map((text) => text.trim())
    .filter((text) => text !== '')
    .map((text) => (text.startsWith('[') ? text.slice(1, -1).trim() : text))
    .filter((text) => text !== '');
  return `[${inner.join(',')}]`;
}
