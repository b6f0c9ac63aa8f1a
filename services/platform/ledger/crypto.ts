/** Node's SHA-256 and Ed25519 in the form that services/evidence takes. */
import { createPublicKey, hash, sign, verify, type KeyObject } from 'node:crypto';
import { sha256EachOf, type EvidenceCrypto, type Sha256Many } from '../../evidence/bytes.ts';
import { sha256Lanes } from '../../evidence/sha256-lanes.ts';

const SHA256_BYTES = 32;

/**
 * One-shot; the fastest digest of Node 20 for inputs of event size. Through a string: a native `buffer` result has memory
 * of its own outside the heap, which costs more to make and to collect than the hash. So short an array lies on the heap.
 */
export function sha256(bytes: Uint8Array): Uint8Array {
  const text = hash('sha256', bytes, 'binary');
  const digest = new Uint8Array(SHA256_BYTES);
  for (let at = 0; at < SHA256_BYTES; at += 1) digest[at] = text.charCodeAt(at);
  return digest;
}

const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

/** Key object of a raw 32-byte Ed25519 public key (RFC 8410). */
export function ed25519PublicKey(raw: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: 'der', type: 'spki' });
}

/** Keys that sign again and again: making a key object costs a third of a verification. */
const KNOWN_KEYS = new Map<string, KeyObject>();
const MAX_KNOWN_KEYS = 1024;

function knownPublicKey(raw: Uint8Array): KeyObject {
  const name = Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString('latin1');
  const known = KNOWN_KEYS.get(name);
  if (known !== undefined) return known;
  const made = ed25519PublicKey(raw);
  if (KNOWN_KEYS.size >= MAX_KNOWN_KEYS) KNOWN_KEYS.clear();
  KNOWN_KEYS.set(name, made);
  return made;
}

/** Raw 32 bytes of an Ed25519 key's public part. */
export function rawPublicKey(key: KeyObject): Uint8Array {
  const spki = (key.type === 'private' ? createPublicKey(key) : key).export({ format: 'der', type: 'spki' });
  return new Uint8Array(spki.subarray(SPKI_PREFIX.length));
}

export function ed25519Sign(key: KeyObject, message: Uint8Array): Uint8Array {
  return sign(null, message, key);
}

export function ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== 32 || signature.length !== 64) return false;
  try {
    return verify(null, message, knownPublicKey(publicKey), signature);
  } catch {
    return false;
  }
}

let many: Sha256Many | undefined;
/** Made when it is first asked for: most processes verify nothing. */
const sha256Many: Sha256Many = (messages, count, digests) => {
  many ??= sha256Lanes() ?? sha256EachOf(sha256);
  many(messages, count, digests);
};

export const nodeCrypto: EvidenceCrypto = Object.freeze({ sha256, ed25519Verify, sha256Many });
