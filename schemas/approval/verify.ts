/** Trust in an approval, and whether it answers a call. Pure. Everything here may come from whoever owns the channel or a host's disk. */
import { openSigned, type PinnedControlKey, type VerifyEd25519 } from '../control/verify.ts';
import {
  APPROVAL_SIGNATURE_DOMAIN,
  zApprovalDecision,
  type ApprovalDecision,
  type SignedApproval,
} from './v1.ts';

export type ApprovalVerification =
  | { readonly kind: 'valid'; readonly decision: ApprovalDecision }
  | { readonly kind: 'invalid'; readonly code: 'approval_invalid' | 'approval_signature_invalid' };

/** `valid` where a pinned key signed these very bytes as an approval. Never throws. */
export function verifySignedApproval(
  signed: SignedApproval,
  pinnedKeys: readonly PinnedControlKey[],
  verifyEd25519: VerifyEd25519,
): ApprovalVerification {
  const opened = openSigned(signed, { pinnedKeys, verifyEd25519, domain: APPROVAL_SIGNATURE_DOMAIN });
  if (opened.kind === 'untrusted') return { kind: 'invalid', code: 'approval_signature_invalid' };
  const parsed = zApprovalDecision.safeParse(opened.kind === 'payload' ? opened.value : undefined);
  return parsed.success && hasDates(parsed.data)
    ? { kind: 'valid', decision: parsed.data }
    : { kind: 'invalid', code: 'approval_invalid' };
}

function hasDates({ issuedAt, expiresAt }: ApprovalDecision): boolean {
  return Date.parse(issuedAt) < Date.parse(expiresAt);
}

/** What a host asked for. */
export interface ApprovedCall {
  readonly id: string;
  readonly agent: string;
  readonly server: string;
  readonly tool: string;
  readonly argsHash: string;
}

/** True where the decision is about this request and this call, byte for byte. */
export function answersCall(decision: ApprovalDecision, call: ApprovedCall): boolean {
  return (
    decision.id === call.id &&
    decision.agent === call.agent &&
    decision.server === call.server &&
    decision.tool === call.tool &&
    decision.argsHash === call.argsHash
  );
}

/** A clock that was set back by more than this since the host saw the decision is no witness of how old it is. */
const MAX_BACKWARDS_MS = 1_000;

/**
 * True while the decision holds, by the host's own clock: before `expiresAt`, and for no longer since the host first saw it
 * than it was given at all. So a host whose clock is fast sees it end early, and one whose clock is slow, or is set back, gains
 * nothing.
 */
export function isWithinTime(decision: ApprovalDecision, firstSeenMs: number, nowMs: number): boolean {
  const expiresMs = Date.parse(decision.expiresAt);
  const lifetimeMs = expiresMs - Date.parse(decision.issuedAt);
  return nowMs < expiresMs && nowMs < firstSeenMs + lifetimeMs && nowMs >= firstSeenMs - MAX_BACKWARDS_MS;
}
