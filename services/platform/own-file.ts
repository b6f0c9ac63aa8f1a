/**
 * Files that hold keys: plain files of our own that nobody else can read. Judged by the open descriptor, so that it is not
 * another file that is read; what is refused is refused before a byte of it is used.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs';
import path from 'node:path';
import { TriplineError } from '../../schemas/errors.ts';

const OTHERS_MAY = 0o077;
/** A symbolic link could lead to a file that another user chooses; a pipe must not make a start wait. */
const PLAIN = constants.O_NOFOLLOW | constants.O_NONBLOCK;
const MAX_KEY_FILE_BYTES = 16 * 1024;

/** Throws config_invalid for what is no plain file, belongs to another user, or can be read or written by others. */
function checkOwn(file: string, stats: Stats): void {
  const isOurs = process.getuid === undefined || stats.uid === process.getuid();
  if (!stats.isFile()) throw refused(file, 'is no plain file');
  if (!isOurs) throw refused(file, 'belongs to another user');
  if ((stats.mode & OTHERS_MAY) !== 0) throw refused(file, 'can be read by others; set mode 0600');
}

function refused(file: string, fault: string, cause?: unknown): TriplineError {
  return new TriplineError('config_invalid', `${path.basename(file)} ${fault}`, { path: file, cause });
}

/** Descriptor of a key file; undefined where there is none. `access`: constants.O_RDONLY or O_RDWR. */
export function openOwn(file: string, access: number): number | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(file, access | PLAIN);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code === 'ENOENT') return undefined;
    if (code === 'ELOOP') throw refused(file, 'is a symbolic link; put the file itself there', cause);
    if (code === 'EISDIR') throw refused(file, 'is no plain file', cause);
    throw refused(file, 'cannot be opened', cause);
  }
  try {
    checkOwn(file, fstatSync(descriptor));
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

/** Bytes of a key file; undefined where there is none. */
export function readOwn(file: string): Buffer | undefined {
  const descriptor = openOwn(file, constants.O_RDONLY);
  if (descriptor === undefined) return undefined;
  try {
    if (fstatSync(descriptor).size > MAX_KEY_FILE_BYTES) throw refused(file, 'is too long for a key');
    return readFileSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
