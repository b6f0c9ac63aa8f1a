/** Step query: what analysts and auditors read, and what analysts say of an alert. */
import type { FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { zName } from '../../schemas/event/v1.ts';
import { principalOf, readableTenant } from '../platform/http/principal.ts';
import type { RunningStep, StepContext } from '../platform/step.ts';
import { auditRead, READERS } from './access.ts';
import { listAlerts } from './alerts.ts';
import { registerCalls } from './calls.ts';
import { registerConsole } from './console.ts';
import { registerDisposition } from './dispositions.ts';
import { listEvents, readEvent } from './events.ts';
import { zAlertQuery, zEventQuery, zSessionQuery, zTenantQuery } from './filters.ts';
import { createTailHub } from './hub.ts';
import { registerKeys } from './keys.ts';
import { registerLedgerRoutes, type LedgerVerifier } from './ledger-routes.ts';
import { registerLossRoute, type LossSigner } from './loss-route.ts';
import { registerLogRoutes } from './log-routes.ts';
import { listSessions, readSession } from './sessions.ts';
import { registerTail } from './tail.ts';

const zId = z.object({ id: zName });

/** Starts the step: reading routes, live tail, ledger routes, console. Heads come from `signer` where this process has one, else from table checkpoints. */
export async function startQuery(
  context: StepContext,
  signer?: LossSigner,
  verifier?: LedgerVerifier,
): Promise<RunningStep> {
  const hub = createTailHub(context);
  registerListings(context);
  registerSingles(context);
  registerDisposition(context);
  registerKeys(context);
  registerTail(context, hub);
  registerLedgerRoutes(context, signer, verifier);
  registerLossRoute(context, signer);
  registerLogRoutes(context, signer);
  registerCalls(context);
  await registerConsole(context.http);
  let isStopped = false;
  return {
    name: 'query',
    health: () => ({ ready: !isStopped, detail: isStopped ? 'stopped' : 'serving' }),
    stop: async () => {
      if (isStopped) return;
      isStopped = true;
      await hub.stop();
    },
  };
}

/** The tenant that is read, once that is on record. */
async function opened(
  context: StepContext,
  request: FastifyRequest,
  { target, asked }: { readonly target: string; readonly asked: string | undefined },
): Promise<string> {
  const tenant = readableTenant(principalOf(request), asked);
  await auditRead(context, request, { action: 'read', target, tenant });
  return tenant;
}

const config = { roles: [...READERS] };

function registerListings(context: StepContext): void {
  const http = context.http.withTypeProvider<ZodTypeProvider>();
  const { store } = context;
  http.get(
    '/v1/events',
    { config, schema: { summary: 'Events, newest first', querystring: zEventQuery } },
    async (request) => {
      const tenant = await opened(context, request, { target: '/v1/events', asked: request.query.tenant });
      return await listEvents(store, tenant, request.query);
    },
  );
  http.get(
    '/v1/sessions',
    { config, schema: { summary: 'Sessions, the most recently active first', querystring: zSessionQuery } },
    async (request) => {
      const tenant = await opened(context, request, { target: '/v1/sessions', asked: request.query.tenant });
      return await listSessions(store, tenant, request.query);
    },
  );
  http.get(
    '/v1/alerts',
    { config, schema: { summary: 'Alerts, newest first', querystring: zAlertQuery } },
    async (request) => {
      const tenant = await opened(context, request, { target: '/v1/alerts', asked: request.query.tenant });
      return await listAlerts(store, tenant, request.query);
    },
  );
}

function registerSingles(context: StepContext): void {
  const http = context.http.withTypeProvider<ZodTypeProvider>();
  const parameters = { params: zId, querystring: zTenantQuery };
  http.get(
    '/v1/events/:id',
    { config, schema: { summary: 'One event with its exact bytes', ...parameters } },
    async (request) => {
      const tenant = await opened(context, request, {
        target: '/v1/events/:id',
        asked: request.query.tenant,
      });
      return await readEvent(context, tenant, request.params.id);
    },
  );
  http.get(
    '/v1/sessions/:id',
    { config, schema: { summary: 'One session as a timeline', ...parameters } },
    async (request) => {
      const asked = request.query.tenant;
      const tenant = await opened(context, request, { target: '/v1/sessions/:id', asked });
      return await readSession(context, tenant, request.params.id);
    },
  );
}
