/**
 * The file of a policy: read at the start, looked at now and then. A new file counts whole or not at all, so that what holds is
 * always a policy that somebody wrote. What an agent of the same user can write to is no boundary: the hash on record says so.
 */
import { createHash } from 'node:crypto';
import { readFileSync, statSync, type BigIntStats } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import type { Policy } from '../../../schemas/policy/v1.ts';

export interface LoadedPolicy {
  readonly policy: Policy;
  /** SHA-256 of the file's bytes. */
  readonly hash: string;
}

export type FileReading =
  | { readonly kind: 'policy'; readonly loaded: LoadedPolicy }
  /** `hash`: of the bytes with faults; undefined where there were none to be read. */
  | { readonly kind: 'faulty'; readonly faults: readonly string[]; readonly hash: string | undefined };

/** More is no policy, and is not read into memory. */
const MAX_FILE_BYTES = 1024n * 1024n;

export class PolicyFile {
  readonly #file: string;
  /** Of the file as it was last read, or could not be. */
  #seen = '';
  /** Of one that is looked at once more before it is read: somebody may still be writing to it. */
  #settling = '';
  #seenInode = '';

  constructor(file: string) {
    this.#file = file;
  }

  /** As it is now. */
  async read(): Promise<FileReading> {
    try {
      // At the start nothing else is to run.
      const stats = statSync(this.#file, { bigint: true });
      this.#remember(stats);
      return tooLong(stats) ?? (await reading(this.#file, readFileSync(this.#file)));
    } catch (error) {
      return unread(this.#file, error);
    }
  }

  /** What it has become; undefined where it is as it was, or is still being written. Follows links. */
  async look(): Promise<FileReading | undefined> {
    const before = await stat(this.#file, { bigint: true }).catch((error: unknown) => ({ error }));
    if ('error' in before) {
      const signature = `unread ${codeOf(before.error)}`;
      if (signature === this.#seen) return undefined;
      this.#seen = signature;
      this.#seenInode = '';
      return unread(this.#file, before.error);
    }
    const signature = signatureOf(before);
    if (signature === this.#seen) return undefined;
    // Another file under the name was renamed or linked there: it is whole. The same one is given time to be.
    if (inodeOf(before) === this.#seenInode && signature !== this.#settling) {
      this.#settling = signature;
      return undefined;
    }
    const found = tooLong(before) ?? (await this.#readWhole(signature));
    if (found !== undefined) this.#remember(before);
    return found;
  }

  /** undefined where it changed meanwhile: the next look sees that. */
  async #readWhole(signature: string): Promise<FileReading | undefined> {
    try {
      const bytes = await readFile(this.#file);
      const after = await stat(this.#file, { bigint: true });
      return signatureOf(after) === signature ? await reading(this.#file, bytes) : undefined;
    } catch (error) {
      return unread(this.#file, error);
    }
  }

  #remember(stats: BigIntStats): void {
    this.#seen = signatureOf(stats);
    this.#seenInode = inodeOf(stats);
    this.#settling = '';
  }
}

const inodeOf = ({ dev, ino }: BigIntStats): string => `${dev} ${ino}`;

function signatureOf(stats: BigIntStats): string {
  return `${inodeOf(stats)} ${stats.size} ${stats.mtimeNs} ${stats.ctimeNs}`;
}

function tooLong(stats: BigIntStats): FileReading | undefined {
  if (!stats.isFile()) return { kind: 'faulty', faults: ['it is no file'], hash: undefined };
  if (stats.size <= MAX_FILE_BYTES) return undefined;
  return { kind: 'faulty', faults: ['it is longer than 1 MiB'], hash: undefined };
}

async function reading(file: string, bytes: Uint8Array): Promise<FileReading> {
  const { faultText, readPolicy } = await import('./read.ts');
  const found = readPolicy(bytes);
  if (found.kind === 'policy') return { kind: 'policy', loaded: { policy: found.policy, hash: found.hash } };
  return {
    kind: 'faulty',
    faults: found.faults.map((fault) => faultText(file, fault)),
    hash: createHash('sha256').update(bytes).digest('hex'),
  };
}

function unread(file: string, error: unknown): FileReading {
  return { kind: 'faulty', faults: [`${file} cannot be read (${codeOf(error)})`], hash: undefined };
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
