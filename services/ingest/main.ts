/** Step ingest: POST /v1/events, and OTLP in otlp/. 202 means durable on the bus. */
import type { FastifyRequest } from 'fastify';
import { Counter } from 'prom-client';
import { z } from 'zod';
import { TriplineError } from '../../schemas/errors.ts';
import { TOPICS } from '../../schemas/topics.ts';
import { zErrorAnswer } from '../platform/http/errors.ts';
import { principalOf, writableTenant, type Principal } from '../platform/http/principal.ts';
import { sha256 } from '../platform/ledger/crypto.ts';
import type { RunningStep, StepContext } from '../platform/step.ts';
import { bodyOf, mediaTypeOf, takeBytes } from './body.ts';
import { keepRefused } from './dead-letters.ts';
import { startOtlp } from './otlp/main.ts';
import { RecordedCalls } from './otlp/recorded-calls.ts';
import { publish } from './publish.ts';
import { parseSignedBatches, type SignedBatch } from './signed-batches.ts';
import { ingest, type IngestTools } from './step.ts';
import { StreamMemories } from './stream-memory.ts';

const zAnswer = z.object({
  accepted: z.number(),
  duplicates: z.number(),
  rejected: z.array(z.object({ index: z.number(), code: z.string(), path: z.string(), message: z.string() })),
});
type Answer = z.infer<typeof zAnswer>;

const HEX_64 = /^[0-9a-f]{64}$/;
const MAX_REFUSED_PER_REQUEST = 10_000;
/** Health turns when a send has waited this long. */
const STUCK_MS = 10_000;

export interface RunningIngest extends RunningStep {
  /** Removes from the disk what calls left that wait no longer. */
  renewFiles(): Promise<void>;
}

export async function startIngest(context: StepContext): Promise<RunningIngest> {
  const recorded = new RecordedCalls();
  const tools: IngestTools = {
    memories: new StreamMemories(),
    sha256,
    randomBytes: context.randomBytes,
    onEvent: (tenant, event) => recorded.add(tenant, event),
    partitionCount: context.bus.partitionCount(TOPICS.toolcalls.name),
  };
  const counted = new Counter({
    name: 'tripline_ingest_events_total',
    help: 'Events at the door, by what became of them.',
    labelNames: ['outcome'],
    registers: [context.metrics],
  });
  let stopping = false;
  await context.http.register((scope, _options, done) => {
    takeBytes(scope);
    scope.post(
      '/v1/events',
      {
        config: { roles: ['producer', 'admin'] },
        schema: {
          summary: 'Take events',
          description: 'One object, an array, or NDJSON; also gzip. 202 when durable on the bus.',
          tags: ['events'],
          consumes: ['application/x-ndjson', 'application/json'],
          // Judged line by line below: one wrong line must not cost the others.
          body: z.unknown(),
          response: { 202: zAnswer, 400: z.union([zAnswer, zErrorAnswer]) },
        },
      },
      async (request, reply) => {
        if (stopping) throw new TriplineError('not_ready');
        const answer = await take(context, tools, request);
        counted.inc({ outcome: 'accepted' }, answer.accepted);
        counted.inc({ outcome: 'duplicate' }, answer.duplicates);
        counted.inc({ outcome: 'rejected' }, answer.rejected.length);
        const allRejected = answer.accepted === 0 && answer.duplicates === 0;
        return await reply.code(allRejected ? 400 : 202).send(answer);
      },
    );
    done();
  });
  const otlp = context.config.otlp.enabled ? await startOtlp(context, tools, recorded) : undefined;
  return {
    name: 'ingest',
    health: () => {
      const waitingMs = context.producer.oldestPendingMs();
      return {
        ready: !stopping && waitingMs < STUCK_MS,
        detail: `oldest unacknowledged send ${Math.round(waitingMs)} ms`,
      };
    },
    renewFiles: async () => otlp?.renewFiles(),
    stop: async () => {
      stopping = true;
      await otlp?.stop();
    },
  };
}

async function take(context: StepContext, tools: IngestTools, request: FastifyRequest): Promise<Answer> {
  const principal = principalOf(request);
  const tenant = writableTenant(principal, undefined);
  const form = formOf(request);
  const body = await bodyOf(request, context.config.http.maxBodyBytes);
  const outcome = ingest({ tenant, body, form, strict: principal.strict, ...headersOf(request) }, tools);
  if (outcome.rejected.length > MAX_REFUSED_PER_REQUEST)
    throw new TriplineError(
      'body_malformed',
      `more than ${MAX_REFUSED_PER_REQUEST} lines of the request are wrong`,
    );
  await Promise.all([
    publish(context, tools, { tenant, outcome }),
    keepRefused(context, { tenant, origin: originOf(principal) }, outcome.rejected),
  ]);
  const rejected = outcome.rejected.map(({ index, code, path, message }) => ({ index, code, path, message }));
  return { accepted: outcome.accepted, duplicates: outcome.duplicates, rejected };
}

const originOf = (principal: Principal): string => `ingest:${principal.id}`;

function formOf(request: FastifyRequest): 'ndjson' | 'json' {
  const type = mediaTypeOf(request);
  if (type === 'application/x-ndjson' || type === 'application/jsonl' || type === 'application/ndjson')
    return 'ndjson';
  if (type === 'application/json') return 'json';
  throw new TriplineError('body_unsupported_type');
}

function headersOf(request: FastifyRequest): {
  prev?: string;
  batches?: readonly SignedBatch[];
  idempotencyKey?: string;
  traceparent?: string;
} {
  const prev = headerOf(request, 'tripline-prev');
  const batches = batchesOf(request);
  const idempotencyKey = headerOf(request, 'idempotency-key');
  const traceparent = headerOf(request, 'traceparent');
  if (prev !== undefined && !HEX_64.test(prev))
    throw new TriplineError('request_invalid', 'Tripline-Prev: 64 lower-case hex digits', {
      path: 'tripline-prev',
    });
  if (idempotencyKey !== undefined && idempotencyKey.length > 256)
    throw new TriplineError('request_invalid', 'Idempotency-Key: at most 256 characters', {
      path: 'idempotency-key',
    });
  return {
    ...(prev === undefined ? {} : { prev }),
    ...(batches === undefined ? {} : { batches }),
    ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
    ...(traceparent === undefined ? {} : { traceparent }),
  };
}

function batchesOf(request: FastifyRequest): readonly SignedBatch[] | undefined {
  const signed = headerOf(request, 'tripline-batch-sig');
  if (signed === undefined) return undefined;
  const batches = parseSignedBatches(signed);
  if (batches !== undefined) return batches;
  throw new TriplineError(
    'request_invalid',
    'Tripline-Batch-Sig: <first seq>-<last seq>:<base64>, separated by commas, in order',
    { path: 'tripline-batch-sig' },
  );
}

function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
