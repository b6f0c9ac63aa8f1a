/** The audit trail over topic audit: who did what to Tripline itself. */
import { zAuditBody } from '../../../schemas/audit/v1.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import type { AuditTrail } from '../step.ts';
import { createServiceStreams, type ServiceStreamDeps } from './service-stream.ts';

/** What somebody who sees all tenants does without naming one is on record under this one. */
export const DEFAULT_TENANT = 'default';

export type AuditTrailDeps = Omit<ServiceStreamDeps, 'topic' | 'kind'>;

/** record() resolves when the event is durable on the bus; rejects with the bus's codes, or ZodError for a malformed body (a fault of ours). */
export function createAuditTrail(deps: AuditTrailDeps): AuditTrail {
  const streams = createServiceStreams({ ...deps, topic: TOPICS.audit.name, kind: 'audit' });
  return {
    record: async (tenant, body) => {
      const checked = zAuditBody.parse(body);
      await streams.append(tenant === '*' ? DEFAULT_TENANT : tenant, 'audit', [checked]);
    },
  };
}
