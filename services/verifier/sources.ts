/** What a verification is given as files: the bundle, and whom its user trusts. */
import { X509Certificate } from 'node:crypto';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { checkEd25519PublicKey } from '../../schemas/control/key.ts';
import { TriplineError } from '../../schemas/errors.ts';
import { fromBase64 } from '../evidence/bytes.ts';
import { parseTrustedProducers } from '../evidence/producer-policy.ts';
import type { TrustedProducers } from '../evidence/producer-tally.ts';
import { parseCheckpoint, type Checkpoint } from '../evidence/tlog/checkpoint.ts';
import { parsePolicy, type Policy } from '../evidence/tlog/policy.ts';
import type { VerifyOptions } from '../evidence/verify.ts';
import { sha256 } from '../platform/ledger/crypto.ts';
import { stampCheckOf } from './tsa.ts';

/** By format, in the directory that `export` writes. */
export const BUNDLE_FILES = { ndjson: 'bundle.ndjson', binary: 'bundle.tripline' } as const;
const READ_BYTES = 1024 * 1024;

export interface TrustFiles {
  /** Public key of the log, as `log.pub` holds it: then no other key may have signed. */
  readonly keyFile: string | undefined;
  /** A tlog-policy file: who has to vouch. */
  readonly policyFile: string | undefined;
  /** A root checkpoint that was kept. */
  readonly checkpointFile: string | undefined;
  /** Certificates of time stamp authorities, or of their issuers, in PEM. */
  readonly tsaFile: string | undefined;
  /** Agent keys that count, whatever is registered. */
  readonly agentKeysFile: string | undefined;
}

export type Trust = Pick<
  VerifyOptions,
  'publicKeys' | 'policy' | 'keptCheckpoint' | 'stampCheck' | 'trustedProducers'
>;

/** Throws usage for a file that cannot be read or holds nothing of its kind, policy_invalid for a policy at fault. */
export function readTrust(files: TrustFiles): Trust {
  const { keyFile, policyFile, checkpointFile, tsaFile, agentKeysFile } = files;
  return {
    ...(agentKeysFile === undefined ? {} : { trustedProducers: readAgentKeys(agentKeysFile) }),
    ...(keyFile === undefined ? {} : { publicKeys: [readLogKey(keyFile)] }),
    ...(policyFile === undefined ? {} : { policy: readPolicy(policyFile) }),
    ...(tsaFile === undefined ? {} : { stampCheck: stampCheckOf(readCertificates(tsaFile)) }),
    ...(checkpointFile === undefined ? {} : { keptCheckpoint: readKept(checkpointFile) }),
  };
}

/** Bytes above ASCII are opaque in a policy: one character a byte. */
function readPolicy(path: string): Policy {
  return parsePolicy(readOption(path, '--policy', 'latin1'), sha256);
}

function readAgentKeys(path: string): TrustedProducers {
  const parsed = parseTrustedProducers(readOption(path, '--agent-keys', 'utf8'), sha256);
  if (parsed.kind === 'keys') return parsed.keys;
  throw new TriplineError('usage', `${path}, line ${parsed.line}: ${parsed.fault}`, { path: '--agent-keys' });
}

function readKept(path: string): Checkpoint {
  const checkpoint = parseCheckpoint(readOption(path, '--checkpoint', 'utf8'));
  if (checkpoint !== undefined) return checkpoint;
  throw new TriplineError('usage', `${path} holds no checkpoint`, { path: '--checkpoint' });
}

function readCertificates(path: string): X509Certificate[] {
  const text = readOption(path, '--tsa', 'latin1');
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    if (found.length > 0) return found.map((pem) => new X509Certificate(pem));
  } catch {
    // Told as what it is below.
  }
  throw new TriplineError('usage', `${path} holds no certificate in PEM`, { path: '--tsa' });
}

function readLogKey(path: string): Uint8Array {
  const text = readOption(path, '--key', 'utf8');
  const key = fromBase64(text.trim());
  if (key === undefined || checkEd25519PublicKey(key) !== 'ok')
    throw new TriplineError('usage', `${path} holds no Ed25519 key in base64`, { path: '--key' });
  return key;
}

function readOption(path: string, option: string, encoding: 'utf8' | 'latin1'): string {
  try {
    return readFileSync(path, encoding);
  } catch (cause) {
    throw new TriplineError('usage', `${path} cannot be read`, { path: option, cause });
  }
}

/** The bundle, or that of a directory that `export` wrote. Throws usage where there is none. */
export function openBundle(path: string, signal?: AbortSignal): AsyncIterable<Uint8Array> {
  const file = bundlePath(path);
  return createReadStream(file, { highWaterMark: READ_BYTES, ...(signal === undefined ? {} : { signal }) });
}

export const isFolder = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;

function bundlePath(path: string): string {
  if (!isFolder(path)) return readable(path);
  const [file, other] = Object.values(BUNDLE_FILES)
    .map((name) => join(path, name))
    .filter((name) => statSync(name, { throwIfNoEntry: false }) !== undefined);
  // Which of them was checked must not be a matter of luck.
  if (other !== undefined)
    throw new TriplineError('usage', `${path} holds two bundles`, { path: '--export' });
  return readable(file ?? join(path, BUNDLE_FILES.ndjson));
}

function readable(file: string): string {
  try {
    statSync(file);
    return file;
  } catch (cause) {
    throw new TriplineError('usage', `${file} cannot be read`, { path: '--export', cause });
  }
}
