/**
 * Rotation of the log key, while no service runs. Order: the new key is on disk (`log.key.next`), then one transaction
 * puts the KEY leaf, signed by both keys, and the new key into the signer's state, then the file takes the place of the
 * old one. A crash before the transaction changes nothing; after it, the next opening finishes the rename. The old
 * private key is overwritten by that: nobody needs it again.
 */
import { rename, stat } from 'node:fs/promises';
import type { RootDatabase } from 'lmdb';
import path from 'node:path';
import { TriplineError } from '../../schemas/errors.ts';
import { toHex } from '../evidence/bytes.ts';
import { rotationMessage, type KeyRotation } from '../evidence/log-keys.ts';
import { rootOrigin } from '../evidence/origin.ts';
import { ed25519Sign, sha256 } from '../platform/ledger/crypto.ts';
import { loadKeyFile, type SigningKey } from '../platform/ledger/key-file.ts';
import type { Clock } from '../platform/clock.ts';
import { loadSigningKey } from './key.ts';
import { RootState } from './root/state.ts';

const KEY_NAME = 'log';
const NEXT_NAME = 'log-next';
const IN_FORCE = ['log-key'];

const file = (dir: string, name: string): string => path.join(dir, `${name}.key`);

/** Raw key that the state names, hex; undefined before the first rotation. */
export function keyInForce(database: RootDatabase): string | undefined {
  return database.get(IN_FORCE) as string | undefined;
}

/**
 * The log key of `dir`, once a rotation that was cut off is finished. Throws config_invalid where `log.key` is not the
 * key that the state names: an old one that was put back, or a state of another deployment.
 */
export async function openLogKey(dir: string, database: RootDatabase): Promise<SigningKey> {
  const inForce = keyInForce(database);
  if (inForce === undefined) return await loadSigningKey(dir);
  if (await isThere(file(dir, NEXT_NAME))) {
    const next = await loadKeyFile(dir, NEXT_NAME);
    if (toHex(next.publicKey) === inForce) await rename(file(dir, NEXT_NAME), file(dir, KEY_NAME));
  }
  const key = await loadSigningKey(dir);
  if (toHex(key.publicKey) === inForce) return key;
  throw new TriplineError('config_invalid', 'log.key is not the key that is in force', {
    path: file(dir, KEY_NAME),
  });
}

async function isThere(name: string): Promise<boolean> {
  return (await stat(name).catch(() => undefined)) !== undefined;
}

export interface RotateOptions {
  readonly dir: string;
  readonly database: RootDatabase;
  readonly deployment: string;
  readonly clock: Clock;
}

/** Answers where the KEY leaf stands and the new key, once all of it is durable. */
export async function rotateLogKey(
  options: RotateOptions,
): Promise<{ rotation: KeyRotation; key: SigningKey }> {
  const { dir, database, deployment, clock } = options;
  const old = await openLogKey(dir, database);
  const next = await loadKeyFile(dir, NEXT_NAME);
  const state = new RootState(database, sha256);
  const atMs = clock.nowMs();
  const origin = rootOrigin(deployment);
  const rotation = database.transactionSync(() => {
    const { size: index, root: rootBefore } = state.tree();
    const previousKey = toHex(old.publicKey);
    const nextKey = toHex(next.publicKey);
    const message = rotationMessage(origin, index, { rootBefore, previousKey, nextKey, atMs });
    const leaf = {
      type: 'key',
      atMs,
      previousKey,
      nextKey,
      rootBefore,
      previousSignature: ed25519Sign(old.privateKey, message),
      nextSignature: ed25519Sign(next.privateKey, message),
    } as const;
    state.rotate(leaf);
    database.putSync(IN_FORCE, nextKey);
    return { index, leaf };
  });
  await database.flushed;
  return { rotation, key: await openLogKey(dir, database) };
}
