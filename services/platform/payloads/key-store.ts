/**
 * Keys of subjects in a directory of the signer. `keys` holds them in slots of 32 bytes by number, the first slot being
 * its head; destroying one overwrites its slot in place, so that no page, log or copy of a database keeps it. `index`
 * (lmdb) says which number a name has, and holds no key and no name: a name is looked up by its HMAC.
 *
 * A key is durable before its name is (a crash in between leaves a slot that nobody uses). One process at a time, the
 * one that holds the signer's directory.
 */
import { createHmac } from 'node:crypto';
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import { LRUCache } from 'lru-cache';
import { TriplineError } from '../../../schemas/errors.ts';
import { writeDurably } from '../durable-files.ts';
import { openOwn, readOwn } from '../own-file.ts';
import type { RandomBytes } from '../step.ts';
import type { ErasableKeys, SubjectKey } from './keys.ts';

const SLOT_BYTES = 32;
const HEAD = Buffer.from('TRIPLINE SUBJECT KEYS 1\n'.padEnd(SLOT_BYTES, '\0'));
const EMPTY_SLOT = Buffer.alloc(SLOT_BYTES);
const LOOKUP_BYTES = 16;
const MAX_RECENT = 50_000;

export interface KeyStore extends ErasableKeys {
  close(): Promise<void>;
}

/** Opens or makes the keys below `dir`, which exists. Throws config_invalid for files that are not ours alone. */
export function openKeyStore(dir: string, randomBytes: RandomBytes): KeyStore {
  return new FileKeyStore(join(dir, 'subject-keys'), randomBytes);
}

class FileKeyStore implements KeyStore {
  readonly #file: number;
  readonly #lookupKey: Buffer;
  readonly #randomBytes: RandomBytes;
  readonly #root: RootDatabase;
  /** By HMAC of the name. */
  readonly #numbers: Database<number, Buffer>;
  /** HMAC of the name, by number. */
  readonly #names: Database<Buffer, number>;
  /** Read lately; no destroyed one is among them. */
  readonly #recent = new LRUCache<number, Buffer>({ max: MAX_RECENT });
  #next: number;
  /** Names get their numbers one call after the other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(dir: string, randomBytes: RandomBytes) {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    this.#randomBytes = randomBytes;
    this.#lookupKey = lookupKeyOf(join(dir, 'lookup.key'), randomBytes);
    this.#file = openSlots(join(dir, 'keys'));
    // A slot that a crash cut short is nobody's: numbers go on behind it.
    this.#next = Math.ceil(fstatSync(this.#file).size / SLOT_BYTES);
    this.#root = open({ path: join(dir, 'index'), noSubdir: false, maxDbs: 2, overlappingSync: false });
    this.#numbers = this.#root.openDB<number, Buffer>({ name: 'numbers', keyEncoding: 'binary' });
    this.#names = this.#root.openDB<Buffer, number>({ name: 'names', encoding: 'binary' });
  }

  obtain(names: readonly string[]): Promise<ReadonlyMap<string, SubjectKey>> {
    return this.#inTurn(() => this.#obtain(names));
  }

  async read(numbers: readonly number[]): Promise<ReadonlyMap<number, Uint8Array>> {
    const keys = new Map<number, Uint8Array>();
    for (const number of new Set(numbers)) {
      const key = this.#slot(number);
      if (key !== undefined) keys.set(number, key);
    }
    return keys;
  }

  release(numbers: readonly number[]): Promise<void> {
    return this.#inTurn(() =>
      this.#root.transaction(() => {
        for (const number of numbers) {
          const lookup = this.#names.get(number);
          if (lookup === undefined) continue;
          this.#names.removeSync(number);
          if (this.#numbers.get(lookup) === number) this.#numbers.removeSync(lookup);
        }
      }),
    );
  }

  async destroy(numbers: readonly number[]): Promise<void> {
    await this.release(numbers);
    for (const number of numbers) {
      this.#recent.delete(number);
      if (isNumber(number) && number < this.#next) writeSlot(this.#file, EMPTY_SLOT, number);
    }
    fdatasyncSync(this.#file);
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#root.close();
    closeSync(this.#file);
  }

  async #obtain(names: readonly string[]): Promise<ReadonlyMap<string, SubjectKey>> {
    const found = new Map<string, SubjectKey>();
    const made: { readonly lookup: Buffer; readonly number: number }[] = [];
    for (const name of new Set(names)) {
      const lookup = this.#lookup(name);
      const known = this.#numbers.get(lookup);
      const key = known === undefined ? undefined : this.#slot(known);
      if (known !== undefined && key !== undefined) {
        found.set(name, { number: known, key });
        continue;
      }
      const number = this.#next;
      this.#next += 1;
      const fresh = this.#randomBytes(SLOT_BYTES);
      writeSlot(this.#file, fresh, number);
      found.set(name, { number, key: fresh });
      made.push({ lookup, number });
    }
    if (made.length > 0) await this.#keep(made);
    return found;
  }

  async #keep(made: readonly { readonly lookup: Buffer; readonly number: number }[]): Promise<void> {
    fdatasyncSync(this.#file);
    await this.#root.transaction(() => {
      for (const { lookup, number } of made) {
        this.#numbers.putSync(lookup, number);
        this.#names.putSync(number, lookup);
      }
    });
  }

  /** Undefined for a number that was never given, and for a key that is destroyed. */
  #slot(number: number): Buffer | undefined {
    if (!isNumber(number) || number >= this.#next) return undefined;
    const recent = this.#recent.get(number);
    if (recent !== undefined) return recent;
    const key = Buffer.alloc(SLOT_BYTES);
    const read = readSync(this.#file, key, 0, SLOT_BYTES, number * SLOT_BYTES);
    if (read < SLOT_BYTES || key.equals(EMPTY_SLOT)) return undefined;
    this.#recent.set(number, key);
    return key;
  }

  #lookup(name: string): Buffer {
    return createHmac('sha256', this.#lookupKey).update(name).digest().subarray(0, LOOKUP_BYTES);
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => undefined);
    return turn;
  }
}

function isNumber(number: number): boolean {
  return Number.isSafeInteger(number) && number >= 1;
}

function writeSlot(file: number, key: Uint8Array, number: number): void {
  const written = writeSync(file, key, 0, SLOT_BYTES, number * SLOT_BYTES);
  if (written !== SLOT_BYTES) throw new TriplineError('internal', 'a key could not be written whole');
}

function openSlots(path: string): number {
  const file = openOwn(path, constants.O_RDWR) ?? openSync(path, 'wx+', 0o600);
  if (fstatSync(file).size < SLOT_BYTES) {
    writeSlot(file, HEAD, 0);
    fsyncSync(file);
  }
  return file;
}

/** Made once: with another one no name would be found again, and each would get a new key. */
function lookupKeyOf(path: string, randomBytes: RandomBytes): Buffer {
  let key = readOwn(path);
  if (key === undefined) {
    key = Buffer.from(randomBytes(SLOT_BYTES));
    writeDurably(path, key);
  }
  if (key.length !== SLOT_BYTES)
    throw new TriplineError(
      'internal',
      'subject-keys/lookup.key is not whole: remove it, all names get new keys',
    );
  return key;
}
