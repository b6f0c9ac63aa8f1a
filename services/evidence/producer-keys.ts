/** Agent keys of a tenant as its audit log holds them: a KEY entry registers or revokes one. Pure. */
import { checkEd25519PublicKey } from '../../schemas/control/key.ts';
import type { AuditLine } from '../../schemas/audit/v1.ts';
import { fromCanonicalBase64 } from './bytes.ts';

/** True for what a ledger enters as KEY. */
export function isKeyChange(line: AuditLine): boolean {
  return keyChangeOf(line) !== undefined;
}

export type KeyChange =
  | { readonly kind: 'register'; readonly publicKey: Uint8Array; readonly name: string }
  | { readonly kind: 'revoke'; readonly keyId: string; readonly reason: string };

/** What an audit line changes of the keys; undefined for every other line, and for what was denied or is no key. */
export function keyChangeOf(line: AuditLine): KeyChange | undefined {
  const { action, outcome, target, details, reason } = line.audit;
  if (outcome !== 'ok' || target === undefined) return undefined;
  if (action === 'key.revoke') return { kind: 'revoke', keyId: target, reason: reason ?? '' };
  return action === 'key.register' ? registrationOf(details ?? {}) : undefined;
}

function registrationOf(details: Readonly<Record<string, unknown>>): KeyChange | undefined {
  const { publicKey: text, name } = details;
  const publicKey = typeof text === 'string' ? fromCanonicalBase64(text) : undefined;
  if (publicKey === undefined || checkEd25519PublicKey(publicKey) !== 'ok') return undefined;
  return { kind: 'register', publicKey, name: typeof name === 'string' ? name : '' };
}
