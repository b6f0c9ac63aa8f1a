/**
 * The control key: Ed25519, its own and never the ledger's, so that whoever may sign heads cannot switch hosts off, nor
 * the other way round. `control.key` (PKCS #8 PEM, mode 0600) stays with the service; `control.pub` (SPKI PEM) is what
 * hosts pin.
 */
import { createHash, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { link, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { checkEd25519PublicKey } from '../../../schemas/control/key.ts';
import type { PinnedControlKey, VerifyEd25519 } from '../../../schemas/control/verify.ts';
import { TriplineError } from '../../../schemas/errors.ts';
import { writeFlushed } from '../durable-files.ts';
import { privateKeyOf } from '../ledger/key-file.ts';
import { readOwn } from '../own-file.ts';
import type { RandomBytes } from '../step.ts';

export const CONTROL_KEY_FILE = 'control.key';
export const CONTROL_PUBLIC_KEY_FILE = 'control.pub';

/** SubjectPublicKeyInfo of Ed25519 up to the raw key (RFC 8410 §4). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const RAW_KEY_BYTES = 32;

export interface ControlKey extends PinnedControlKey {
  /** Ed25519 over the message, 64 bytes. */
  sign(message: Uint8Array): Uint8Array;
}

/**
 * The control key of a data directory; made at first start. Two processes that start together agree on one: the file is
 * written whole under another name and linked, and only the first link holds. A crash leaves at most a stray file.
 */
export async function openControlKey(dataDir: string, randomBytes: RandomBytes): Promise<ControlKey> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const path = join(dataDir, CONTROL_KEY_FILE);
  const privateKey = privateKeyOf(readOwn(path) ?? (await createKeyFile(path, randomBytes)), path);
  const publicKeyObject = createPublicKey(privateKey);
  const publicPath = join(dataDir, CONTROL_PUBLIC_KEY_FILE);
  const publicPem = publicKeyObject.export({ type: 'spki', format: 'pem' }).toString();
  if ((await readIfThere(publicPath)) !== publicPem) {
    // A control.pub of another key would make hosts refuse our controls, or worse, trust another's: it is replaced whole.
    await rm(publicPath, { force: true });
    await writeExclusively(publicPath, publicPem, { mode: 0o644, randomBytes });
  }
  return {
    ...pin(rawPublicKey(publicKeyObject)),
    sign: (message) => sign(null, message, privateKey),
  };
}

/** The public half alone, for a process that only verifies; undefined where the data directory has none. */
export async function readControlPublicKey(dataDir: string): Promise<PinnedControlKey | undefined> {
  const text = await readIfThere(join(dataDir, CONTROL_PUBLIC_KEY_FILE));
  return text === undefined ? undefined : parsePinnedControlKey(text);
}

/**
 * A public key as an operator writes it down: SPKI PEM, 64 hex digits, or base64 of the raw 32 bytes. Throws
 * config_invalid for anything else, and for keys of small order or not canonically encoded (under which signatures
 * can be forged).
 */
export function parsePinnedControlKey(text: string): PinnedControlKey {
  const raw = rawFromText(text.trim());
  const check = raw === undefined ? 'wrong_length' : checkEd25519PublicKey(raw);
  if (raw === undefined || check !== 'ok')
    throw new TriplineError('config_invalid', `a control key cannot be pinned: ${check}`);
  return pin(raw);
}

/** Ed25519 by node:crypto over a raw public key; never throws. */
export const verifyEd25519: VerifyEd25519 = (publicKey, message, signature) => {
  try {
    const key = createPublicKey({
      key: Buffer.concat([SPKI_PREFIX, publicKey]),
      format: 'der',
      type: 'spki',
    });
    return verify(null, message, key, signature);
  } catch {
    return false;
  }
};

function pin(raw: Uint8Array): PinnedControlKey {
  return { keyId: createHash('sha256').update(raw).digest('hex'), publicKey: raw };
}

function rawFromText(text: string): Uint8Array | undefined {
  if (text.startsWith('-----BEGIN')) {
    try {
      const key = createPublicKey(text);
      return key.asymmetricKeyType === 'ed25519' ? rawPublicKey(key) : undefined;
    } catch {
      return undefined;
    }
  }
  if (/^[0-9a-fA-F]{64}$/.test(text)) return new Uint8Array(Buffer.from(text, 'hex'));
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return new Uint8Array(Buffer.from(text, 'base64'));
  return undefined;
}

function rawPublicKey(key: KeyObject): Uint8Array {
  const der = key.export({ type: 'spki', format: 'der' });
  return new Uint8Array(der.subarray(der.length - RAW_KEY_BYTES));
}

async function createKeyFile(path: string, randomBytes: RandomBytes): Promise<Buffer> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  await writeExclusively(path, pem, { mode: 0o600, randomBytes });
  // Another process may have been first: the file, not our key, is the truth.
  return await readFile(path);
}

/** Writes and syncs a file that appears whole or not at all; keeps the one that is already there. */
async function writeExclusively(
  path: string,
  content: string,
  how: { readonly mode: number; readonly randomBytes: RandomBytes },
): Promise<void> {
  const temporary = `${path}.${Buffer.from(how.randomBytes(8)).toString('hex')}.new`;
  await writeFlushed(temporary, content, { mode: how.mode, flag: 'wx' });
  try {
    await link(temporary, path);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  } finally {
    await rm(temporary, { force: true });
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
