/** Every fault that leaves the door: one shape, one table of codes. Foreign faults are converted here by their codes. */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ERRORS, isTriplineError, TriplineError, type ErrorCode } from '../../../schemas/errors.ts';

const RETRY_AFTER_SECONDS = 1;

const FASTIFY_CODES: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'body_unsupported_type',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'body_empty',
  FST_ERR_CTP_INVALID_JSON_BODY: 'body_malformed',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'body_malformed',
};

/** Any thrown value as one of ours. */
export function toTriplineError(error: unknown): TriplineError {
  if (isTriplineError(error)) return error;
  const fields: Partial<Record<string, unknown>> =
    typeof error === 'object' && error !== null ? { ...error } : {};
  const known = FASTIFY_CODES[String(fields['code'])];
  if (known !== undefined) return new TriplineError(known, undefined, { cause: error });
  if (Array.isArray(fields['validation'])) return invalid(fields['validation'], error);
  const status = Number(fields['statusCode']);
  if (status >= 400 && status < 500) return new TriplineError('request_invalid', undefined, { cause: error });
  return new TriplineError('internal', undefined, { cause: error });
}

function invalid(faults: readonly unknown[], cause: unknown): TriplineError {
  const [first] = faults;
  const fault: Partial<Record<string, unknown>> =
    typeof first === 'object' && first !== null ? { ...first } : {};
  const pointer = typeof fault['instancePath'] === 'string' ? fault['instancePath'] : '';
  const path = [...pointer.split('/'), ...unknownKey(fault['params'])]
    .filter((part) => part !== '')
    .join('.');
  const message = typeof fault['message'] === 'string' ? fault['message'].slice(0, 512) : undefined;
  return new TriplineError('request_invalid', message, { path, cause });
}

/** A key that the schema does not know is no part of the path that it gives. */
function unknownKey(params: unknown): readonly string[] {
  const keys: unknown = typeof params === 'object' && params !== null && 'keys' in params ? params.keys : [];
  return Array.isArray(keys) ? keys.slice(0, 1).map((key) => String(key).slice(0, 256)) : [];
}

/** For routes that document an answer of their own under the same status. */
export const zErrorAnswer = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    path: z.string().nullable(),
    retryable: z.boolean(),
  }),
});

/** Faults whose message is the store's own words: names of tables, parts of queries. */
const INSIDE: ReadonlySet<ErrorCode> = new Set(['store_query_failed', 'store_unavailable', 'store_timeout']);

/** Body of the answer. What went wrong inside stays inside: the client gets the request id to quote. */
export function errorAnswer(error: TriplineError): { readonly error: Readonly<Record<string, unknown>> } {
  const { code, path, retryable } = error;
  const message = INSIDE.has(code) ? ERRORS[code].meaning : error.message;
  return { error: { code, message, path: path ?? null, retryable } };
}

export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = toTriplineError(error);
  if (known.status >= 500) request.log.error({ err: error, code: known.code }, 'request failed');
  if (known.status === 401) void reply.header('www-authenticate', 'Bearer');
  if (known.status === 503 && !reply.hasHeader('retry-after'))
    void reply.header('retry-after', String(RETRY_AFTER_SECONDS));
  return reply.status(known.status).send(errorAnswer(known));
}

/** For faults before there is a route: a URL that cannot be decoded. */
export function answerRaw(error: unknown, response: ServerResponse): void {
  const known = toTriplineError(error);
  response.writeHead(known.status, { 'content-type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify(errorAnswer(known)));
}

/** Node's codes of bytes that are no request, or none that came in time. */
const BROKEN_STATUS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/** For bytes that never became a request: there is a socket only. */
export function answerBroken(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return;
  const body = JSON.stringify(errorAnswer(new TriplineError('request_invalid')));
  const head = [
    `HTTP/1.1 ${BROKEN_STATUS[error.code ?? ''] ?? '400 Bad Request'}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  if (socket.writable) socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
  socket.destroy(error);
}
