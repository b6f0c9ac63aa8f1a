/** The agent key of a host: who vouches for the keys of its streams. Ed25519 in PEM, readable by its owner only. */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { TriplineError } from '../../../schemas/errors.ts';

export interface AgentKey {
  readonly privateKey: KeyObject;
  /** Raw 32 bytes. */
  readonly publicKey: Uint8Array;
}

const RAW_KEY_BYTES = 32;
const OTHERS = 0o077;

/**
 * The key of `file`; undefined where there is none: the host then sends unsigned. Throws config_invalid for a file that
 * others may read or that belongs to another user, and for what is no Ed25519 key: a key that somebody else may have
 * vouches for nothing, and going on unsigned would hide that.
 */
export function readAgentKey(file: string): AgentKey | undefined {
  const pem = readOwn(file);
  if (pem === undefined) return undefined;
  const privateKey = parse(pem, file);
  const der = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  return { privateKey, publicKey: new Uint8Array(der.subarray(der.length - RAW_KEY_BYTES)) };
}

function readOwn(file: string): string | undefined {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  const isOurs = process.getuid === undefined || found.uid === process.getuid();
  if (!isOurs || !found.isFile() || (found.mode & OTHERS) !== 0)
    throw new TriplineError(
      'config_invalid',
      `${file} must be a file that is ours alone: set its owner and mode 0600`,
      {
        path: file,
      },
    );
  return readFileSync(file, 'utf8');
}

function parse(pem: string, file: string): KeyObject {
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // Told below: what openssl says of a broken file may hold parts of it.
  }
  throw new TriplineError('config_invalid', `${file} holds no Ed25519 key`, { path: file });
}
