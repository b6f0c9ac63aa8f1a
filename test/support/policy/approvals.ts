/** Approvals signed as the service signs them, written from the contract: Ed25519 over "tripline/approval/v1\0" and the payload. */
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import type { ApprovalDecision, SignedApproval } from '../../../schemas/approval/v1.ts';
import type { PinnedControlKey } from '../../../schemas/control/verify.ts';

export const START_MS = Date.parse('2026-01-31T12:00:00.000Z');
const LASTING_MS = 600_000;

const keys = generateKeyPairSync('ed25519');
/** The last 32 bytes of the SPKI form are the raw key (RFC 8410). */
const raw = keys.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
export const pinned: PinnedControlKey = {
  keyId: createHash('sha256').update(raw).digest('hex'),
  publicKey: new Uint8Array(raw),
};

/** A grant of `delete_file {"path":"/tmp/a"}` for ten minutes. */
export function decision(id: string, over: Partial<ApprovalDecision> = {}): ApprovalDecision {
  return {
    v: 1,
    id,
    tenant: 'default',
    verdict: 'granted',
    agent: 'bot',
    server: 'files',
    tool: 'delete_file',
    argsHash: createHash('sha256').update('{"path":"/tmp/a"}').digest('hex'),
    by: 'bob',
    reason: 'fine',
    issuedAt: new Date(START_MS).toISOString(),
    expiresAt: new Date(START_MS + LASTING_MS).toISOString(),
    ...over,
  };
}

export function signed(
  of: ApprovalDecision,
  { key = keys.privateKey, domain = 'tripline/approval/v1\0' } = {},
): SignedApproval {
  const payload = Buffer.from(JSON.stringify(of));
  const signature = sign(null, Buffer.concat([Buffer.from(domain), payload]), key);
  return {
    payload: payload.toString('base64'),
    keyId: pinned.keyId,
    signature: signature.toString('base64'),
  };
}
