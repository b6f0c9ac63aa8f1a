/**
 * What is to be erased, one file a request, durable before it is answered: a crash at any moment leaves a request that the
 * next start finishes. A file names the subject in the clear, so it is overwritten when the work is done; what stays says
 * no name.
 */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { zErasureBody } from '../../../schemas/audit/v1.ts';
import { zHex32, zHex64, zName } from '../../../schemas/event/v1.ts';
import { replaceDurably, syncPath, writeDurably } from '../../platform/durable-files.ts';

const zIntent = z.strictObject({
  v: z.literal(1),
  id: zHex32,
  tenant: zName,
  by: zErasureBody.shape.by,
  /** Principal or session; empty for a retention. */
  name: z.string(),
  reason: z.string(),
  actor: z.string(),
  role: z.string(),
  requestedMs: z.number().int(),
  /** Of a retention: subjects whose newest entry is older. */
  beforeMs: z.number().int().optional(),
  /**
   * requested: nothing is decided; listed: what goes is written down, nothing is gone yet; recorded: the ERASURE entries are
   * signed, rows, keys and records may be gone.
   */
  phase: z.enum(['requested', 'listed', 'recorded']),
  /** Numbers of the keys that go. */
  subjects: z.array(z.number().int()).default([]),
  /** Entries that go, as in the ERASURE entries. */
  logs: z.array(z.strictObject({ log: zHex64, indexes: z.string() })).default([]),
});
export type Intent = z.infer<typeof zIntent>;

const zOutcome = z.strictObject({
  v: z.literal(1),
  id: zHex32,
  tenant: zName,
  by: zErasureBody.shape.by,
  requestedMs: z.number().int(),
  finishedMs: z.number().int(),
  outcome: z.enum(['erased', 'held']),
  entries: z.number().int(),
  /** Until when topics of a bus that is not ours may hold the lines: Unix ms; null where they are gone. */
  busUntilMs: z.number().int().nullable(),
});
export type ErasureOutcome = z.infer<typeof zOutcome>;

const INTENT = /^([0-9a-f]{32})\.intent\.json$/u;
const MAX_KEPT_OUTCOMES = 1000;

export class Intents {
  readonly #dir: string;

  constructor(dataDir: string) {
    this.#dir = join(dataDir, 'erasures');
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(this.#dir)) if (name.endsWith('.new')) erase(join(this.#dir, name));
  }

  /** Oldest first. */
  open(): Intent[] {
    const intents = readdirSync(this.#dir).flatMap((name) => {
      if (!INTENT.test(name)) return [];
      return [zIntent.parse(JSON.parse(readFileSync(join(this.#dir, name), 'utf8')))];
    });
    return intents.toSorted((a, b) => a.requestedMs - b.requestedMs);
  }

  get(id: string): Intent | undefined {
    return this.open().find((intent) => intent.id === id);
  }

  outcome(id: string): ErasureOutcome | undefined {
    try {
      return zOutcome.parse(JSON.parse(readFileSync(this.#outcomePath(id), 'utf8')));
    } catch {
      return undefined; // There is none.
    }
  }

  /** Durable when it returns. */
  put(intent: Intent): void {
    const path = this.#intentPath(intent.id);
    const before = openIfThere(path);
    replaceDurably(path, JSON.stringify(intent));
    // The version before names the subject as well: it has no name any more, but its bytes are on the disk.
    if (before !== undefined) overwrite(before);
  }

  /** The name goes, the outcome stays. */
  finish(outcome: ErasureOutcome): void {
    writeDurably(this.#outcomePath(outcome.id), JSON.stringify(outcome));
    erase(this.#intentPath(outcome.id));
    syncPath(this.#dir);
    this.#prune();
  }

  #prune(): void {
    const outcomes = readdirSync(this.#dir).filter((name) => name.endsWith('.outcome.json'));
    if (outcomes.length <= MAX_KEPT_OUTCOMES) return;
    for (const name of outcomes.toSorted().slice(0, outcomes.length - MAX_KEPT_OUTCOMES))
      rmSync(join(this.#dir, name), { force: true });
  }

  #intentPath(id: string): string {
    return join(this.#dir, `${id}.intent.json`);
  }

  #outcomePath(id: string): string {
    return join(this.#dir, `${id}.outcome.json`);
  }
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'r+');
  } catch {
    return undefined; // There is none.
  }
}

/** Closes the file. */
function overwrite(file: number): void {
  try {
    writeSync(file, Buffer.alloc(fstatSync(file).size), 0, undefined, 0);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function erase(path: string): void {
  const file = openIfThere(path);
  if (file !== undefined) overwrite(file);
  rmSync(path, { force: true });
}
