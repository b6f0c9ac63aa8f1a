/** An audit event: who did what to Tripline itself. Written by the service only, in the event envelope, topic audit. */
import { z } from 'zod';
import { zHex32, zHex64, zName, zTime } from '../event/v1.ts';

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
  'erasure.request',
  'erasure',
  'hold.add',
  'hold.release',
  'evidence.accept_loss',
  'evidence.repair',
  'subscribe',
  'service.start',
  'service.stop',
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/** What was erased, and by whose wish: the entries of the tenant's logs whose bytes may be gone. */
export const zErasureBody = z.strictObject({
  /** Of the request; an erasure of many entries takes several lines. */
  id: zHex32,
  by: z.enum(['principal', 'session', 'retention']),
  logs: z
    .array(
      z.strictObject({
        log: zHex64,
        /** Ascending indexes and ranges, both ends included: `0-4,9,12-13`. */
        indexes: z.string().min(1).max(300_000),
      }),
    )
    .max(10_000),
});
export type ErasureBody = z.infer<typeof zErasureBody>;

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
  /** With action `erasure` only. Such a line is an ERASURE entry of the ledger. */
  erasure: zErasureBody.optional(),
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
