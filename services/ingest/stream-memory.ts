/**
 * What ingest remembers of streams: where each chain stands, and which events are durable already. A cache only: what is
 * forgotten costs a header `prev` or a second copy on the bus, and the ledger decides about both.
 */
import { LRUCache } from 'lru-cache';
import { equalBytes } from '../evidence/bytes.ts';

const MAX_STREAMS = 20_000;
const MAX_EVENTS_PER_STREAM = 1024;

export class StreamMemory {
  #tipSeq = -1;
  #tipHash: Uint8Array | undefined;
  /** Fingerprint by seq, of events that are durable; oldest first. */
  readonly #durable = new Map<number, Uint8Array>();

  /** Event hash of `seq - 1`, where the chain is known to stand there. */
  hashBefore(seq: number): Uint8Array | undefined {
    return this.#tipSeq === seq - 1 ? this.#tipHash : undefined;
  }

  /** The chain now stands at `seq`: true of what the sender said, whether it is durable yet or not. */
  advance(seq: number, hash: Uint8Array): void {
    this.#tipSeq = seq;
    this.#tipHash = hash;
  }

  isDurable(seq: number, fingerprint: Uint8Array): boolean {
    const known = this.#durable.get(seq);
    return known !== undefined && equalBytes(known, fingerprint);
  }

  /** The events from `firstSeq` on, one after another, are durable. */
  markDurable(firstSeq: number, fingerprints: readonly Uint8Array[]): void {
    for (let at = 0; at < fingerprints.length; at += 1) {
      // A copy: the fingerprint may be a view into a larger buffer, which a memory must not keep alive.
      this.#durable.set(firstSeq + at, new Uint8Array(fingerprints[at] as Uint8Array));
    }
    for (const seq of this.#durable.keys()) {
      if (this.#durable.size <= MAX_EVENTS_PER_STREAM) return;
      this.#durable.delete(seq);
    }
  }
}

export class StreamMemories {
  readonly #streams = new LRUCache<string, StreamMemory>({ max: MAX_STREAMS });

  /** Memory of a stream of a tenant; empty for one that is new or forgotten. */
  of(tenant: string, stream: string): StreamMemory {
    // Stream ids have a fixed length, so that the key is unambiguous.
    const key = stream + tenant;
    const known = this.#streams.get(key);
    if (known !== undefined) return known;
    const made = new StreamMemory();
    this.#streams.set(key, made);
    return made;
  }
}
