/**
 * RFC 6962 Merkle tree: hashes, compact ranges, inclusion and consistency proofs (RFC 9162 section 2.1).
 * Sizes are bigint where they come from outside (proof verification), numbers where this process counts leaves.
 */
import { equalBytes, HASH_BYTES, utf8, type Sha256 } from './bytes.ts';

const nodeInput = new Uint8Array(1 + 2 * HASH_BYTES);
nodeInput[0] = 1;

/** SHA-256(0x00 || leaf). */
export function leafHash(leaf: Uint8Array, sha256: Sha256): Uint8Array {
  const input = new Uint8Array(1 + leaf.length);
  input.set(leaf, 1);
  return sha256(input);
}

/** SHA-256(0x01 || left || right), for 32-byte children. */
export function nodeHash(left: Uint8Array, right: Uint8Array, sha256: Sha256): Uint8Array {
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + HASH_BYTES);
  return sha256(nodeInput);
}

/** Root of the empty tree. */
export function emptyRoot(sha256: Sha256): Uint8Array {
  return sha256(utf8(''));
}

interface Subtree {
  /** Index of its first leaf; a multiple of `leaves`. */
  readonly begin: number;
  /** A power of two. */
  readonly leaves: number;
  readonly hash: Uint8Array;
}

/**
 * The roots of the perfect subtrees that cover the leaves [begin, end), left to right: what a writer needs to append,
 * and, for begin > 0, the proof that a longer tree extends a shorter one.
 */
export class CompactRange {
  readonly begin: number;
  readonly #sha256: Sha256;
  readonly #subtrees: Subtree[] = [];
  #end: number;

  constructor(begin: number, sha256: Sha256) {
    this.begin = begin;
    this.#end = begin;
    this.#sha256 = sha256;
  }

  /** From the hashes that `hashes()` gave; undefined when their number does not fit [begin, end). */
  static fromHashes(
    span: { readonly begin: number; readonly end: number },
    hashes: readonly Uint8Array[],
    sha256: Sha256,
  ): CompactRange | undefined {
    const range = new CompactRange(span.begin, sha256);
    let at = span.begin;
    for (const hash of hashes) {
      if (at >= span.end || hash.length !== HASH_BYTES) return undefined;
      const leaves = largestSubtree(at, span.end);
      range.#subtrees.push({ begin: at, leaves, hash });
      at += leaves;
    }
    range.#end = at;
    return at === span.end ? range : undefined;
  }

  get end(): number {
    return this.#end;
  }

  hashes(): readonly Uint8Array[] {
    return this.#subtrees.map((subtree) => subtree.hash);
  }

  clone(): CompactRange {
    const copy = new CompactRange(this.begin, this.#sha256);
    copy.#subtrees.push(...this.#subtrees);
    copy.#end = this.#end;
    return copy;
  }

  append(leaf: Uint8Array): void {
    this.#push({ begin: this.#end, leaves: 1, hash: leaf });
  }

  /** Appends a perfect subtree of so many leaves, a power of two of which this range ends at a multiple. */
  appendSubtree(leaves: number, hash: Uint8Array): void {
    this.#push({ begin: this.#end, leaves, hash });
  }

  /** Appends a range that starts where this one ends; false (and unchanged) when it does not. */
  appendRange(next: CompactRange): boolean {
    if (next.begin !== this.#end) return false;
    for (const subtree of next.#subtrees) this.#push(subtree);
    return true;
  }

  /** Root of the tree; only for ranges that begin at 0. */
  root(): Uint8Array {
    let root: Uint8Array | undefined;
    for (let at = this.#subtrees.length - 1; at >= 0; at -= 1) {
      const { hash } = this.#subtrees[at] as Subtree;
      root = root === undefined ? hash : nodeHash(hash, root, this.#sha256);
    }
    return root ?? emptyRoot(this.#sha256);
  }

  #push(added: Subtree): void {
    let subtree = added;
    for (;;) {
      const left = this.#subtrees.at(-1);
      const merges =
        left !== undefined && left.leaves === subtree.leaves && left.begin % (2 * left.leaves) === 0;
      if (!merges) break;
      this.#subtrees.pop();
      subtree = {
        begin: left.begin,
        leaves: 2 * left.leaves,
        hash: nodeHash(left.hash, subtree.hash, this.#sha256),
      };
    }
    this.#subtrees.push(subtree);
    this.#end = added.begin + added.leaves;
  }
}

/** Leaves of the largest perfect, aligned subtree that starts at `at` and ends at or before `end`. */
export function largestSubtree(at: number, end: number): number {
  let leaves = 1;
  while (at % (2 * leaves) === 0 && at + 2 * leaves <= end) leaves *= 2;
  return leaves;
}

/** Root of the tree over the given leaf hashes. */
export function treeRoot(leafHashes: readonly Uint8Array[], sha256: Sha256): Uint8Array {
  const range = new CompactRange(0, sha256);
  for (const hash of leafHashes) range.append(hash);
  return range.root();
}

/** Largest power of two below `size` (size >= 2). */
export function split(size: number): number {
  let half = 1;
  while (half * 2 < size) half *= 2;
  return half;
}

/** Leaves [begin, end) of a subtree. */
export interface LeafSpan {
  readonly begin: number;
  readonly end: number;
}

/** Subtrees whose hashes are the inclusion proof of a leaf, lowest sibling first (RFC 6962 section 2.1.1). */
export function inclusionSpans(index: number, size: number): LeafSpan[] {
  const spans: LeafSpan[] = [];
  let begin = 0;
  let end = size;
  while (end - begin > 1) {
    const middle = begin + split(end - begin);
    if (index < middle) {
      spans.push({ begin: middle, end });
      end = middle;
    } else {
      spans.push({ begin, end: middle });
      begin = middle;
    }
  }
  return spans.toReversed();
}

/** Subtrees whose hashes prove that `size` leaves extend the first `oldSize` (>= 1) of them (RFC 6962 section 2.1.2). */
export function consistencySpans(oldSize: number, size: number): LeafSpan[] {
  const spans: LeafSpan[] = [];
  let begin = 0;
  let end = size;
  while (end !== oldSize) {
    const middle = begin + split(end - begin);
    if (oldSize <= middle) {
      spans.push({ begin: middle, end });
      end = middle;
    } else {
      spans.push({ begin, end: middle });
      begin = middle;
    }
  }
  if (begin > 0) spans.push({ begin, end });
  return spans.toReversed();
}

/** A whole tree in memory (about 64 bytes a leaf), from which proofs are cut in O(log^2 n). */
export class ProofTree {
  /** Roots of the perfect subtrees of 2^level leaves, by level. */
  readonly #levels: Uint8Array[][] = [[]];
  readonly #sha256: Sha256;

  constructor(sha256: Sha256) {
    this.#sha256 = sha256;
  }

  get size(): number {
    return (this.#levels[0] as Uint8Array[]).length;
  }

  append(leaf: Uint8Array): void {
    let hash = leaf;
    for (let level = 0; ; level += 1) {
      const nodes = (this.#levels[level] ??= []);
      nodes.push(hash);
      if (nodes.length % 2 === 1) return;
      hash = nodeHash(nodes[nodes.length - 2] as Uint8Array, hash, this.#sha256);
    }
  }

  root(): Uint8Array {
    return this.size === 0 ? emptyRoot(this.#sha256) : this.#subtree(0, this.size);
  }

  /** Lowest sibling first (RFC 6962 section 2.1.1). */
  inclusionProof(index: number): Uint8Array[] {
    return inclusionSpans(index, this.size).map(({ begin, end }) => this.#subtree(begin, end));
  }

  /** From the tree of the first `oldSize` leaves (>= 1) to this one (RFC 6962 section 2.1.2). */
  consistencyProof(oldSize: number): Uint8Array[] {
    return consistencySpans(oldSize, this.size).map(({ begin, end }) => this.#subtree(begin, end));
  }

  #subtree(begin: number, end: number): Uint8Array {
    const leaves = end - begin;
    const level = Math.log2(leaves);
    if (Number.isInteger(level)) return this.#levels[level]?.[begin / leaves] as Uint8Array;
    const middle = begin + split(leaves);
    return nodeHash(this.#subtree(begin, middle), this.#subtree(middle, end), this.#sha256);
  }
}

export interface InclusionClaim {
  readonly index: bigint;
  readonly size: bigint;
  readonly leafHash: Uint8Array;
  readonly root: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

const allHashes = (hashes: readonly Uint8Array[]): boolean =>
  hashes.every((hash) => hash.length === HASH_BYTES);

type Side = 'left' | 'right';

/**
 * On which side each sibling of a path of `length` stands, from leaf `node` of a tree whose last leaf is `last`;
 * undefined when a path of that length does not end at the root (RFC 9162 section 2.1.3.2).
 */
function siblingSides(node: bigint, last: bigint, length: number): Side[] | undefined {
  const sides: Side[] = [];
  let at = node;
  let end = last;
  while (sides.length < length) {
    if (end === 0n) return undefined;
    const left = (at & 1n) === 1n || at === end;
    sides.push(left ? 'left' : 'right');
    // A node without right sibling moves up until it has a left one.
    if (left) {
      while ((at & 1n) === 0n && at !== 0n) {
        at >>= 1n;
        end >>= 1n;
      }
    }
    at >>= 1n;
    end >>= 1n;
  }
  return end === 0n ? sides : undefined;
}

/** Root that an inclusion proof leads to, undefined when it has the wrong form. */
export function rootFromInclusion(
  claim: Omit<InclusionClaim, 'root'>,
  sha256: Sha256,
): Uint8Array | undefined {
  if (claim.index < 0n || claim.index >= claim.size) return undefined;
  if (!allHashes([claim.leafHash, ...claim.proof])) return undefined;
  const sides = siblingSides(claim.index, claim.size - 1n, claim.proof.length);
  if (sides === undefined) return undefined;
  return claim.proof.reduce(
    (hash, sibling, at) =>
      sides[at] === 'left' ? nodeHash(sibling, hash, sha256) : nodeHash(hash, sibling, sha256),
    claim.leafHash,
  );
}

export function verifyInclusion(claim: InclusionClaim, sha256: Sha256): boolean {
  const root = rootFromInclusion(claim, sha256);
  return root !== undefined && equalBytes(root, claim.root);
}

export interface ConsistencyClaim {
  readonly oldSize: bigint;
  readonly newSize: bigint;
  readonly oldRoot: Uint8Array;
  readonly newRoot: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

/** True when the tree of `newSize` extends the one of `oldSize`. An old size of 0 proves nothing and is refused. */
export function verifyConsistency(claim: ConsistencyClaim, sha256: Sha256): boolean {
  const { oldSize, newSize, proof } = claim;
  if (oldSize <= 0n || oldSize > newSize) return false;
  if (oldSize === newSize) return proof.length === 0 && equalBytes(claim.oldRoot, claim.newRoot);
  if (proof.length === 0) return false;
  if (!allHashes([claim.oldRoot, claim.newRoot, ...proof])) return false;
  return walkConsistency(claim, sha256);
}

/** RFC 9162 section 2.1.4.2, steps 3 to 7. */
function walkConsistency(claim: ConsistencyClaim, sha256: Sha256): boolean {
  let node = claim.oldSize - 1n;
  let last = claim.newSize - 1n;
  while ((node & 1n) === 1n) {
    node >>= 1n;
    last >>= 1n;
  }
  // Where the old tree is one perfect subtree, the proof leaves its root out.
  const path = node === 0n ? [claim.oldRoot, ...claim.proof] : claim.proof;
  const sides = siblingSides(node, last, path.length - 1);
  if (sides === undefined) return false;
  let oldHash = path[0] as Uint8Array;
  let newHash = oldHash;
  for (const [at, sibling] of path.slice(1).entries()) {
    const left = sides[at] === 'left';
    if (left) oldHash = nodeHash(sibling, oldHash, sha256);
    newHash = left ? nodeHash(sibling, newHash, sha256) : nodeHash(newHash, sibling, sha256);
  }
  return equalBytes(oldHash, claim.oldRoot) && equalBytes(newHash, claim.newRoot);
}
