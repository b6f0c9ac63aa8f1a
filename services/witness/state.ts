/** What a witness remembers: the last cosigned checkpoint of each log, and proofs of misbehaviour. */
import { createHash } from 'node:crypto';
import { mkdir, open as openFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { open, type RootDatabase } from 'lmdb';
import type { Decision, Latest } from './step.ts';

/** Each up to 64 KiB; a log that goes on forking is on record often enough by then. */
const MAX_FORKS = 1000;

export class WitnessState {
  readonly #database: RootDatabase;
  readonly #forks: string;

  private constructor(database: RootDatabase, forks: string) {
    this.#database = database;
    this.#forks = forks;
  }

  static async open(dir: string): Promise<WitnessState> {
    const forks = path.join(dir, 'forks');
    await mkdir(forks, { recursive: true, mode: 0o700 });
    const file = path.join(dir, 'witness.lmdb');
    return new WitnessState(open({ path: file, noSubdir: false, compression: false }), forks);
  }

  /**
   * Checks and stores as one transaction over all processes, so that no request overtakes another one's answer; on disk
   * when it resolves.
   */
  async update(origin: string, act: (latest: Latest | undefined) => Decision): Promise<Decision> {
    const decision = this.#database.transactionSync(() => {
      const made = act(this.#database.get(['latest', origin]) as Latest | undefined);
      if (made.kind === 'cosign') this.#database.putSync(['latest', origin], made.latest);
      return made;
    });
    if (decision.kind === 'cosign') await this.#database.flushed;
    return decision;
  }

  latest(origin: string): Latest | undefined {
    return this.#database.get(['latest', origin]) as Latest | undefined;
  }

  /** Keeps what was cosigned beside what was refused; answers the file, undefined where there are enough. */
  async keepFork(
    cosigned: Latest | undefined,
    refused: string,
    request: string,
  ): Promise<string | undefined> {
    const name = createHash('sha256').update(refused).digest('hex');
    const there = await readdir(this.#forks);
    if (there.includes(name)) return path.join(this.#forks, name);
    if (there.length >= MAX_FORKS) return undefined;
    const file = path.join(this.#forks, name);
    const handle = await openFile(file, 'w', 0o600);
    try {
      await handle.writeFile(`cosigned before:\n\n${cosigned?.note ?? ''}\nrefused:\n\n${request}`);
      await handle.sync();
    } finally {
      await handle.close();
    }
    return file;
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}
