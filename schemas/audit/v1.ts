/** An audit event: who did what to Tripline itself. Written by the service only, in the event envelope, topic audit. */
import { z } from 'zod';
import { zHex32, zName, zTime } from '../event/v1.ts';

export const AUDIT_ACTIONS = [
  'control.set',
  'control.lift',
  'control.expire',
  'alert.disposition',
  'approval.grant',
  'approval.deny',
  'rules.load',
  'key.register',
  'key.revoke',
  'read',
  'export',
  'evidence.fork',
  'evidence.accept_loss',
  'subscribe',
  'service.start',
  'service.stop',
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

export const zAuditBody = z.strictObject({
  action: z.enum(AUDIT_ACTIONS),
  /** Id of the API key or `system:<step>`; never a secret. */
  actor: zName,
  role: zName,
  target: z.string().max(512).optional(),
  reason: z.string().max(2048).optional(),
  outcome: z.enum(['ok', 'denied', 'failed']),
  /** Small and safe: route, filters, counts, ids. */
  details: z
    .record(z.string(), z.union([z.string().max(2048), z.number(), z.boolean(), z.null()]))
    .optional(),
});
export type AuditBody = z.infer<typeof zAuditBody>;

export const zAuditLine = z.strictObject({
  v: z.literal(1),
  kind: z.literal('audit'),
  stream: zHex32,
  seq: z.number().int().min(0),
  nonce: zHex32,
  time: zTime,
  session: zName,
  agent: zName,
  audit: zAuditBody,
});
export type AuditLine = z.infer<typeof zAuditLine>;
