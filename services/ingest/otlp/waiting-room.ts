/**
 * Calls that are acknowledged but wait for the spans above them, on disk. Each is durable before its request is answered
 * and leaves only when its events are durable on the bus; a start takes up what it finds here, whatever ended the process.
 */
import { open, type Database, type RootDatabase } from 'lmdb';
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

export class WaitingRoom {
  readonly #root: RootDatabase<unknown, string>;
  readonly #calls: Database<Stored, string>;

  constructor(dir: string) {
    // Commits with fsync: a promise that resolves means durable.
    this.#root = open<unknown, string>({ path: dir, noSubdir: false, maxDbs: 2, overlappingSync: false });
    this.#calls = this.#root.openDB<Stored, string>({ name: 'calls', encoding: 'json' });
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
    await Promise.all(
      calls.map(([key, { tenant, origin, owner, seen }]) => {
        const { startNs, endNs, ...call } = seen.call;
        const stored = { ...call, startNs: String(startNs), endNs: String(endNs) };
        return this.#calls.put(key, { v: 1, tenant, origin, owner, seen: { ...seen, call: stored } });
      }),
    );
  }

  async remove(keys: readonly string[]): Promise<void> {
    await Promise.all(keys.map((key) => this.#calls.remove(key)));
  }

  async close(): Promise<void> {
    await this.#root.close();
  }
}
