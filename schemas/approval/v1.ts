/**
 * An approval, version 1: one person's answer to one call of one agent, bound to its exact arguments, used at most once and
 * over at `expiresAt`. Signed as a control is, with the control key, in a domain of its own: signature =
 * Ed25519(control_sk, "tripline/approval/v1\0" ‖ payload bytes).
 */
import { z } from 'zod';
import { zHex64, zName, zTime } from '../event/v1.ts';
import { zSignedControl } from '../control/v1.ts';

export const APPROVAL_SIGNATURE_DOMAIN = 'tripline/approval/v1\0';

/** 128 random bits of the host that asks. */
export const zApprovalId = z
  .string()
  .regex(/^apr-[0-9a-f]{32}$/, 'must be apr- and 32 lower-case hex digits');

export const zApprovalDecision = z.strictObject({
  v: z.literal(1),
  id: zApprovalId,
  tenant: zName,
  verdict: z.enum(['granted', 'denied']),
  agent: zName,
  server: zName,
  tool: zName,
  /** SHA-256 of the exact bytes of the arguments; of nothing where the call has none. */
  argsHash: zHex64,
  by: zName,
  reason: z.string().min(1).max(1024),
  issuedAt: zTime,
  expiresAt: zTime,
});
export type ApprovalDecision = z.infer<typeof zApprovalDecision>;

/** Opaque signed form, as it stands on the topic, on the channel and in a host's file. */
export const zSignedApproval = zSignedControl;
export type SignedApproval = z.infer<typeof zSignedApproval>;

export const MIN_APPROVAL_TTL_MS = 1_000;
export const MAX_APPROVAL_TTL_MS = 86_400_000;
export const DEFAULT_APPROVAL_TTL_MS = 600_000;

/** Body of POST /v1/approvals/:id/grant. */
export const zGrantRequest = z.strictObject({
  /** Of the arguments that the approver was shown: a grant of anything else is a conflict. */
  argsHash: zHex64,
  reason: z.string().min(1).max(1024),
  ttlMs: z.number().int().min(MIN_APPROVAL_TTL_MS).max(MAX_APPROVAL_TTL_MS).default(DEFAULT_APPROVAL_TTL_MS),
});
export type GrantRequest = z.infer<typeof zGrantRequest>;

/** Body of POST /v1/approvals/:id/deny. */
export const zDenyRequest = z.strictObject({ reason: z.string().min(1).max(1024) });

/** SHA-256 of no bytes: what stands for absent arguments. */
export const NO_ARGS_HASH = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
