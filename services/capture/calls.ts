/** Calls in flight, and calls that ended but whose answer may still come. Bounded: the oldest give way, and say so. */
import type { Direction } from './message.ts';
import type { CallSpan } from './spans.ts';

export interface PendingCall {
  readonly key: string;
  readonly callId: string;
  readonly logicalCallId: string;
  readonly tool: string;
  readonly class: string;
  readonly span: CallSpan;
  readonly parentSpanId: string | undefined;
  /** Monotonic ms. */
  readonly startedAtMs: number;
  /** A result is on record (cancelled, timeout): a later answer is evidence of it, not a second result. */
  ended: boolean;
  readonly verdict: string;
  readonly controlId: string | undefined;
}

/** Ids of one direction are a number space of their own. */
export function pendingKey(direction: Direction, idKey: string): string {
  return `${direction} ${idKey}`;
}

export class PendingCalls {
  readonly #byKey = new Map<string, PendingCall[]>();
  readonly #maxCalls: number;
  #count = 0;

  constructor(maxCalls: number) {
    this.#maxCalls = maxCalls;
  }

  get size(): number {
    return this.#count;
  }

  /** Adds a call; answers the calls that gave way for it, oldest first. A twin id in flight keeps its place before it. */
  add(call: PendingCall): readonly PendingCall[] {
    const twins = this.#byKey.get(call.key);
    if (twins === undefined) this.#byKey.set(call.key, [call]);
    else twins.push(call);
    this.#count++;
    return this.#count > this.#maxCalls ? this.#evictOldest() : [];
  }

  #evictOldest(): readonly PendingCall[] {
    for (const [key, calls] of this.#byKey) {
      this.#byKey.delete(key);
      this.#count -= calls.length;
      return calls;
    }
    return [];
  }

  /** The call that an answer with this key ends, no longer pending. */
  take(key: string): PendingCall | undefined {
    const calls = this.#byKey.get(key);
    const call = calls?.shift();
    if (call === undefined || calls === undefined) return undefined;
    this.#count--;
    if (calls.length === 0) this.#byKey.delete(key);
    return call;
  }

  /** The newest call under this key that has no result on record. */
  find(key: string): PendingCall | undefined {
    return this.#byKey.get(key)?.findLast((call) => !call.ended);
  }

  *all(): Generator<PendingCall> {
    for (const calls of this.#byKey.values()) yield* calls;
  }

  clear(): void {
    this.#byKey.clear();
    this.#count = 0;
  }
}
