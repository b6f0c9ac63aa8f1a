/** A key that signs evidence (log, witness): Ed25519 in PEM, readable by its owner only, made at first start and never replaced. */
import { createPrivateKey, generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { link, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { TriplineError } from '../../../schemas/errors.ts';
import { toHex } from '../../evidence/bytes.ts';
import { writeFlushed } from '../durable-files.ts';
import { rawPublicKey, sha256 } from './crypto.ts';

export interface SigningKey {
  readonly privateKey: KeyObject;
  /** Raw 32 bytes. */
  readonly publicKey: Uint8Array;
  /** SHA-256 of the raw public key, hex. */
  readonly keyId: string;
}

/** Reads `<name>.key` of `dir`, or makes it and `<name>.pub`. Throws config_invalid when others may read the key. */
export async function loadKeyFile(dir: string, name: string): Promise<SigningKey> {
  const file = path.join(dir, `${name}.key`);
  const pem = (await readOwn(file)) ?? (await makeKey(file));
  const privateKey = createPrivateKey(pem);
  if (privateKey.asymmetricKeyType !== 'ed25519') {
    throw new TriplineError('config_invalid', `${name}.key holds no Ed25519 key`, { path: file });
  }
  const publicKey = rawPublicKey(privateKey);
  await writePublicKey(path.join(dir, `${name}.pub`), publicKey);
  return { privateKey, publicKey, keyId: toHex(sha256(publicKey)) };
}

/** Throws config_invalid for a key file that others may read, or that another user could replace. */
export function checkOwn(file: string, { mode, uid }: { readonly mode: number; readonly uid: number }): void {
  const isOurs = process.getuid === undefined || uid === process.getuid();
  if (isOurs && (mode & 0o077) === 0) return;
  const fault = isOurs ? 'can be read by others; set mode 0600' : 'belongs to another user';
  throw new TriplineError('config_invalid', `${path.basename(file)} ${fault}`, { path: file });
}

async function readOwn(file: string): Promise<string | undefined> {
  const found = await stat(file).catch(() => undefined);
  if (found === undefined) return undefined;
  checkOwn(file, found);
  return readFile(file, 'utf8');
}

/**
 * The file appears whole or not at all: a crash must not leave half a key, with which no later start goes on. Of two
 * processes that start at once the first link holds, and its key is that of both.
 */
async function makeKey(file: string): Promise<string> {
  const { privateKey } = generateKeyPairSync('ed25519');
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const temporary = `${file}.${randomUUID()}.new`;
  await writeFlushed(temporary, pem);
  try {
    await link(temporary, file);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  } finally {
    await rm(temporary, { force: true });
  }
  return readFile(file, 'utf8');
}

async function writePublicKey(file: string, publicKey: Uint8Array): Promise<void> {
  const text = `${Buffer.from(publicKey).toString('base64')}\n`;
  if ((await readFile(file, 'utf8').catch(() => '')) === text) return;
  await writeFlushed(file, text, { mode: 0o644 });
}
