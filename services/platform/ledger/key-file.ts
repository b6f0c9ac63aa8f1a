/** A key that signs evidence (log, witness): Ed25519 in PEM, readable by its owner only, made at first start and never replaced. */
import { createPrivateKey, generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { link, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { TriplineError } from '../../../schemas/errors.ts';
import { toHex } from '../../evidence/bytes.ts';
import { writeFlushed } from '../durable-files.ts';
import { readOwn } from '../own-file.ts';
import { rawPublicKey, sha256 } from './crypto.ts';

export interface SigningKey {
  readonly privateKey: KeyObject;
  /** Raw 32 bytes. */
  readonly publicKey: Uint8Array;
  /** SHA-256 of the raw public key, hex. */
  readonly keyId: string;
}

/** Reads `<name>.key` of `dir`, or makes it and `<name>.pub`. Throws config_invalid for a file that is not ours alone, or no key. */
export async function loadKeyFile(dir: string, name: string): Promise<SigningKey> {
  const file = path.join(dir, `${name}.key`);
  const privateKey = privateKeyOf(readOwn(file) ?? (await makeKey(file)), file);
  const publicKey = rawPublicKey(privateKey);
  await writePublicKey(path.join(dir, `${name}.pub`), publicKey);
  return { privateKey, publicKey, keyId: toHex(sha256(publicKey)) };
}

/**
 * The file appears whole or not at all: a crash must not leave half a key, with which no later start goes on. Of two
 * processes that start at once the first link holds, and its key is that of both.
 */
async function makeKey(file: string): Promise<Buffer> {
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
  return await readFile(file);
}

/** Throws config_invalid for what is no Ed25519 key; nothing of the file is in it. */
export function privateKeyOf(pem: Buffer, file: string): KeyObject {
  try {
    const key = createPrivateKey(pem);
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // Told below: what OpenSSL says of a broken file may hold parts of it.
  }
  throw new TriplineError('config_invalid', `${path.basename(file)} holds no Ed25519 key`, { path: file });
}

async function writePublicKey(file: string, publicKey: Uint8Array): Promise<void> {
  const text = `${Buffer.from(publicKey).toString('base64')}\n`;
  if ((await readFile(file, 'utf8').catch(() => '')) === text) return;
  await writeFlushed(file, text, { mode: 0o644 });
}
