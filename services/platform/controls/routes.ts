/** HTTP routes of the kill switch. Reading is served by ingest too, so that a host needs one URL; writing by respond. */
import type { FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { isInForce } from '../../../schemas/control/decide.ts';
import { zControl, zControlRequest, zSignedControl, type Control } from '../../../schemas/control/v1.ts';
import { TriplineError } from '../../../schemas/errors.ts';
import { zName } from '../../../schemas/event/v1.ts';
import { auditingDenial } from '../audit/denied.ts';
import { principalOf, readableTenant } from '../http/principal.ts';
import { concerns, CONTROL_READERS, CONTROL_WRITERS, type ControlRouteContext } from './access.ts';
import type { HeldControl } from './board.ts';
import type { ControlReader } from './open.ts';
import { controlIdOfRequest, type ControlIssuer, type ControlPrincipal } from './issuer.ts';
import { registerControlStream } from './stream.ts';

/** A control as the API answers it: decoded, and in the exact form that hosts verify. */
const zItem = z.object({ control: zControl, signed: zSignedControl, inForce: z.boolean() });
export type ControlItem = z.infer<typeof zItem>;
const zPage = z.object({ items: z.array(zItem), nextCursor: z.string().nullable() });

const MAX_LIMIT = 1000;

/** Scopes whose target is a name: the listings' filters of the same names. */
const NAMED_SCOPES = ['session', 'agent', 'server', 'tool', 'class'] as const;

const zListQuery = z.strictObject({
  tenant: zName.optional(),
  session: zName.optional(),
  agent: zName.optional(),
  server: zName.optional(),
  tool: zName.optional(),
  class: zName.optional(),
  /** RFC 3339; issued from this time on. */
  since: z.iso.datetime({ offset: true }).optional(),
  /** RFC 3339; issued before this time. */
  until: z.iso.datetime({ offset: true }).optional(),
  /** `current`: not past its expiry (set or lifted). `inForce`: set and not past it. */
  state: z.enum(['current', 'inForce', 'all']).default('current'),
  limit: z.coerce.number().int().min(1).max(MAX_LIMIT).default(MAX_LIMIT),
  /** Version of the last item of the page before. */
  cursor: z.coerce.number().int().min(1).max(Number.MAX_SAFE_INTEGER).optional(),
});
const zTenantQuery = z.strictObject({ tenant: zName.optional() });
const zLiftBody = z.strictObject({ reason: z.string().min(1).max(1024) });
const zLiftParams = z.object({ id: zName });

/** GET /v1/controls and WS /v1/controls/stream. Two steps of one process may both ask for them: they are registered once. */
export function registerControlReadRoutes(
  context: ControlRouteContext,
  { board, verdicts, approvals }: Pick<ControlReader, 'board' | 'verdicts' | 'approvals'>,
): void {
  if (context.http.hasRoute({ method: 'GET', url: '/v1/controls' })) return;
  context.http.withTypeProvider<ZodTypeProvider>().get(
    '/v1/controls',
    {
      config: { roles: CONTROL_READERS },
      schema: {
        summary: 'List controls',
        description: 'Controls of the tenant and the global ones, newest version first.',
        tags: ['controls'],
        querystring: zListQuery,
        response: { 200: zPage },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { query } = request;
      const tenant = readableTenant(principal, query.tenant);
      await context.audit.record(principal.tenant, {
        action: 'read',
        actor: principal.id,
        role: principal.role,
        target: '/v1/controls',
        outcome: 'ok',
        details: { tenant, state: query.state },
      });
      const found = board.list().filter(({ control }) => concerns(control, tenant));
      return pageOf(found, query, context.clock.nowMs());
    },
  );
  registerControlStream(context, { board, verdicts, approvals });
}

/** POST /v1/controls and POST /v1/controls/:id/lift. The issuer writes the audit event of the change. */
export function registerControlWriteRoutes(context: ControlRouteContext, issuer: ControlIssuer): void {
  registerSet(context, issuer);
  registerLift(context, issuer);
}

function registerSet(context: ControlRouteContext, issuer: ControlIssuer): void {
  context.http.withTypeProvider<ZodTypeProvider>().post(
    '/v1/controls',
    {
      config: { roles: CONTROL_WRITERS },
      schema: {
        summary: 'Set a kill switch',
        description: 'Idempotent with an Idempotency-Key. Scope global: an admin of all tenants only.',
        tags: ['controls'],
        querystring: zTenantQuery,
        body: zControlRequest,
        response: { 201: zItem },
      },
    },
    async (request, reply) => {
      const principal = principalOf(request);
      const { body } = request;
      const wanted = { ...body, tenant: request.query.tenant, id: requestedId(request, principal) };
      const held = await auditingDenial(
        context.audit,
        { principal, action: 'control.set', target: body.scope },
        () => issuer.set(wanted, principal),
      );
      return await reply.code(201).send(itemOf(held, context.clock.nowMs()));
    },
  );
}

function registerLift(context: ControlRouteContext, issuer: ControlIssuer): void {
  context.http.withTypeProvider<ZodTypeProvider>().post(
    '/v1/controls/:id/lift',
    {
      config: { roles: CONTROL_WRITERS },
      schema: {
        summary: 'Lift a kill switch',
        tags: ['controls'],
        params: zLiftParams,
        body: zLiftBody,
        response: { 200: zItem },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { id } = request.params;
      const held = await auditingDenial(
        context.audit,
        { principal, action: 'control.lift', target: id },
        () => issuer.lift(id, request.body.reason, principal),
      );
      return itemOf(held, context.clock.nowMs());
    },
  );
}

/** `Idempotency-Key`: a client that repeats a POST whose answer was lost gets the control of the first. */
function requestedId(request: FastifyRequest, principal: ControlPrincipal): string | undefined {
  const key = request.headers['idempotency-key'];
  if (typeof key !== 'string' || key === '') return undefined;
  if (key.length > 256)
    throw new TriplineError('request_invalid', 'Idempotency-Key is too long', { path: 'idempotency-key' });
  return controlIdOfRequest(`${principal.tenant}/${principal.id}`, key);
}

/** Newest version first; a cursor is a version, so that changes between two pages neither hide nor repeat an item. */
function pageOf(
  found: readonly HeldControl[],
  query: z.infer<typeof zListQuery>,
  nowMs: number,
): z.infer<typeof zPage> {
  const wanted = found.filter(
    ({ control }) =>
      (query.cursor === undefined || control.version < query.cursor) &&
      hasState(control, query.state, nowMs) &&
      isAskedFor(control, query),
  );
  const page = wanted.slice(0, query.limit);
  const last = page.at(-1);
  const hasMore = wanted.length > page.length && last !== undefined;
  return {
    items: page.map((held) => itemOf(held, nowMs)),
    nextCursor: hasMore ? String(last.control.version) : null,
  };
}

/** Exact matches: a control of one tool is found by `tool`, not by the session that it happens to stop. */
function isAskedFor(control: Control, query: z.infer<typeof zListQuery>): boolean {
  const issuedMs = Date.parse(control.issuedAt);
  if (query.since !== undefined && issuedMs < Date.parse(query.since)) return false;
  if (query.until !== undefined && issuedMs >= Date.parse(query.until)) return false;
  return NAMED_SCOPES.every(
    (scope) => query[scope] === undefined || (control.scope === scope && control.target === query[scope]),
  );
}

function hasState(control: Control, state: 'current' | 'inForce' | 'all', nowMs: number): boolean {
  if (state === 'inForce') return isInForce(control, nowMs);
  return state === 'all' || nowMs < Date.parse(control.expiresAt);
}

function itemOf(held: HeldControl, nowMs: number): ControlItem {
  return { control: held.control, signed: held.signed, inForce: isInForce(held.control, nowMs) };
}
