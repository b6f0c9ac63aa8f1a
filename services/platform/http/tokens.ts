/** Bearer tokens: configured keys and the two local ones, looked up by hash in constant time. */
import { timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../../../schemas/config/v1.ts';
import { TriplineError } from '../../../schemas/errors.ts';
import { readSecret } from '../config/secrets.ts';
import { writeDurably } from '../durable-files.ts';
import { sha256 } from '../ledger/crypto.ts';
import type { RandomBytes } from '../step.ts';
import { ALL_TENANTS, type Principal } from './principal.ts';

const TOKEN_BYTES = 32;

/** Answers who a token belongs to, undefined where it is unknown. */
export type Authenticate = (token: string) => Principal | undefined;

interface HashedKey {
  readonly hash: Uint8Array;
  readonly principal: Principal;
}

export interface TokenOptions {
  readonly auth: Config['auth'];
  readonly dataDir: string;
  readonly randomBytes: RandomBytes;
}

/** Reads all tokens; writes admin.token and producer.token at first start. Throws config_invalid for a wrong key. */
export function loadTokens(options: TokenOptions): Authenticate {
  const keys = [...configuredKeys(options.auth), ...localKeys(options)];
  return (token) => {
    const hash = sha256(Buffer.from(token, 'utf8'));
    let found: Principal | undefined;
    // All keys are compared, whatever was found: the time tells nothing about which one it is.
    for (const key of keys) if (timingSafeEqual(hash, key.hash)) found ??= key.principal;
    return found;
  };
}

function configuredKeys(auth: Config['auth']): HashedKey[] {
  const ids = new Set<string>();
  const tokens = new Set<string>();
  return auth.keys.map((key, index) => {
    const path = `auth.keys[${index}]`;
    if (key.tenant === ALL_TENANTS && key.role !== 'admin' && key.role !== 'auditor')
      throw new TriplineError('config_invalid', `${path}: only admin and auditor may have tenant *`, {
        path: `${path}.tenant`,
      });
    const token = readSecret(key.token, `${path}.token`);
    if (ids.has(key.id) || tokens.has(token))
      throw new TriplineError('config_invalid', `${path}: id or token is used twice`, { path });
    ids.add(key.id);
    tokens.add(token);
    const { id, tenant, role, strict } = key;
    return { hash: sha256(Buffer.from(token, 'utf8')), principal: { id, tenant, role, strict } };
  });
}

function localKeys({ auth, dataDir, randomBytes }: TokenOptions): HashedKey[] {
  if (!auth.localTokens) return [];
  const local = (file: string, principal: Principal): HashedKey => ({
    hash: sha256(Buffer.from(localToken(join(dataDir, file), randomBytes), 'utf8')),
    principal,
  });
  return [
    local('admin.token', { id: 'local-admin', tenant: ALL_TENANTS, role: 'admin', strict: false }),
    local('producer.token', { id: 'local-producer', tenant: 'default', role: 'producer', strict: false }),
  ];
}

/** The token of the file, made where the file is missing. A crash while it is written leaves an empty file: made anew. */
function localToken(file: string, randomBytes: RandomBytes): string {
  const known = readToken(file);
  if (known !== '') return known;
  const token = Buffer.from(randomBytes(TOKEN_BYTES)).toString('base64url');
  writeDurably(file, `${token}\n`);
  return token;
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw new TriplineError('config_invalid', `${file} cannot be read`, { path: 'dataDir', cause: error });
  }
}
