/**
 * Calls that are acknowledged but wait for the spans above them, on disk. Each is durable before its request is answered
 * and leaves only when its events are durable on the bus; a start takes up what it finds here, whatever ended the process.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import { currentPath, putCurrent, removeOthers, writeCopy } from '../../platform/generations.ts';
import type { Owner } from './belong.ts';
import type { SeenCall } from './seen-call.ts';
import type { ToolCall } from './tool-call.ts';

export interface WaitingCall {
  readonly tenant: string;
  /** Who sent it, for dead letters. */
  readonly origin: string;
  readonly seen: SeenCall;
  /** Set before its events are sent: a crash in between must not send them in another form. */
  readonly owner: Owner | undefined;
}

type StoredCall = Omit<ToolCall, 'startNs' | 'endNs'> & { readonly startNs: string; readonly endNs: string };
type Stored = Omit<WaitingCall, 'seen'> & {
  readonly v: 1;
  readonly seen: Omit<SeenCall, 'call'> & { readonly call: StoredCall };
};

interface Environment {
  readonly root: RootDatabase<unknown, string>;
  readonly calls: Database<Stored, string>;
}

function openEnvironment(path: string): Environment {
  // Commits with fsync: a promise that resolves means durable.
  const root = open<unknown, string>({ path, noSubdir: false, maxDbs: 2, overlappingSync: false });
  return { root, calls: root.openDB<Stored, string>({ name: 'calls', encoding: 'json' }) };
}

export class WaitingRoom {
  readonly #dir: string;
  #root: RootDatabase<unknown, string>;
  #calls: Database<Stored, string>;
  readonly #writes = new Set<Promise<unknown>>();
  /** Writes wait for it. */
  #renewing: Promise<unknown> = Promise.resolve();

  constructor(dir: string) {
    this.#dir = dir;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    const { root, calls } = openEnvironment(currentPath(dir));
    this.#root = root;
    this.#calls = calls;
    removeOthers(dir);
  }

  /** Goes on with new files that hold what is waiting and nothing of what has left. */
  renewFiles(): Promise<void> {
    const renewed = this.#renewing.then(() => this.#renew());
    this.#renewing = renewed.catch(() => undefined);
    return renewed;
  }

  async #renew(): Promise<void> {
    await Promise.allSettled(this.#writes);
    const old = this.#root;
    const name = await writeCopy(this.#dir, old);
    const { root, calls } = openEnvironment(join(this.#dir, name));
    putCurrent(this.#dir, name);
    this.#root = root;
    this.#calls = calls;
    await old.close();
    removeOthers(this.#dir);
  }

  async #write(work: () => Promise<unknown>): Promise<void> {
    // Whoever waited may find that another renewal began.
    for (let seen: unknown; seen !== this.#renewing;) {
      seen = this.#renewing;
      await this.#renewing;
    }
    const write = work();
    this.#writes.add(write);
    try {
      await write;
    } finally {
      this.#writes.delete(write);
    }
  }

  /** In the order of their keys. */
  *all(): Generator<readonly [key: string, call: WaitingCall]> {
    for (const { key, value } of this.#calls.getRange({})) {
      const { tenant, origin, owner, seen } = value;
      const { startNs, endNs, ...call } = seen.call;
      const restored = { ...call, startNs: BigInt(startNs), endNs: BigInt(endNs) };
      yield [key, { tenant, origin, owner, seen: { ...seen, call: restored } }];
    }
  }

  /** Resolves when all are durable. */
  async put(calls: readonly (readonly [key: string, call: WaitingCall])[]): Promise<void> {
    await this.#write(() =>
      Promise.all(
        calls.map(([key, { tenant, origin, owner, seen }]) => {
          const { startNs, endNs, ...call } = seen.call;
          const stored = { ...call, startNs: String(startNs), endNs: String(endNs) };
          return this.#calls.put(key, { v: 1, tenant, origin, owner, seen: { ...seen, call: stored } });
        }),
      ),
    );
  }

  async remove(keys: readonly string[]): Promise<void> {
    await this.#write(() => Promise.all(keys.map((key) => this.#calls.remove(key))));
  }

  async close(): Promise<void> {
    await this.#renewing;
    await this.#root.close();
  }
}
