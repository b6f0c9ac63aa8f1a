/**
 * A file of settings (policy, labels): read at the start, looked at now and then. A new file counts whole or not at all, so that
 * what holds is always what somebody wrote. What an agent of the same user can write to is no boundary: the hash on record says so.
 */
import { readFileSync, statSync, type BigIntStats } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';

export interface Loaded<T> {
  readonly value: T;
  /** SHA-256 of the file's bytes. */
  readonly hash: string;
}

/** `hash`: of the bytes with faults; undefined where there were none to be read. */
interface Faulty {
  readonly kind: 'faulty';
  readonly faults: readonly string[];
  readonly hash: string | undefined;
}
export type FileReading<T> = { readonly kind: 'loaded'; readonly loaded: Loaded<T> } | Faulty;

/** What its bytes say; the name of the file is for faults. */
export type FileReader<T> = (file: string, bytes: Uint8Array) => FileReading<T> | Promise<FileReading<T>>;

/** More is no settings, and is not read into memory. */
const MAX_FILE_BYTES = 1024n * 1024n;

export class WatchedFile<T> {
  readonly #file: string;
  readonly #reader: FileReader<T>;
  /** Of the file as it was last read, or could not be. */
  #seen = '';
  /** Of one that is looked at once more before it is read: somebody may still be writing to it. */
  #settling = '';
  #seenInode = '';

  constructor(file: string, reader: FileReader<T>) {
    this.#file = file;
    this.#reader = reader;
  }

  /** Somebody else has just read it: a look tells whether it has been written to since. */
  assumeRead(): void {
    const stats = statSync(this.#file, { bigint: true, throwIfNoEntry: false });
    this.#seenInode = stats === undefined ? '' : inodeOf(stats);
  }

  /** As it is now. */
  async read(): Promise<FileReading<T>> {
    try {
      // At the start nothing else is to run.
      const stats = statSync(this.#file, { bigint: true });
      this.#remember(stats);
      return tooLong(stats) ?? (await this.#reader(this.#file, readFileSync(this.#file)));
    } catch (error) {
      return unread(this.#file, error);
    }
  }

  /** What it has become; undefined where it is as it was, or is still being written. Follows links. */
  async look(): Promise<FileReading<T> | undefined> {
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
  async #readWhole(signature: string): Promise<FileReading<T> | undefined> {
    try {
      const bytes = await readFile(this.#file);
      const after = await stat(this.#file, { bigint: true });
      return signatureOf(after) === signature ? await this.#reader(this.#file, bytes) : undefined;
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

function tooLong(stats: BigIntStats): Faulty | undefined {
  if (!stats.isFile()) return { kind: 'faulty', faults: ['it is no file'], hash: undefined };
  if (stats.size <= MAX_FILE_BYTES) return undefined;
  return { kind: 'faulty', faults: ['it is longer than 1 MiB'], hash: undefined };
}

function unread(file: string, error: unknown): Faulty {
  return { kind: 'faulty', faults: [`${file} cannot be read (${codeOf(error)})`], hash: undefined };
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown';
