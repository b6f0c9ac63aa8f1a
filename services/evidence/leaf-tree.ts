/** A tree that only grows, hashed many nodes at a time. */
import { HASH_BYTES, PaddedMessages, sha256EachOf, type EvidenceCrypto, type Sha256Many } from './bytes.ts';
import { CompactRange, largestSubtree } from './merkle.ts';

/** Leaves that are held before they are hashed; a power of two. */
const HELD = 1024;
const NODE_BYTES = 1 + 2 * HASH_BYTES;
const nodes = new PaddedMessages(NODE_BYTES, HELD / 2);
for (let at = 0; at < HELD / 2; at += 1) nodes.bytes[at * nodes.stride] = 1;

export class LeafTree {
  readonly #range: CompactRange;
  readonly #sha256Many: Sha256Many;
  readonly #held = new Uint8Array(HELD * HASH_BYTES);
  #count = 0;

  constructor({ sha256, sha256Many = sha256EachOf(sha256) }: EvidenceCrypto) {
    this.#range = new CompactRange(0, sha256);
    this.#sha256Many = sha256Many;
  }

  append(leafHash: Uint8Array): void {
    this.#held.set(leafHash, this.#count * HASH_BYTES);
    this.#count += 1;
    if (this.#count === HELD) this.#hash();
  }

  /** RFC 6962 root of all leaves so far. */
  root(): Uint8Array {
    this.#hash();
    return this.#range.root();
  }

  #hash(): void {
    for (let at = 0; at < this.#count;) {
      const { end } = this.#range;
      const leaves = largestSubtree(end, end + this.#count - at);
      this.#range.appendSubtree(leaves, this.#subtree(at, leaves));
      at += leaves;
    }
    this.#count = 0;
  }

  /** Root of a perfect subtree of held leaves, which are used up; level by level. */
  #subtree(from: number, leaves: number): Uint8Array {
    const level = this.#held.subarray(from * HASH_BYTES, (from + leaves) * HASH_BYTES);
    for (let left = leaves / 2; left >= 1; left /= 2) {
      for (let at = 0; at < left; at += 1) {
        const pair = level.subarray(at * 2 * HASH_BYTES, (at + 1) * 2 * HASH_BYTES);
        nodes.bytes.set(pair, at * nodes.stride + 1);
      }
      this.#sha256Many(nodes, left, level);
    }
    return level.slice(0, HASH_BYTES);
  }
}
