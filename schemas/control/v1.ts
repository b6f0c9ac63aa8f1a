/**
 * A control (kill switch), version 1. What is signed and verified is the exact payload bytes, never a re-serialised
 * object: signature = Ed25519(control_sk, "tripline/control/v1\0" ‖ payload bytes).
 */
import { z } from 'zod';
import { CONTROL_SCOPES } from '../alert/v1.ts';
import { zName, zTime, zHex32, zHex64 } from '../event/v1.ts';
import { zVerdict } from '../verdict/v1.ts';

export const CONTROL_MODES = ['shadow', 'enforce'] as const;
export type ControlMode = (typeof CONTROL_MODES)[number];

/** JSON-RPC error code of a refused call. */
export const REFUSED_RPC_CODE = -32090;
export const CONTROL_SIGNATURE_DOMAIN = 'tripline/control/v1\0';

export const zControl = z.strictObject({
  v: z.literal(1),
  id: zName,
  /** Grows with every change of the deployment's controls; a host refuses what is not newer than what it holds for the id. */
  version: z.number().int().min(1).max(Number.MAX_SAFE_INTEGER),
  /** `*` only with scope global. */
  tenant: zName,
  scope: z.enum(CONTROL_SCOPES),
  /** Name of the tool, class, server, agent or session; `*` for tenant and global. `server/tool` narrows a tool to a server. */
  target: zName,
  mode: z.enum(CONTROL_MODES),
  state: z.enum(['set', 'lifted']),
  reason: z.string().min(1).max(1024),
  issuedBy: zName,
  issuedAt: zTime,
  expiresAt: zTime,
  /** The alert that asked for it, where a rule did. */
  alertId: zHex64.optional(),
});
export type Control = z.infer<typeof zControl>;

/** Opaque signed form, as it stands on the topic, in the API and in a host's file. */
export const zSignedControl = z.strictObject({
  payload: z.string().describe('base64 of the exact payload bytes'),
  keyId: zHex64.describe('SHA-256 of the raw 32-byte public key'),
  signature: z.string().describe('base64 Ed25519 signature'),
});
export type SignedControl = z.infer<typeof zSignedControl>;

/** `data` of the JSON-RPC error with which a refused call is answered. */
export const zRefusal = z.strictObject({
  controlId: z.string(),
  scope: z.enum(CONTROL_SCOPES),
  mode: z.enum(CONTROL_MODES),
  expiresAt: zTime,
  reason: z.string(),
  /** Where a policy of the host refused: which one, and by which line. */
  policy: z.strictObject({ id: zName, version: z.number().int(), rule: zName }).optional(),
  /** What the call may be repeated under, once somebody has granted it. */
  approvalId: zName.optional(),
});
export type Refusal = z.infer<typeof zRefusal>;

/** Body of POST /v1/controls. */
export const zControlRequest = z.strictObject({
  scope: z.enum(CONTROL_SCOPES),
  target: zName.optional(),
  mode: z.enum(CONTROL_MODES).default('enforce'),
  ttlMs: z
    .number()
    .int()
    .min(1000)
    .max(365 * 86_400_000),
  reason: z.string().min(1).max(1024),
});
export type ControlRequest = z.infer<typeof zControlRequest>;

/** Messages on WS /v1/controls/stream. Server → host: snapshot then changes. Host → server: acks (also recorded as control.ack events). */
export const zControlStreamMessage = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('snapshot'), controls: z.array(zSignedControl) }),
  z.strictObject({ type: z.literal('control'), control: zSignedControl }),
  /** Only to a host that watches the stream. */
  z.strictObject({ type: z.literal('verdict'), verdict: zVerdict }),
  /** Only to a host that waits for the answer (schemas/approval). */
  z.strictObject({ type: z.literal('approval'), approval: zSignedControl }),
  z.strictObject({ type: z.literal('ping'), at: zTime }),
]);
/** Host → server, read: the streams whose held calls and the approvals whose answers it waits for. All else is passed over. */
export const zHostMessage = z.discriminatedUnion('type', [
  z.strictObject({ type: z.enum(['watch', 'unwatch']), stream: zHex32 }),
  z.strictObject({ type: z.enum(['watch_approval', 'unwatch_approval']), approval: zName }),
]);
export type HostMessage = z.infer<typeof zHostMessage>;
export type ControlStreamMessage = z.infer<typeof zControlStreamMessage>;
