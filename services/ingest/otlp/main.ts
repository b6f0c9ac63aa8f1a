/** OTLP/HTTP: POST /v1/traces and /v1/logs. 200 means that every call of the request is durable. */
import { join } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { TriplineError } from '../../../schemas/errors.ts';
import { toHex } from '../../evidence/bytes.ts';
import { principalOf, writableTenant } from '../../platform/http/principal.ts';
import type { StepContext } from '../../platform/step.ts';
import { bodyOf, takeBytes } from '../body.ts';
import { keepRefused } from '../dead-letters.ts';
import type { IngestTools } from '../step.ts';
import { encodingOf, sendFailure, sendSuccess, type Encoding, type PartialSuccess } from './answers.ts';
import { Assembler } from './assembler.ts';
import { emitCalls, type Sender } from './emit.ts';
import { createInstruments, type OtlpInstruments, type Signal } from './instruments.ts';
import type { Decoded, DecodeLimits, OtlpLog, OtlpSpan, RefusedItem } from './model.ts';
import type { RecordedCalls } from './recorded-calls.ts';
import { WaitingRoom } from './waiting-room.ts';
import { readJsonLogs, readJsonSpans } from './wire/json.ts';
import { readProtobufLogs, readProtobufSpans } from './wire/protobuf.ts';

export const OTLP_PATHS: Readonly<Record<Signal, string>> = { traces: '/v1/traces', logs: '/v1/logs' };
const ROOM_DIR = 'otlp-waiting';

export interface Otlp {
  /** Removes from the disk what calls left that wait no longer. */
  renewFiles(): Promise<void>;
  /** Idempotent. */
  stop(): Promise<void>;
}

/** Registers the routes, also for the listener of listener.ts, which serves these and no others. */
export async function startOtlp(
  context: StepContext,
  tools: IngestTools,
  recorded: RecordedCalls,
): Promise<Otlp> {
  let stopping: Promise<void> | undefined;
  const instruments: OtlpInstruments = createInstruments(context.metrics, () => assembler.waiting);
  const room = new WaitingRoom(join(context.dataDir, ROOM_DIR));
  const assembler = openAssembler(context, { room, tools, recorded, instruments });
  const door: Door = { context, instruments, assembler, isStopping: () => stopping !== undefined };
  await context.http.register((scope, _options, done) => {
    takeBytes(scope);
    scope.setErrorHandler((error, request, reply) => sendFailure(error, request, reply));
    registerRoute(scope, 'traces', (request, reply) => take(door, TRACES, { request, reply }));
    registerRoute(scope, 'logs', (request, reply) => take(door, LOGS, { request, reply }));
    done();
  });
  return { renewFiles: () => room.renewFiles(), stop: () => (stopping ??= assembler.stop()) };
}

interface AssemblerNeeds {
  readonly room: WaitingRoom;
  readonly tools: IngestTools;
  readonly recorded: RecordedCalls;
  readonly instruments: OtlpInstruments;
}

function openAssembler(
  context: StepContext,
  { room, tools, recorded, instruments }: AssemblerNeeds,
): Assembler {
  const { clock, log, config } = context;
  const { assemblyWaitMs, maxWaitingCalls } = config.otlp;
  const encoder = new TextEncoder();
  return new Assembler({
    room,
    recorded,
    clock,
    log,
    assemblyWaitMs,
    maxWaitingCalls,
    digest: (text) => toHex(tools.sha256(encoder.encode(text))),
    emit: (sender, calls) => emitCalls(context, tools, sender, calls),
    count: (signal, outcome, by) => instruments.items.inc({ signal, outcome }, by),
    released: (reason, by) => instruments.released.inc({ reason }, by),
  });
}

function registerRoute(
  scope: FastifyInstance,
  signal: Signal,
  handler: (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>,
): void {
  scope.post(
    OTLP_PATHS[signal],
    {
      config: { roles: ['producer', 'admin'] },
      schema: {
        summary: signal === 'traces' ? 'Take OpenTelemetry spans' : 'Take OpenTelemetry log records',
        description: `OTLP/HTTP, protobuf or JSON, also gzip. 200 when the tool calls in it are durable.`,
        tags: ['otlp'],
        consumes: ['application/x-protobuf', 'application/json'],
        body: z.unknown(),
      },
    },
    handler,
  );
}

interface Door {
  readonly context: StepContext;
  readonly instruments: OtlpInstruments;
  readonly assembler: Assembler;
  readonly isStopping: () => boolean;
}

/** What differs between the signals. */
interface SignalReader<Item> {
  readonly signal: Signal;
  readonly read: Readonly<Record<Encoding, (body: Uint8Array, limits: DecodeLimits) => Decoded<Item>>>;
  readonly take: (assembler: Assembler, sender: Sender, items: readonly Item[]) => Promise<number>;
}

const TRACES: SignalReader<OtlpSpan> = {
  signal: 'traces',
  read: { json: readJsonSpans, protobuf: readProtobufSpans },
  take: (assembler, sender, spans) => assembler.takeSpans(sender, spans),
};
const LOGS: SignalReader<OtlpLog> = {
  signal: 'logs',
  read: { json: readJsonLogs, protobuf: readProtobufLogs },
  take: (assembler, sender, logs) => assembler.takeLogs(sender, logs),
};

interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

async function take<Item>(
  { context, instruments, assembler, isStopping }: Door,
  { signal, read, take: takeItems }: SignalReader<Item>,
  { request, reply }: Exchange,
): Promise<FastifyReply> {
  if (isStopping()) throw new TriplineError('not_ready');
  const principal = principalOf(request);
  const sender = { tenant: writableTenant(principal, undefined), origin: `otlp:${principal.id}` };
  const encoding = encodingOf(request);
  if (encoding === undefined)
    throw new TriplineError('body_unsupported_type', 'application/x-protobuf or application/json');
  const body = await bodyOf(request, context.config.http.maxBodyBytes);
  const { items, refused } = read[encoding](body, context.config.otlp);
  const [refusedLines] = await Promise.all([
    takeItems(assembler, sender, items),
    keepRefused(context, sender, refused.map(deadLetterOf)),
  ]);
  instruments.items.inc({ signal, outcome: 'refused' }, refused.length);
  return sendSuccess(reply, encoding, { signal, partial: partialOf(refused, refusedLines) });
}

const deadLetterOf = ({ reason, raw }: RefusedItem) => ({
  code: 'event_invalid' as const,
  path: '',
  message: reason,
  raw,
});

function partialOf(refused: readonly RefusedItem[], refusedLines: number): PartialSuccess | undefined {
  const rejected = refused.length + refusedLines;
  if (rejected === 0) return undefined;
  const first = refused[0];
  const message =
    first === undefined ? 'an event of a call was refused' : `item ${first.index}: ${first.reason}`;
  return { rejected, message };
}
