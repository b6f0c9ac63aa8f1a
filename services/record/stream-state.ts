/**
 * What record knows of a stream: every (seq, event hash) that its log holds. Recent ones are in memory, older ones are
 * read back from `ledger`, so this state is never more than a cache of rows.
 */

import { equalBytes } from '../evidence/bytes.ts';

/** Hashes of one seq: almost always the entered one alone; with equivocations, the entered one first. */
export type SeqHashes = Uint8Array | readonly Uint8Array[];

export interface StreamState {
  /** Highest entered seq + 1. */
  readonly nextSeq: number;
  /** Effective time of the newest projected line; NEGATIVE_INFINITY where there is none. */
  readonly effectiveMs: number;
  /** `hashes` is complete for every seq >= floor. */
  readonly floor: number;
  readonly hashes: Map<number, SeqHashes>;
}

const NO_HASHES: readonly Uint8Array[] = Object.freeze([]);

const isOne = (hashes: SeqHashes): hashes is Uint8Array => hashes instanceof Uint8Array;

/** Adds one more hash of a seq. */
export function addHash(hashes: Map<number, SeqHashes>, seq: number, hash: Uint8Array): void {
  const before = hashes.get(seq);
  if (before === undefined) hashes.set(seq, hash);
  else hashes.set(seq, isOne(before) ? [before, hash] : [...before, hash]);
}

/** Changes of one batch over a known state, which stays as it was until the batch is committed. */
export class StreamDraft {
  nextSeq: number;
  effectiveMs: number;
  #base: StreamState | undefined;
  readonly #added = new Map<number, SeqHashes>();

  /** `base` undefined = the log does not know the stream. */
  constructor(base: StreamState | undefined) {
    this.#base = base;
    this.nextSeq = base?.nextSeq ?? 0;
    this.effectiveMs = base?.effectiveMs ?? Number.NEGATIVE_INFINITY;
  }

  /** The same state before the batch, read back further: for a later part of the batch that asks for older hashes. */
  deepen(base: StreamState | undefined): void {
    if (base !== undefined && base.floor < (this.#base?.floor ?? 0)) this.#base = base;
  }

  /** True when the hashes of `seq` and above are at hand. */
  reaches(seq: number): boolean {
    return (this.#base?.floor ?? 0) <= seq;
  }

  /** The hash that was entered for a seq. */
  entered(seq: number): Uint8Array | undefined {
    const held = this.#of(seq);
    return held === undefined || isOne(held) ? held : held[0];
  }

  /** Hashes that the log holds for a seq, the entered one first. */
  known(seq: number): readonly Uint8Array[] {
    const held = this.#of(seq);
    if (held === undefined) return NO_HASHES;
    return isOne(held) ? [held] : held;
  }

  add(seq: number, hash: Uint8Array): void {
    const before = this.known(seq);
    this.#added.set(seq, before.length === 0 ? hash : [...before, hash]);
    if (seq >= this.nextSeq) this.nextSeq = seq + 1;
  }

  #of(seq: number): SeqHashes | undefined {
    return this.#added.get(seq) ?? this.#base?.hashes.get(seq);
  }

  /**
   * The state after the batch, with at most `keep` recent seqs in memory (at least half of that). Takes the state
   * before it over: neither that nor this draft is used again.
   */
  settle(keep: number): StreamState {
    const hashes = this.#base?.hashes ?? new Map<number, SeqHashes>();
    for (const [seq, held] of this.#added) hashes.set(seq, isOne(held) ? compact(held) : held.map(compact));
    let floor = this.#base?.floor ?? 0;
    if (hashes.size > keep) {
      floor = Math.max(floor, this.nextSeq - Math.ceil(keep / 2));
      for (const seq of hashes.keys()) if (seq < floor) hashes.delete(seq);
    }
    return { nextSeq: this.nextSeq, effectiveMs: this.effectiveMs, floor, hashes };
  }
}

/** A hash may be a view into a larger buffer, which a state that lives long must not keep alive. */
const compact = (hash: Uint8Array): Uint8Array => new Uint8Array(hash);

/** The line claims a predecessor of which nothing is known, though others are known for that seq. */
export function contradicts(
  draft: StreamDraft,
  seq: number,
  { before, prev }: { readonly before: Uint8Array | undefined; readonly prev: Uint8Array },
): boolean {
  if (before === undefined || equalBytes(before, prev)) return false;
  return !isHeld(draft.known(seq - 1), [prev]);
}

/** True where any of the candidates is held. */
export function isHeld(held: readonly Uint8Array[], candidates: readonly Uint8Array[]): boolean {
  return firstHeld(held, candidates) !== undefined;
}

/** The first of these hashes that is held. */
export function firstHeld(
  held: readonly Uint8Array[],
  candidates: readonly Uint8Array[],
): Uint8Array | undefined {
  return candidates.find((candidate) => held.some((hash) => equalBytes(hash, candidate)));
}
