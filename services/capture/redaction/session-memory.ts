/**
 * What a session's processes know of redacted values, shared through a file of the data directory: a host with three servers
 * runs three taps, and what one redacts the others must find. The file holds keyed hashes only. It is written before the body
 * that a value stood in goes on record, and thereby before it leaves.
 */
import {
  appendFileSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
} from 'node:fs';
import path from 'node:path';
import { REDACTION_ACTIONS, type RedactionAction } from '../../../schemas/redaction/v1.ts';
import type { CaptureLog } from '../log.ts';
import type { Keyed } from './key.ts';
import {
  KnownValues,
  type Budget,
  type KnownForm,
  type KnownRange,
  type KnownValue,
} from './known-values.ts';

/** A session that nothing was added to for this long is over. */
const KEEP_MS = 7 * 86_400_000;
const MAX_FILE_BYTES = 16 * 1024 * 1024;
const MAX_FORMS = 32;
const SUFFIX = '.values';

export class SessionMemory {
  readonly #values: KnownValues;
  readonly #directory: string;
  readonly #file: string;
  readonly #log: CaptureLog;
  #read = 0;
  #hasFailed = false;

  constructor(options: {
    readonly directory: string;
    readonly session: string;
    readonly keyed: Keyed;
    readonly log: CaptureLog;
  }) {
    const { directory, session, keyed, log } = options;
    this.#values = new KnownValues(keyed, session);
    this.#directory = directory;
    this.#file = path.join(directory, `${keyed.name(`session\0${session}`)}${SUFFIX}`);
    this.#log = log;
  }

  /** Takes what other processes of the session have added. */
  refresh(): void {
    let size: number;
    try {
      ({ size } = statSync(this.#file));
    } catch {
      return;
    }
    if (size <= this.#read || size > MAX_FILE_BYTES) return;
    const text = this.#readFrom(size);
    const end = text.lastIndexOf('\n') + 1;
    this.#read += Buffer.byteLength(text.slice(0, end));
    for (const line of text.slice(0, end).split('\n')) {
      const value = line === '' ? undefined : readLine(line);
      if (value !== undefined) this.#values.add(value);
    }
  }

  #readFrom(size: number): string {
    const bytes = Buffer.alloc(size - this.#read);
    const descriptor = openSync(this.#file, 'r');
    try {
      const count = readSync(descriptor, bytes, 0, bytes.length, this.#read);
      return bytes.subarray(0, count).toString('latin1');
    } finally {
      closeSync(descriptor);
    }
  }

  find(text: string, budget: Budget): readonly KnownRange[] | undefined {
    return this.#values.find(text, budget)?.map((range) => ({ ...range, isBefore: true }));
  }

  /** False where a value could not be kept: later bodies may show it. */
  add(values: readonly KnownValue[]): boolean {
    const taken = values.filter((value) => !this.#values.has(value.digest));
    const kept = taken.filter((value) => this.#values.add(value));
    const isWritten = kept.length === 0 || this.#write(kept);
    return isWritten && kept.length === taken.length;
  }

  #write(values: readonly KnownValue[]): boolean {
    try {
      mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
      appendFileSync(this.#file, values.map((value) => `${lineOf(value)}\n`).join(''), { mode: 0o600 });
      return true;
    } catch (error) {
      if (!this.#hasFailed)
        this.#log('error', 'redaction_memory_not_kept', {
          code: error instanceof Error ? error.name : 'unknown',
        });
      this.#hasFailed = true;
      return false;
    }
  }
}

/** Removes what sessions that are over have left. */
export function forgetOldSessions(directory: string, nowMs: number): void {
  let names: readonly string[];
  try {
    names = readdirSync(directory).filter((name) => name.endsWith(SUFFIX));
  } catch {
    return;
  }
  for (const name of names) {
    const file = path.join(directory, name);
    try {
      if (statSync(file).mtimeMs < nowMs - KEEP_MS) rmSync(file, { force: true });
    } catch {
      // Another process of this host was faster.
    }
  }
}

function lineOf({ by, digest, forms }: KnownValue): string {
  const packed = forms.map(({ length, window, whole, check, isEncoded, lead }) => [
    length,
    window,
    whole,
    check,
    isEncoded ? 1 : 0,
    lead,
  ]);
  return JSON.stringify([by.rule, by.action, by.keepLast, digest, packed]);
}

const isCount = (value: unknown): value is number => typeof value === 'number' && Number.isSafeInteger(value);
const isHex = (value: unknown): value is string => typeof value === 'string' && /^[0-9a-f]{32}$/.test(value);

/** Whoever can write the file is the host's own user; still nothing malformed is taken. */
function readLine(line: string): KnownValue | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  const [rule, action, keepLast, digest, packed] = value as unknown[];
  if (typeof rule !== 'string' || !(REDACTION_ACTIONS as readonly unknown[]).includes(action))
    return undefined;
  if (!isCount(keepLast) || !isHex(digest) || !Array.isArray(packed)) return undefined;
  const forms = packed.slice(0, MAX_FORMS).map(readForm);
  if (!forms.every((form) => form !== undefined)) return undefined;
  return { by: { rule, action: action as RedactionAction, keepLast }, digest, forms };
}

function readForm(packed: unknown): KnownForm | undefined {
  if (!Array.isArray(packed)) return undefined;
  const [length, window, whole, check, encoded, lead] = packed as unknown[];
  const areCounts = [length, window, whole, check, lead].every(isCount);
  if (!areCounts) return undefined;
  return {
    length: length as number,
    window: window as number,
    whole: whole as number,
    check: check as number,
    isEncoded: encoded === 1,
    lead: lead as number,
  };
}
