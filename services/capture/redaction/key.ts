/**
 * The redaction key of a host: 32 random bytes in a file of its own. It never leaves the host: who has it can try every card
 * number against a digest. Its uses are domain-separated.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { TriplineError } from '../../../schemas/errors.ts';

const KEY_BYTES = 32;
const MAX_FILE_BYTES = 256;
const OTHERS_MAY = 0o077;

/** Keyed functions, without the key. */
export interface Keyed {
  /** 16 lower-case hex digits: names the key. */
  readonly keyId: string;
  /** 32 lower-case hex digits, equal for equal values. */
  readonly digest: (value: string) => string;
  /** HMAC-SHA-256 of a body on the wire, 64 hex digits. */
  readonly original: (bytes: Uint8Array) => string;
  /** In the place of a plain SHA-256 over what was redacted; of its hex text, 64 hex digits. */
  readonly rehashed: (sha256Hex: string) => string;
  /** 32 hex digits that name something to this host alone. */
  readonly name: (of: string) => string;
  /** 32 bits for a purpose. */
  readonly seed: (purpose: string) => number;
}

export function keyedBy(key: Uint8Array): Keyed {
  const hmac = (domain: string, value: string | Uint8Array): Buffer =>
    createHmac('sha256', key).update(`tripline/redaction/${domain}/v1\0`).update(value).digest();
  return {
    keyId: createHash('sha256').update('tripline/redaction/key/v1\0').update(key).digest('hex').slice(0, 16),
    digest: (value) => hmac('value', value).toString('hex', 0, 16),
    original: (bytes) => hmac('original', bytes).toString('hex'),
    rehashed: (sha256Hex) => hmac('hash', sha256Hex).toString('hex'),
    name: (of) => hmac('name', of).toString('hex', 0, 16),
    seed: (purpose) => hmac('seed', purpose).readUInt32BE(0),
  };
}

function refused(file: string, message: string, cause?: unknown): TriplineError {
  return new TriplineError('redaction_invalid', `the redaction key ${file} ${message}`, {
    path: 'TRIPLINE_REDACTION_KEY',
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Reads a key that nobody but its owner may read; throws redaction_invalid. */
export function readRedactionKey(file: string): Keyed {
  let text: string;
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch (cause) {
    throw refused(file, 'cannot be read; tripline redaction key makes one', cause);
  }
  try {
    // Of the file that is open, so that it is not another one that is read.
    const { mode, size, uid } = fstatSync(descriptor);
    if (process.platform !== 'win32') {
      if ((mode & OTHERS_MAY) !== 0) throw refused(file, 'may be read by others; its mode must be 0600');
      if (uid !== process.getuid?.()) throw refused(file, 'belongs to another user');
    }
    if (size > MAX_FILE_BYTES) throw refused(file, 'is no key: 64 hex digits are');
    text = readFileSync(descriptor, 'latin1').trim();
  } finally {
    closeSync(descriptor);
  }
  if (!/^[0-9a-f]{64}$/.test(text)) throw refused(file, 'is no key: 64 lower-case hex digits are');
  return keyedBy(Buffer.from(text, 'hex'));
}

/** Makes a key; an existing file is left alone. Throws redaction_invalid. */
export function makeRedactionKey(file: string): Keyed {
  const key = randomBytes(KEY_BYTES);
  try {
    writeFileSync(file, `${key.toString('hex')}\n`, { mode: 0o600, flag: 'wx', flush: true });
  } catch (cause) {
    throw refused(file, 'cannot be made, or is there already', cause);
  }
  return keyedBy(key);
}
