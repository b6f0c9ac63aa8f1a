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
import { zName } from '../../../schemas/event/v1.ts';
import { auditingDenial } from '../audit/denied.ts';
import { decodeCursor, encodeCursor } from '../http/cursor.ts';
import { principalOf, readableTenant, type Principal } from '../http/principal.ts';
import type { StepContext } from '../step.ts';
import type { Approvals } from './board.ts';
import { REQUESTS_SINCE_MS, type Answer, type Answered, type ApprovalIssuer } from './issuer.ts';
import { GRANT_OBSTACLES, grantObstacle } from './obstacle.ts';
import { readApprovalRequests, type ApprovalRequest, type RequestQuery } from './requests.ts';

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
  /** Why whoever asks cannot grant it; nobody grants where the arguments were altered. `role`: nor deny it. */
  obstacle: z.enum(['role', ...GRANT_OBSTACLES]).optional(),
  requestedAt: zTime,
  answerableUntil: zTime,
  eventId: z.string(),
  decision: zApprovalDecision.optional(),
});
export type ApprovalItem = z.infer<typeof zItem>;

const zListQuery = z.strictObject({
  tenant: zName.optional(),
  state: z.enum([...STATES, 'all']).default('pending'),
  id: zApprovalId.optional(),
  limit: z.coerce.number().int().min(1).max(500).default(100),
  cursor: z.string().max(1024).optional(),
});
const zTenantQuery = z.strictObject({ tenant: zName.optional() });
const zParams = z.object({ id: zApprovalId });
const zPlace = z.tuple([z.number().int(), z.string().max(256), z.string().max(256)]);
const zPage = z.object({
  /** Whose token asks, and whether its role may answer at all. */
  asker: z.object({ id: z.string(), role: z.string(), mayAnswer: z.boolean() }),
  items: z.array(zItem),
  nextCursor: z.string().nullable(),
});
/** Requests looked through for those of one state, and bytes of arguments in one answer. */
const MAX_LOOKED_THROUGH = 2_000;
const MAX_ANSWER_BYTES = 8 * 1024 * 1024;

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
        response: { 200: zPage },
      },
    },
    async (request) => {
      const principal = principalOf(request);
      const { query } = request;
      const tenant = readableTenant(principal, query.tenant);
      await audit.record(principal.tenant, {
        action: 'read',
        actor: principal.id,
        role: principal.role,
        target: '/v1/approvals',
        outcome: 'ok',
        details: { tenant, state: query.state },
      });
      await approvals.catchUp();
      const asker = { id: principal.id, role: principal.role, mayAnswer: mayAnswer(principal) };
      const page = await pageOf(
        { approvals, nowMs: clock.nowMs(), principal },
        { store, keys, tenant },
        query,
      );
      return { asker, ...page };
    },
  );
}

const mayAnswer = ({ role }: Principal): boolean => APPROVAL_ANSWERERS.some((one) => one === role);

interface Viewer {
  readonly approvals: Approvals;
  readonly nowMs: number;
  readonly principal: Principal;
}

/** Ends where `limit` or the bytes of an answer are reached, or so many were looked through: the cursor goes on there. */
async function pageOf(
  viewer: Viewer,
  { store, keys, tenant }: Pick<ApprovalRouteContext, 'store' | 'keys'> & { readonly tenant: string },
  query: z.output<typeof zListQuery>,
): Promise<{ items: ApprovalItem[]; nextCursor: string | null }> {
  const items: ApprovalItem[] = [];
  let looked = 0;
  let bytes = 0;
  const found = readApprovalRequests(store, { keys, tenant, ...soughtBy(viewer, query) });
  for await (const { place, request } of found) {
    const item = request === undefined ? undefined : itemOf(request, viewer);
    if (item !== undefined && isWanted(item, query.state)) {
      items.push(item);
      bytes += item.args?.length ?? 0;
    }
    looked += 1;
    if (items.length >= query.limit || bytes >= MAX_ANSWER_BYTES || looked >= MAX_LOOKED_THROUGH)
      return { items, nextCursor: encodeCursor(place) };
  }
  return { items, nextCursor: null };
}

const isWanted = ({ state }: ApprovalItem, wanted: string): boolean => wanted === 'all' || state === wanted;

function soughtBy(
  { approvals, nowMs }: Viewer,
  { state, id, cursor }: z.output<typeof zListQuery>,
): Omit<RequestQuery, 'keys' | 'tenant'> {
  return {
    id,
    sinceMs: nowMs - REQUESTS_SINCE_MS,
    openAtMs: state === 'pending' ? nowMs : undefined,
    after: cursor === undefined ? undefined : decodeCursor(cursor, zPlace),
    wants: (tenant, one) => mayBe(state, approvals.get(tenant, one)?.decision.verdict),
  };
}

/** Of a request that was answered so, or not at all. */
function mayBe(state: z.output<typeof zListQuery>['state'], verdict: string | undefined): boolean {
  if (state === 'all') return true;
  return verdict === undefined ? state === 'pending' || state === 'expired' : state === verdict;
}

function itemOf(request: ApprovalRequest, { approvals, nowMs, principal: asker }: Viewer): ApprovalItem {
  const { policy, args, principal, host, isAltered, requestedAtMs, answerableUntilMs, ...rest } = request;
  const decision = approvals.get(request.tenant, request.id)?.decision;
  const obstacle = mayAnswer(asker) ? grantObstacle(request, asker.id) : 'role';
  const named =
    policy === undefined ? undefined : { id: policy.id, version: policy.version, rule: policy.rule };
  return {
    ...rest,
    state: decision?.verdict ?? (nowMs < answerableUntilMs ? 'pending' : 'expired'),
    argsAltered: isAltered,
    requestedAt: new Date(requestedAtMs).toISOString(),
    answerableUntil: new Date(answerableUntilMs).toISOString(),
    // What is undefined is left out of the JSON.
    policy: named,
    principal,
    host,
    args,
    obstacle,
    decision,
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
function answered(
  { audit }: ApprovalRouteContext,
  { issuer, principal }: { readonly issuer: ApprovalIssuer; readonly principal: Principal },
  wanted: Answer,
): Promise<Answered> {
  const action = wanted.verdict === 'granted' ? 'approval.grant' : 'approval.deny';
  return auditingDenial(audit, { principal, action, target: wanted.id }, () =>
    issuer.answer(wanted, principal),
  );
}
