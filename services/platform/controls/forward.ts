/**
 * Changes of controls in a process that holds no control key: they are passed on, with the caller's own token, to the
 * process that runs step respond. So hosts, analysts and the console need one URL, and the private key stays in one
 * place. That process decides and writes the audit event; this one only refuses roles that could never be allowed.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { TriplineError } from '../../../schemas/errors.ts';
import { zName } from '../../../schemas/event/v1.ts';
import { APPROVAL_ANSWERERS, APPROVAL_READERS } from '../approvals/routes.ts';
import { CONTROL_WRITERS, type ControlRouteContext } from './access.ts';

const TIMEOUT_MS = 10_000;
/** Sent on as they came; everything else of the request stays here. */
const PASSED_HEADERS = ['authorization', 'idempotency-key'] as const;

const zLiftParams = z.object({ id: zName });
/** The process that answers checks what they hold. */
const zPassedQuery = z.strictObject({
  tenant: zName.optional(),
  state: zName.optional(),
  id: zName.optional(),
  limit: zName.optional(),
  cursor: z.string().max(1024).optional(),
});

/** POST /v1/controls and POST /v1/controls/:id/lift, answered by the process at `respondUrl`; without one config_invalid says so. */
export function registerControlForwarding(
  context: Pick<ControlRouteContext, 'http' | 'log'>,
  respondUrl: string | undefined,
): void {
  const { http } = context;
  const config = { roles: CONTROL_WRITERS };
  http.post('/v1/controls', { config }, (request, reply) =>
    forward(context, respondUrl, { request, reply, path: '/v1/controls' }),
  );
  http.post('/v1/controls/:id/lift', { config }, (request, reply) => {
    const params = zLiftParams.safeParse(request.params);
    if (!params.success) throw new TriplineError('not_found');
    const path = `/v1/controls/${encodeURIComponent(params.data.id)}/lift`;
    return forward(context, respondUrl, { request, reply, path });
  });
  forwardApprovals(context, respondUrl);
}

/** Requests for approval and the answers to them. */
function forwardApprovals(
  context: Pick<ControlRouteContext, 'http' | 'log'>,
  respondUrl: string | undefined,
): void {
  const { http } = context;
  http.get('/v1/approvals', { config: { roles: APPROVAL_READERS } }, (request, reply) =>
    forward(context, respondUrl, { request, reply, path: '/v1/approvals' }),
  );
  for (const verb of ['grant', 'deny'])
    http.post(`/v1/approvals/:id/${verb}`, { config: { roles: APPROVAL_ANSWERERS } }, (request, reply) => {
      const params = zLiftParams.safeParse(request.params);
      if (!params.success) throw new TriplineError('not_found');
      const path = `/v1/approvals/${encodeURIComponent(params.data.id)}/${verb}`;
      return forward(context, respondUrl, { request, reply, path });
    });
}

interface Forwarded {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  /** Made here, never the caller's text. */
  readonly path: string;
}

async function forward(
  { log }: Pick<ControlRouteContext, 'log'>,
  respondUrl: string | undefined,
  { request, reply, path }: Forwarded,
): Promise<FastifyReply> {
  if (respondUrl === undefined)
    throw new TriplineError('config_invalid', 'Step respond runs elsewhere; set respond.url here.', {
      path: 'respond.url',
    });
  const query = zPassedQuery.safeParse(request.query);
  if (!query.success)
    throw new TriplineError('request_invalid', query.error.issues[0]?.message, { path: 'query' });
  const target = new URL(path, respondUrl);
  for (const [name, value] of Object.entries(query.data))
    if (value !== undefined) target.searchParams.set(name, value);
  const answer = await send(target, request).catch((cause: unknown) => {
    log.warn({ err: cause }, 'step respond does not answer');
    throw new TriplineError('not_ready', 'Step respond does not answer; the outcome is unknown.', { cause });
  });
  return reply.status(answer.status).type('application/json').send(answer.body);
}

async function send(target: URL, request: FastifyRequest): Promise<{ status: number; body: string }> {
  const headers = new Headers({ 'content-type': 'application/json' });
  for (const name of PASSED_HEADERS) {
    const value = request.headers[name];
    if (typeof value === 'string') headers.set(name, value);
  }
  const response = await fetch(target, {
    method: request.method,
    ...(request.method === 'GET' ? {} : { body: JSON.stringify(request.body ?? {}) }),
    headers,
    redirect: 'error',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  return { status: response.status, body: await response.text() };
}
