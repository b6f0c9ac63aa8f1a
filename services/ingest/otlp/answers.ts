/**
 * Answers as OTLP/HTTP wants them: in the content type of the request, a Status message for every failure, and only
 * 429, 502, 503 and 504 where sending again can help. https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
 */
import protobuf from 'protobufjs/minimal.js';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { TriplineError } from '../../../schemas/errors.ts';
import { toTriplineError } from '../../platform/http/errors.ts';
import { mediaTypeOf } from '../body.ts';
import type { Signal } from './instruments.ts';

export type Encoding = 'json' | 'protobuf';

const MEDIA_TYPES: Readonly<Record<Encoding, string>> = {
  json: 'application/json',
  protobuf: 'application/x-protobuf',
};

/** Undefined for a type that OTLP does not have. */
export function encodingOf(request: FastifyRequest): Encoding | undefined {
  const type = mediaTypeOf(request);
  if (type === 'application/json') return 'json';
  return type === 'application/x-protobuf' || type === 'application/protobuf' ? 'protobuf' : undefined;
}

export interface PartialSuccess {
  readonly rejected: number;
  readonly message: string;
}

const REJECTED: Readonly<Record<Signal, string>> = { traces: 'rejectedSpans', logs: 'rejectedLogRecords' };

/** ExportTraceServiceResponse or ExportLogsServiceResponse; empty when everything was taken. */
export function sendSuccess(
  reply: FastifyReply,
  encoding: Encoding,
  { signal, partial }: { readonly signal: Signal; readonly partial: PartialSuccess | undefined },
): FastifyReply {
  void reply.code(200).header('content-type', MEDIA_TYPES[encoding]);
  if (encoding === 'protobuf')
    return reply.send(Buffer.from(partial === undefined ? [] : encodePartial(partial)));
  if (partial === undefined) return sendJson(reply, {});
  const { rejected, message } = partial;
  return sendJson(reply, { partialSuccess: { [REJECTED[signal]]: String(rejected), errorMessage: message } });
}

/** As bytes: of text the server would add a charset to the type, which is to be the one of the request. */
const sendJson = (reply: FastifyReply, value: unknown): FastifyReply =>
  reply.send(Buffer.from(JSON.stringify(value)));

function encodePartial({ rejected, message }: PartialSuccess): Uint8Array {
  const writer = protobuf.Writer.create().uint32(10).fork();
  return writer.uint32(8).int64(rejected).uint32(18).string(message).ldelim().finish();
}

const RETRYABLE: ReadonlySet<number> = new Set([429, 502, 503, 504]);
const RETRY_AFTER_SECONDS = '1';

/** google.rpc.Code by HTTP status. */
const RPC_CODES: Readonly<Record<number, number>> = {
  400: 3,
  401: 16,
  403: 7,
  404: 5,
  413: 8,
  415: 3,
  429: 8,
  500: 13,
  503: 14,
};

export function sendFailure(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = toTriplineError(error);
  const status = statusOf(known);
  if (status >= 500) request.log.error({ err: error, code: known.code }, 'request failed');
  if (status === 401) void reply.header('www-authenticate', 'Bearer');
  if (RETRYABLE.has(status) && !reply.hasHeader('retry-after'))
    void reply.header('retry-after', RETRY_AFTER_SECONDS);
  const encoding = encodingOf(request) ?? 'json';
  const answer = { code: RPC_CODES[status] ?? 13, message: `${known.code}: ${known.message}` };
  void reply.code(status).header('content-type', MEDIA_TYPES[encoding]);
  if (encoding === 'json') return sendJson(reply, answer);
  const writer = protobuf.Writer.create().uint32(8).int32(answer.code).uint32(18).string(answer.message);
  return reply.send(Buffer.from(writer.finish()));
}

/** An exporter drops what is answered with any other status: whatever may pass is 503, what cannot is none of the four. */
export function statusOf({ code, retryable, status }: TriplineError): number {
  if (retryable || code === 'bus_closed') return RETRYABLE.has(status) ? status : 503;
  return RETRYABLE.has(status) ? 500 : status;
}
