/**
 * What a bearer token says of itself. The gate has no key to verify it with and no say about it: these are claims, for
 * people who look into a case. The token itself is never kept, logged or recorded.
 */
import { sha256Hex } from '../recorder/chain.ts';

/** As zUnverifiedClaims of the event schema. */
export interface UnverifiedClaims {
  readonly iss?: string;
  readonly sub?: string;
  readonly clientId?: string;
  readonly aud?: readonly string[];
  readonly scope?: string;
  readonly jtiHash?: string;
}

const MAX_TOKEN_CHARACTERS = 32 * 1024;
const MAX_TEXT = 512;
const MAX_SCOPE = 2048;
const MAX_AUDIENCES = 16;
const JWT = /^[\w-]+\.([\w-]+)\.[\w-]*$/u;

/** Claims of the JWT in an Authorization header; undefined where there is none. */
export function claimsOf(authorization: string | undefined): UnverifiedClaims | undefined {
  const token = bearerToken(authorization);
  const payload = token === undefined ? undefined : JWT.exec(token)?.[1];
  if (payload === undefined) return undefined;
  const claims = parsedObject(Buffer.from(payload, 'base64url').toString('utf8'));
  return claims === undefined ? undefined : knownClaims(claims);
}

export function bearerToken(authorization: string | undefined): string | undefined {
  if (authorization === undefined || authorization.length > MAX_TOKEN_CHARACTERS) return undefined;
  return /^bearer +(\S+)$/iu.exec(authorization)?.[1];
}

function parsedObject(json: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function text(value: unknown, maxCharacters = MAX_TEXT): string | undefined {
  if (typeof value !== 'string' || value === '') return undefined;
  return value.slice(0, maxCharacters).replaceAll(/[\p{Cc}\p{Cs}]/gu, '\uFFFD');
}

function texts(value: unknown): readonly string[] {
  const list = Array.isArray(value) ? value : [value];
  return list
    .slice(0, MAX_AUDIENCES)
    .map((one) => text(one))
    .filter((one): one is string => one !== undefined);
}

function scopeOf(claims: Readonly<Record<string, unknown>>): string | undefined {
  const scope = claims['scope'] ?? claims['scp'];
  return text(Array.isArray(scope) ? texts(scope).join(' ') : scope, MAX_SCOPE);
}

/** RFC 9068 names; `azp` and `scp` are what some issuers write instead. */
function knownClaims(claims: Readonly<Record<string, unknown>>): UnverifiedClaims {
  const jti = text(claims['jti'], MAX_SCOPE);
  const audiences = texts(claims['aud']);
  const found = {
    iss: text(claims['iss']),
    sub: text(claims['sub']),
    clientId: text(claims['client_id'] ?? claims['azp']),
    aud: audiences.length === 0 ? undefined : audiences,
    scope: scopeOf(claims),
    jtiHash: jti === undefined ? undefined : sha256Hex(new TextEncoder().encode(jti)),
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
}
