/**
 * POST /v1/ledger/calls: the calls that a rule could hear of, as columns, for a backtest. The engine that holds the
 * tables leaves the others out and hands whole columns over: as rows with all that is known of them, millions would be
 * read, written and parsed for the few that count. Memory: one slice of calls.
 */
import { Readable } from 'node:stream';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import {
  zCallRequest,
  type CallHeader,
  type CallLine,
  type CallRequest,
} from '../../schemas/event/columns.ts';
import { principalOf, readableTenant } from '../platform/http/principal.ts';
import type { StepContext } from '../platform/step.ts';
import { auditRead } from './access.ts';
import type { StoredPayloads } from './events.ts';
import { zTenantQuery } from './filters.ts';
import { readOverview, readPart, readLines, slicesOf, sumOf } from './call-rows.ts';
import { canSift, countOf, readSifted, siftCalls } from './call-sieve.ts';

const ROLES = ['auditor', 'admin'] as const;

export function registerCalls(context: StepContext): void {
  context.http.withTypeProvider<ZodTypeProvider>().post(
    '/v1/ledger/calls',
    {
      config: { roles: [...ROLES] },
      schema: {
        summary: 'Calls of some kinds and classes in ledger order, as columns; NDJSON',
        description: 'What `tripline backtest` reads: a header, parts of logs, an end line.',
        querystring: zTenantQuery,
        body: zCallRequest,
      },
    },
    async (request, reply) => {
      const tenant = readableTenant(principalOf(request), request.query.tenant);
      await auditRead(context, request, { action: 'read', target: '/v1/ledger/calls', tenant });
      const lines = callLines(context, tenant, request.body);
      return reply.type('application/x-ndjson').send(Readable.from(encoded(lines), { objectMode: false }));
    },
  );
}

async function* encoded(lines: AsyncIterable<CallLine>): AsyncGenerator<string> {
  for await (const line of lines) yield `${JSON.stringify(line)}\n`;
}

async function* callLines(
  payloads: StoredPayloads,
  tenant: string,
  request: CallRequest,
): AsyncGenerator<CallLine> {
  const { store } = payloads;
  const logs = await readOverview(store, tenant, request);
  const refused = logs.some(({ foreign }) => foreign > 0)
    ? 'class_mapping'
    : logs.some(({ runsBack }) => runsBack)
      ? 'append_time'
      : null;
  const header = headerOf(logs, refused);
  const { sieve } = request;
  if (refused === null && sieve !== undefined && !request.lines && canSift(header.calls)) {
    const left = await siftCalls(store, tenant, { ...request, sieve }, header.calls);
    yield { ...header, calls: countOf(left) };
    yield* readSifted(store, { tenant, request }, { left, logs });
    yield { type: 'end' };
    return;
  }
  yield header;
  if (refused !== null) return;
  for (const slice of slicesOf(logs, request.lines)) {
    const wanted = { tenant, request, slice };
    yield* request.lines ? readLines(payloads, wanted) : readPart(store, wanted);
  }
  yield { type: 'end' };
}

function headerOf(
  logs: Awaited<ReturnType<typeof readOverview>>,
  refused: CallHeader['refused'],
): CallHeader {
  const spans = new Map<number, { from: number; to: number }>();
  for (const { partition, from, to } of logs) {
    const known = spans.get(partition) ?? { from, to };
    spans.set(partition, { from: Math.min(known.from, from), to: Math.max(known.to, to) });
  }
  return {
    type: 'header',
    v: 1,
    refused,
    events: sumOf(logs, 'events'),
    calls: sumOf(logs, 'calls'),
    spans: [...spans].map(([partition, span]) => ({ partition, ...span })),
  };
}
