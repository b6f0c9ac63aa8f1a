/**
 * How far a verification came, in a file of its own, so that the next one need not look into the same entries again. It
 * is no evidence: whoever can write it can have entries passed over, so the report counts them, and roots are compared.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { TriplineError } from '../../schemas/errors.ts';
import { zHex64 } from '../../schemas/event/v1.ts';
import type { VerifiedLog } from '../evidence/depth.ts';

const zState = z.strictObject({
  v: z.literal(1),
  verified: z.array(z.strictObject({ logId: zHex64, size: z.int().min(1), root: zHex64 })).max(100_000),
});

const PATH = '--resume';

export class VerifyState {
  readonly verified: readonly VerifiedLog[];
  readonly #file: string;

  private constructor(file: string, verified: readonly VerifiedLog[]) {
    this.#file = file;
    this.verified = verified;
  }

  /** Nothing where the file is not there yet. Throws usage for one that is no such state. */
  static open(file: string): VerifyState {
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (cause) {
      if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT')
        return new VerifyState(file, []);
      throw new TriplineError('usage', `${file} cannot be read`, { path: PATH, cause });
    }
    const parsed = zState.safeParse(jsonOf(text));
    if (!parsed.success)
      throw new TriplineError('usage', `${file} is no state of a verification`, { path: PATH });
    return new VerifyState(file, parsed.data.verified);
  }

  /** Appears whole or not at all. What an earlier run had and this one has not come to yet stays. */
  write(verified: readonly VerifiedLog[]): void {
    const now = new Map(this.verified.map((log) => [log.logId, log]));
    for (const log of verified) if (log.size > (now.get(log.logId)?.size ?? 0)) now.set(log.logId, log);
    writeFileSync(`${this.#file}.new`, `${JSON.stringify({ v: 1, verified: [...now.values()] })}\n`);
    renameSync(`${this.#file}.new`, this.#file);
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
