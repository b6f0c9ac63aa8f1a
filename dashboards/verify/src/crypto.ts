/** SHA-256 and Ed25519 in a browser. The verifier asks for both at once and without waiting, which WebCrypto cannot answer. */
import { hashes, verify } from '@noble/ed25519';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import type { EvidenceCrypto } from '../../../services/evidence/bytes.ts';

hashes.sha512 = sha512;

export const browserCrypto: EvidenceCrypto = Object.freeze({
  sha256,
  ed25519Verify: (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean => {
    if (publicKey.length !== 32 || signature.length !== 64) return false;
    try {
      // As RFC 8032 and Node have it: no small-order tricks of ZIP 215.
      return verify(signature, message, publicKey, { zip215: false });
    } catch {
      return false;
    }
  },
});
