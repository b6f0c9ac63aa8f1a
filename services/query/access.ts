/** Who reads, and that it is on record before the answer. */
import type { FastifyRequest } from 'fastify';
import { isTriplineError } from '../../schemas/errors.ts';
import { principalOf } from '../platform/http/principal.ts';
import type { StepContext } from '../platform/step.ts';

/** Roles that read events, sessions and alerts. */
export const READERS = ['analyst', 'responder', 'auditor', 'admin'] as const;

export interface ReadAct {
  readonly action: 'read' | 'subscribe';
  readonly target: string;
  /** The tenant that is read, `*` for all. */
  readonly tenant: string;
}

const MAX_DETAIL_CHARS = 256;

/** One audit event a request or subscription; resolves when durable. Without it nothing is answered. */
export async function auditRead(
  context: Pick<StepContext, 'audit' | 'log'>,
  request: FastifyRequest,
  act: ReadAct,
): Promise<void> {
  const principal = principalOf(request);
  try {
    await context.audit.record(act.tenant, {
      action: act.action,
      actor: principal.id,
      role: principal.role,
      target: act.target,
      outcome: 'ok',
      details: detailsOf(request, act.tenant),
    });
  } catch (error) {
    const code = isTriplineError(error) ? error.code : 'internal';
    context.log.warn({ code, target: act.target }, 'a read was refused: it could not be audited');
    throw error;
  }
}

function detailsOf(request: FastifyRequest, tenant: string): Record<string, string> {
  const details: Record<string, string> = { request: request.id, tenant };
  const fields = { ...(request.query as object), ...(request.params as object) };
  for (const [name, value] of Object.entries(fields))
    if (name !== 'cursor' && name !== 'tenant') details[name] = String(value).slice(0, MAX_DETAIL_CHARS);
  return details;
}
