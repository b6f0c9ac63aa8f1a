/** POST /v1/erasures, GET /v1/erasures/:id; legal holds under /v1/holds. Admin only; every change is on record first. */
import type { FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { TriplineError } from '../../../schemas/errors.ts';
import { zHex32, zName } from '../../../schemas/event/v1.ts';
import { toHex } from '../../evidence/bytes.ts';
import { ALL_TENANTS, principalOf, readableTenant, writableTenant } from '../../platform/http/principal.ts';
import type { StepContext } from '../../platform/step.ts';
import { concerned } from './collect.ts';
import { holdOver, type Hold, type Holds } from './holds.ts';
import type { Intent, Intents } from './intents.ts';

const zReason = z.string().min(1).max(2048);
const zTenant = z.object({ tenant: zName.optional() });
const zSubject = z.union([
  z.strictObject({ principal: zName, reason: zReason }),
  z.strictObject({ session: zName, reason: zReason }),
]);
const zHoldRequest = z.union([
  z.strictObject({ principal: zName, reason: zReason }),
  z.strictObject({ session: zName, reason: zReason }),
  z.strictObject({ kind: z.literal('tenant'), reason: zReason }),
]);
const zId = z.object({ id: zHex32 });
const zReleased = z.strictObject({ reason: zReason });
const config = { roles: ['admin'] as ('admin' | 'auditor')[] };

export interface ErasureDoor {
  readonly intents: Intents;
  readonly holds: Holds;
  readonly wake: () => void;
}

export function registerErasures(context: StepContext, door: ErasureDoor): void {
  const http = context.http.withTypeProvider<ZodTypeProvider>();
  http.post(
    '/v1/erasures',
    {
      config,
      schema: {
        summary: 'Erase what a principal or a session said; 202 when it is written down',
        querystring: zTenant,
        body: zSubject,
      },
    },
    async (request, reply) => {
      const intent = intentOf(context, request, request.body);
      const held = holdOver(door.holds.list(), intent.tenant, [
        ...(await concerned(context.store, intent)),
        named(intent),
      ]);
      const outcome = held === undefined ? 'ok' : 'denied';
      await auditChange(context, request, {
        action: 'erasure.request',
        tenant: intent.tenant,
        target: intent.id,
        reason: intent.reason,
        outcome,
      });
      if (held !== undefined) throw new TriplineError('legal_hold', `hold ${held.id} keeps it`);
      door.intents.put(intent);
      door.wake();
      return reply.status(202).send({ id: intent.id, phase: intent.phase });
    },
  );
  http.get(
    '/v1/erasures/:id',
    { config, schema: { summary: 'How far an erasure is', params: zId, querystring: zTenant } },
    async (request) => {
      const { id } = request.params;
      const outcome = door.intents.outcome(id);
      const intent = outcome === undefined ? door.intents.get(id) : undefined;
      const { tenant } = ownedBy(request, outcome ?? intent);
      await auditRead(context, request, { target: `/v1/erasures/${id}`, tenant });
      return outcome === undefined ? { id, phase: intent?.phase } : { phase: 'finished', ...outcome };
    },
  );
  registerHolds(context, door);
}

function registerHolds(context: StepContext, { holds }: ErasureDoor): void {
  const http = context.http.withTypeProvider<ZodTypeProvider>();
  const reading = { roles: [...config.roles, 'auditor'] as ('admin' | 'auditor')[] };
  http.get(
    '/v1/holds',
    { config: reading, schema: { summary: 'Legal holds', querystring: zTenant } },
    async (request) => {
      const tenant = readableTenant(principalOf(request), request.query.tenant);
      await auditRead(context, request, { target: '/v1/holds', tenant });
      const items = holds.list().filter((hold) => tenant === ALL_TENANTS || hold.tenant === tenant);
      return { items, nextCursor: null };
    },
  );
  http.post(
    '/v1/holds',
    { config, schema: { summary: 'Nothing of it may be erased', querystring: zTenant, body: zHoldRequest } },
    async (request, reply) => {
      const hold = holdOf(context, request, request.body);
      await auditChange(context, request, {
        action: 'hold.add',
        tenant: hold.tenant,
        target: hold.id,
        reason: hold.reason,
        outcome: 'ok',
      });
      holds.add(hold);
      return reply.status(201).send(hold);
    },
  );
  http.post(
    '/v1/holds/:id/release',
    { config, schema: { summary: 'Release a hold', params: zId, querystring: zTenant, body: zReleased } },
    async (request) => {
      const found = ownedBy(
        request,
        holds.list().find(({ id }) => id === request.params.id),
      );
      const { id, tenant } = found;
      const { reason } = request.body;
      await auditChange(context, request, {
        action: 'hold.release',
        tenant,
        target: id,
        reason,
        outcome: 'ok',
      });
      holds.release(id);
      return found;
    },
  );
}

/** What belongs to another tenant does not exist for this one. Throws not_found. */
function ownedBy<Owned extends { readonly tenant: string }>(
  request: FastifyRequest,
  found: Owned | undefined,
): Owned {
  const asked = request.query as z.infer<typeof zTenant>;
  const tenant = readableTenant(principalOf(request), asked.tenant);
  if (found === undefined || (tenant !== ALL_TENANTS && found.tenant !== tenant))
    throw new TriplineError('not_found');
  return found;
}

async function auditRead(
  { audit }: StepContext,
  request: FastifyRequest,
  { target, tenant }: { readonly target: string; readonly tenant: string },
): Promise<void> {
  const { id: actor, role, tenant: own } = principalOf(request);
  const at = own === ALL_TENANTS ? 'default' : own;
  await audit.record(at, { action: 'read', actor, role, target, outcome: 'ok', details: { tenant } });
}

/** The names of subjects are not in it: the audit trail is kept. */
async function auditChange(
  context: StepContext,
  request: FastifyRequest,
  what: {
    readonly action: 'erasure.request' | 'hold.add' | 'hold.release';
    readonly tenant: string;
    readonly target: string;
    readonly reason: string;
    readonly outcome: 'ok' | 'denied';
  },
): Promise<void> {
  const { id: actor, role } = principalOf(request);
  const { tenant, ...body } = what;
  await context.audit.record(tenant, { ...body, actor, role });
}

function tenantOf(request: FastifyRequest): string {
  const { tenant } = request.query as z.infer<typeof zTenant>;
  return writableTenant(principalOf(request), tenant);
}

function intentOf(context: StepContext, request: FastifyRequest, body: z.infer<typeof zSubject>): Intent {
  const { id: actor, role } = principalOf(request);
  const [by, name] =
    'principal' in body ? (['principal', body.principal] as const) : (['session', body.session] as const);
  return {
    v: 1,
    id: toHex(context.randomBytes(16)),
    tenant: tenantOf(request),
    by,
    name,
    reason: body.reason,
    actor,
    role,
    requestedMs: Math.trunc(context.clock.nowMs()),
    phase: 'requested',
    subjects: [],
    logs: [],
  };
}

/** Also a subject of which nothing is recorded yet may be held. */
function named({ by, name }: Intent): { readonly session: string; readonly principal: string } {
  return by === 'principal' ? { session: '', principal: name } : { session: name, principal: '' };
}

function holdOf(context: StepContext, request: FastifyRequest, body: z.infer<typeof zHoldRequest>): Hold {
  const of =
    'principal' in body
      ? ({ kind: 'principal', name: body.principal } as const)
      : 'session' in body
        ? ({ kind: 'session', name: body.session } as const)
        : ({ kind: 'tenant' } as const);
  return {
    id: toHex(context.randomBytes(16)),
    tenant: tenantOf(request),
    ...of,
    reason: body.reason,
    actor: principalOf(request).id,
    since: new Date(context.clock.nowMs()).toISOString(),
  };
}
