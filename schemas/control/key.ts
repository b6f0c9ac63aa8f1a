/**
 * Which Ed25519 public keys may be pinned. OpenSSL verifies forged signatures under keys of small order (C2SP/CCTV
 * `ed25519vectors`, flag low_order_A), so such keys are refused when a key is pinned, not when a signature is checked.
 */

export type PublicKeyCheck = 'ok' | 'wrong_length' | 'non_canonical' | 'small_order';

const KEY_BYTES = 32;
const FIELD_PRIME = 2n ** 255n - 19n;

/**
 * y coordinates (canonical, below p) of the eight points of small order: 1 (neutral), p-1 (order 2), 0 (order 4) and
 * two of order 8 (RFC 8032 §5.1; the test multiplies curve points by the group order to get them).
 */
const SMALL_ORDER_Y: ReadonlySet<bigint> = new Set([
  0n,
  1n,
  FIELD_PRIME - 1n,
  0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n,
  0x7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7n,
]);

/** `ok` for a raw 32-byte Ed25519 public key that is canonically encoded and not of small order. */
export function checkEd25519PublicKey(raw: Uint8Array): PublicKeyCheck {
  if (raw.length !== KEY_BYTES) return 'wrong_length';
  let encoded = 0n;
  for (const byte of raw.toReversed()) encoded = (encoded << 8n) | BigInt(byte);
  // The top bit is the sign of x. It needs no check: x = 0 only where y = ±1, which are of small order.
  const y = encoded & ((1n << 255n) - 1n);
  if (SMALL_ORDER_Y.has(y % FIELD_PRIME)) return 'small_order';
  return y >= FIELD_PRIME ? 'non_canonical' : 'ok';
}
