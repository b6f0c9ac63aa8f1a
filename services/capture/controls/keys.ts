/** Keys that this host pins for controls: hex, base64 or PEM. A key that must not be trusted is a fault, never left out silently. */
import { createHash, createPublicKey, verify as verifySignature, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { TriplineError } from '../../../schemas/errors.ts';
import { checkEd25519PublicKey } from '../../../schemas/control/key.ts';
import type { PinnedControlKey } from '../../../schemas/control/verify.ts';

const PEM_BLOCK = /-----BEGIN PUBLIC KEY-----[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----/gu;
/** RFC 8410: SubjectPublicKeyInfo of an Ed25519 key up to its 32 raw bytes. */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');

function fromPem(pem: string): Buffer | undefined {
  try {
    const der = createPublicKey(pem).export({ type: 'spki', format: 'der' });
    return der.length === SPKI_PREFIX.length + 32 && der.subarray(0, SPKI_PREFIX.length).equals(SPKI_PREFIX)
      ? der.subarray(SPKI_PREFIX.length)
      : undefined;
  } catch {
    return undefined;
  }
}

function fromText(text: string): Buffer | undefined {
  if (/^[0-9a-fA-F]{64}$/u.test(text)) return Buffer.from(text, 'hex');
  if (!/^[A-Za-z0-9+/_-]{43}=?$/u.test(text)) return undefined;
  return Buffer.from(text, 'base64');
}

/** The keys in `text`, separated by commas or blanks, or as PEM blocks. Throws config_invalid when one is no usable key. */
export function parseControlKeys(text: string, source: string): readonly PinnedControlKey[] {
  const blocks = text.match(PEM_BLOCK);
  const raws =
    blocks === null
      ? text
          .split(/[\s,]+/u)
          .filter((part) => part !== '')
          .map(fromText)
      : blocks.map(fromPem);
  return raws.map((raw) => {
    if (raw === undefined || checkEd25519PublicKey(raw) !== 'ok') {
      const expected = 'must hold Ed25519 public keys (hex, base64 or PEM)';
      throw new TriplineError('config_invalid', `${source} ${expected}`, { path: source });
    }
    return { keyId: createHash('sha256').update(raw).digest('hex'), publicKey: new Uint8Array(raw) };
  });
}

/** The keys in control.pub of a data directory; none where there is no such file. */
export function keysOfDataDir(dataDir: string): readonly PinnedControlKey[] {
  let text: string;
  try {
    text = readFileSync(path.join(dataDir, 'control.pub'), 'utf8');
  } catch {
    return [];
  }
  return parseControlKeys(text, 'control.pub');
}

const keyObjects = new WeakMap<Uint8Array, KeyObject>();

/** Ed25519 by OpenSSL; the pinned keys were checked when they were pinned. */
export function verifyEd25519(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  let key = keyObjects.get(publicKey);
  if (key === undefined) {
    const der = Buffer.concat([SPKI_PREFIX, publicKey]);
    key = createPublicKey({ key: der, format: 'der', type: 'spki' });
    keyObjects.set(publicKey, key);
  }
  return verifySignature(null, message, key, signature);
}
