/** Legal holds: what nobody may erase, whoever asks and however old it is. One small file, replaced whole. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { zHex32, zName, zTime } from '../../../schemas/event/v1.ts';
import { replaceDurably } from '../../platform/durable-files.ts';

export const zHold = z.strictObject({
  id: zHex32,
  tenant: zName,
  kind: z.enum(['tenant', 'session', 'principal']),
  /** Absent for a whole tenant. */
  name: zName.optional(),
  reason: z.string().min(1).max(2048),
  actor: zName,
  since: zTime,
});
export type Hold = z.infer<typeof zHold>;
const zFile = z.strictObject({ v: z.literal(1), holds: z.array(zHold) });

export class Holds {
  readonly #path: string;
  #holds: readonly Hold[];

  constructor(dataDir: string) {
    this.#path = join(dataDir, 'holds.json');
    this.#holds = existsSync(this.#path)
      ? zFile.parse(JSON.parse(readFileSync(this.#path, 'utf8'))).holds
      : [];
  }

  list(): readonly Hold[] {
    return this.#holds;
  }

  /** Durable when it returns. */
  add(hold: Hold): void {
    this.#put([...this.#holds, hold]);
  }

  /** Answers the hold that is released; undefined where there is none. */
  release(id: string): Hold | undefined {
    const found = this.#holds.find((hold) => hold.id === id);
    if (found !== undefined) this.#put(this.#holds.filter((hold) => hold !== found));
    return found;
  }

  #put(holds: readonly Hold[]): void {
    replaceDurably(this.#path, JSON.stringify({ v: 1, holds }));
    this.#holds = holds;
  }
}

export interface Concerned {
  readonly session: string;
  readonly principal: string;
}

/** The first hold that keeps any of these events of a tenant. Pure. */
export function holdOver(
  holds: readonly Hold[],
  tenant: string,
  concerned: readonly Concerned[],
): Hold | undefined {
  const sessions = new Set(concerned.map(({ session }) => session));
  const principals = new Set(concerned.map(({ principal }) => principal));
  return holds.find((hold) => {
    if (hold.tenant !== tenant) return false;
    switch (hold.kind) {
      case 'tenant':
        return true;
      case 'session':
        return sessions.has(hold.name ?? '');
      case 'principal':
        return principals.has(hold.name ?? '');
    }
  });
}
