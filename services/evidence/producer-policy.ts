/**
 * Agent keys that an auditor trusts, as a file: one a line, `#` begins a comment.
 *
 *   <raw public key in base64> <name> [revoked <RFC 3339 time>]
 */
import { checkEd25519PublicKey } from '../../schemas/control/key.ts';
import { fromCanonicalBase64, toHex, type Sha256 } from './bytes.ts';
import type { TrustedProducer, TrustedProducers } from './producer-tally.ts';

export type ParsedProducers =
  | { readonly kind: 'keys'; readonly keys: TrustedProducers }
  | { readonly kind: 'fault'; readonly line: number; readonly fault: string };

/** `line` counts from 1. Nothing is left out: a line that cannot be read is a fault. */
export function parseTrustedProducers(text: string, sha256: Sha256): ParsedProducers {
  const keys = new Map<string, TrustedProducer>();
  for (const [at, line] of text.split('\n').entries()) {
    const words = (line.split('#', 1)[0] ?? '').split(/\s+/u).filter((word) => word !== '');
    if (words.length === 0) continue;
    const parsed = parseLine(words);
    if (typeof parsed === 'string') return { kind: 'fault', line: at + 1, fault: parsed };
    keys.set(toHex(sha256(parsed.publicKey)), parsed.trusted);
  }
  return { kind: 'keys', keys };
}

function parseLine(
  words: readonly string[],
): { readonly publicKey: Uint8Array; readonly trusted: TrustedProducer } | string {
  const [text = '', name, revoked, time = '', ...more] = words;
  const publicKey = fromCanonicalBase64(text);
  if (publicKey === undefined) return 'no key in base64';
  const check = checkEd25519PublicKey(publicKey);
  if (check !== 'ok') return `no Ed25519 public key: ${check}`;
  if (name === undefined) return 'no name';
  if (revoked === undefined) return { publicKey, trusted: { name, tenant: undefined, revokedMs: undefined } };
  const revokedMs = Date.parse(time);
  if (revoked !== 'revoked' || more.length > 0 || Number.isNaN(revokedMs))
    return 'after the name only: revoked <RFC 3339 time>';
  return { publicKey, trusted: { name, tenant: undefined, revokedMs } };
}
