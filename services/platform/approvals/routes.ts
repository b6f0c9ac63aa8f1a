/** HTTP routes of approvals: what waits, with the exact arguments, and how somebody answers. Never by a producer's token. */
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import {
  DEFAULT_APPROVAL_TTL_MS,
  zApprovalDecision,
  zApprovalId,
  zDenyRequest,
  zGrantRequest,
} from '../../../schemas/approval/v1.ts';
import { TriplineError } from '../../../schemas/errors.ts';
import { zName } from '../../../schemas/event/v1.ts';
import { principalOf, readableTenant, type Principal } from '../http/principal.ts';
import type { StepContext } from '../step.ts';
import type { Approvals } from './board.ts';
import { REQUESTS_SINCE_MS, type Answer, type Answered, type ApprovalIssuer } from './issuer.ts';
import { readApprovalRequests, type ApprovalRequest } from './requests.ts';

export const APPROVAL_READERS = ['analyst', 'responder', 'auditor', 'admin'] as const;
export const APPROVAL_ANSWERERS = ['responder', 'admin'] as const;

export type ApprovalRouteContext = Pick<StepContext, 'http' | 'audit' | 'clock' | 'store' | 'keys'>;

const STATES = ['pending', 'granted', 'denied', 'expired'] as const;
const zTime = z.string();
const zItem = z.object({
  id: z.string(),
  state: z.enum(STATES),
  tenant: z.string(),
  session: z.string(),
  agent: z.string(),
  principal: z.string().optional(),
  host: z.string().optional(),
  server: z.string(),
  tool: z.string(),
  class: z.string(),
  policy: z.object({ id: z.string(), version: z.number(), rule: z.string().optional() }).optional(),
  /** Exact text of the arguments, as JSON on the wire. Attacker-controlled. */
  args: z.string().optional(),
  argsHash: z.string(),
  argsAltered: z.boolean(),
  fourEyes: z.boolean(),
  requestedAt: zTime,
  answerableUntil: zTime,
  eventId: z.string(),
  decision: zApprovalDecision.optional(),
});
export type ApprovalItem = z.infer<typeof zItem>;

const zListQuery = z.strictObject({
  tenant: zName.optional(),
  state: z.enum([...STATES, 'all']).default('pending'),
  limit: z.coerce.number().int().min(1).max(500).default(100),
});
const zTenantQuery = z.strictObject({ tenant: zName.optional() });
const zParams = z.object({ id: zApprovalId });
/** Requests looked through for those of one state. */
const MAX_REQUESTS = 1_000;

export function registerApprovalRoutes(
  context: ApprovalRouteContext,
  { approvals, approvalIssuer }: { readonly approvals: Approvals; readonly approvalIssuer: ApprovalIssuer },
): void {
  registerList(context, approvals);
  registerGrant(context, approvalIssuer);
  registerDeny(context, approvalIssuer);
}

function registerList({ http, audit, clock, store, keys }: ApprovalRouteContext, approvals: Approvals): void {
  http.withTypeProvider<ZodTypeProvider>().get(
    '/v1/approvals',
    {
      config: { roles: APPROVAL_READERS },
      schema: {
        summary: 'Requests for approval, newest first',
        tags: ['approvals'],
        querystring: zListQuery,
        response: { 200: z.object({ items: z.array(zItem), nextCursor: z.null() }) },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { state, limit } = request.query;
      const tenant = readableTenant(principal, request.query.tenant);
      await audit.record(principal.tenant, {
        action: 'read',
        actor: principal.id,
        role: principal.role,
        target: '/v1/approvals',
        outcome: 'ok',
        details: { tenant, state },
      });
      await approvals.catchUp();
      const nowMs = clock.nowMs();
      const found = await readApprovalRequests(store, {
        keys,
        tenant,
        sinceMs: nowMs - REQUESTS_SINCE_MS,
        limit: MAX_REQUESTS,
      });
      const items = found.map((one) => itemOf(one, approvals, nowMs));
      const wanted = items.filter((item) => state === 'all' || item.state === state);
      return { items: wanted.slice(0, limit), nextCursor: null };
    },
  );
}

function itemOf(request: ApprovalRequest, approvals: Approvals, nowMs: number): ApprovalItem {
  const { policy, args, principal, host, isAltered, requestedAtMs, answerableUntilMs, ...rest } = request;
  const decision = approvals.get(request.tenant, request.id)?.decision;
  const open = nowMs < answerableUntilMs ? 'pending' : 'expired';
  return {
    ...rest,
    state: decision?.verdict ?? open,
    ...(principal === undefined ? {} : { principal }),
    ...(host === undefined ? {} : { host }),
    ...(policy === undefined
      ? {}
      : { policy: { id: policy.id, version: policy.version, rule: policy.rule } }),
    ...(args === undefined ? {} : { args }),
    argsAltered: isAltered,
    requestedAt: new Date(requestedAtMs).toISOString(),
    answerableUntil: new Date(answerableUntilMs).toISOString(),
    ...(decision === undefined ? {} : { decision }),
  };
}

const answerOf = ({ decision }: Answered): z.infer<typeof zApprovalDecision> => decision;

function registerGrant(context: ApprovalRouteContext, issuer: ApprovalIssuer): void {
  context.http.withTypeProvider<ZodTypeProvider>().post(
    '/v1/approvals/:id/grant',
    {
      config: { roles: APPROVAL_ANSWERERS },
      schema: {
        summary: 'Grant one call with exactly these arguments, once',
        tags: ['approvals'],
        params: zParams,
        querystring: zTenantQuery,
        body: zGrantRequest,
        response: { 200: zApprovalDecision },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { argsHash, reason, ttlMs } = request.body;
      const tenant = readableTenant(principal, request.query.tenant);
      const wanted = { id: request.params.id, tenant, verdict: 'granted', argsHash, reason, ttlMs } as const;
      return answerOf(await answered(context, { issuer, principal }, wanted));
    },
  );
}

function registerDeny(context: ApprovalRouteContext, issuer: ApprovalIssuer): void {
  context.http.withTypeProvider<ZodTypeProvider>().post(
    '/v1/approvals/:id/deny',
    {
      config: { roles: APPROVAL_ANSWERERS },
      schema: {
        summary: 'Deny a request for approval',
        tags: ['approvals'],
        params: zParams,
        querystring: zTenantQuery,
        body: zDenyRequest,
        response: { 200: zApprovalDecision },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const tenant = readableTenant(principal, request.query.tenant);
      const { reason } = request.body;
      const wanted = {
        id: request.params.id,
        tenant,
        verdict: 'denied',
        reason,
        ttlMs: DEFAULT_APPROVAL_TTL_MS,
      } as const;
      return answerOf(await answered(context, { issuer, principal }, wanted));
    },
  );
}

/** Who reached for an answer that is not theirs is on record as well. */
async function answered(
  { audit }: ApprovalRouteContext,
  { issuer, principal }: { readonly issuer: ApprovalIssuer; readonly principal: Principal },
  wanted: Answer,
): Promise<Answered> {
  try {
    return await issuer.answer(wanted, principal);
  } catch (error) {
    if (error instanceof TriplineError && error.code === 'auth_forbidden')
      await audit.record(principal.tenant, {
        action: wanted.verdict === 'granted' ? 'approval.grant' : 'approval.deny',
        actor: principal.id,
        role: principal.role,
        target: wanted.id,
        outcome: 'denied',
      });
    throw error;
  }
}
