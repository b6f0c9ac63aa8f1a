/**
 * What the leaves of a root log claim of the logs: their heads, each after the one before, and which indexes came from which
 * offsets. It is compared with itself here, with the rows elsewhere.
 */
import { toHex, type Sha256 } from './bytes.ts';
import { logId as logIdOf } from './origin.ts';
import type { FaultCode, FaultFound } from './report.ts';
import type { CoveredLog, CoverageLeaf, CoveredPartition, HeadLeaf } from './root-leaf.ts';
import { parseCheckpointText, type Checkpoint } from './tlog/checkpoint.ts';

/** A head that the root log holds. */
export interface RootClaim {
  readonly size: number;
  /** Hex. */
  readonly root: string;
  readonly index: number;
}

/** Indexes [firstIndex, nextIndex) came from offsets [firstOffset, nextOffset). */
export interface CoveredRange {
  readonly firstIndex: number;
  readonly nextIndex: number;
  readonly firstOffset: number;
  readonly nextOffset: number;
}

export interface LogClaims {
  readonly origin: string;
  /** In order of size. */
  readonly heads: readonly RootClaim[];
  /** Empty where the bundle does not bring them. */
  readonly ranges: readonly CoveredRange[];
}

interface Claims {
  readonly origin: string;
  readonly heads: RootClaim[];
  readonly ranges: CoveredRange[];
}

interface CoveredUntil {
  readonly epoch: number;
  readonly firstOffset: number;
  readonly nextOffset: number;
}

/** The next offsets, or another piece of the same ones. */
function continues(before: CoveredUntil | undefined, now: CoveredUntil): boolean {
  const isPiece =
    before?.epoch === now.epoch &&
    before.firstOffset === now.firstOffset &&
    before.nextOffset === now.nextOffset;
  return isPiece || (now.firstOffset === (before?.nextOffset ?? 0) && now.nextOffset > now.firstOffset);
}

export class RootClaims {
  readonly #sha256: Sha256;
  readonly #fault: (code: FaultCode, detail: string, index?: number | null) => FaultFound;
  readonly #claims = new Map<string, Claims>();
  readonly #covered = new Map<string, CoveredUntil>();

  /** `fault` makes what is thrown where leaves contradict each other. */
  constructor(sha256: Sha256, fault: (code: FaultCode, detail: string, index?: number | null) => FaultFound) {
    this.#sha256 = sha256;
    this.#fault = fault;
  }

  /** By log id, in hex. */
  all(): ReadonlyMap<string, LogClaims> {
    return this.#claims;
  }

  /** Each head of a log names the one before, so that none is left out of what a reader of proofs is shown. */
  head(leaf: HeadLeaf, index: number): void {
    const { id, checkpoint } = this.#named(leaf, index);
    const claims = this.#claimsOf(id, checkpoint.origin);
    const before = claims.heads.at(-1);
    const follows = leaf.previous === (before?.index ?? null) && checkpoint.size > (before?.size ?? 0);
    if (!follows) throw this.#fault('root_entries_invalid', 'previous', index);
    claims.heads.push({ size: checkpoint.size, root: toHex(checkpoint.root), index });
  }

  /** The head of a log, where the bundle brings no other of it. */
  newest(leaf: HeadLeaf, { logId, index }: { readonly logId: string; readonly index: number }): void {
    const { id, checkpoint } = this.#named(leaf, index);
    if (id !== logId) throw this.#fault('root_entries_invalid', 'log', index);
    const { origin, size, root } = checkpoint;
    this.#claimsOf(id, origin).heads.push({ size, root: toHex(root), index });
  }

  #named(leaf: HeadLeaf, index: number): { readonly id: string; readonly checkpoint: Checkpoint } {
    const checkpoint = parseCheckpointText(leaf.checkpoint);
    if (checkpoint === undefined) throw this.#fault('root_entries_invalid', 'head', index);
    return { id: toHex(logIdOf(checkpoint.origin, this.#sha256)), checkpoint };
  }

  #claimsOf(id: string, origin: string): Claims {
    const known = this.#claims.get(id);
    if (known !== undefined) return known;
    const claims: Claims = { origin, heads: [], ranges: [] };
    this.#claims.set(id, claims);
    return claims;
  }

  cover(leaf: CoverageLeaf, index: number): void {
    for (const at of leaf.partitions) this.#cover(leaf, at, index);
  }

  /** Offsets of a partition follow each other without a hole, and so do the indexes of each log. */
  #cover({ epoch }: CoverageLeaf, at: CoveredPartition, index: number): void {
    const name = `${at.topic}/${at.partition}`;
    const { firstOffset, nextOffset } = at;
    const now: CoveredUntil = { epoch, firstOffset, nextOffset };
    if (!continues(this.#covered.get(name), now)) throw this.#fault('coverage_differs', name, index);
    this.#covered.set(name, now);
    for (const log of at.logs) this.#coverLog(log, at, index);
  }

  #coverLog({ logId, firstIndex, nextIndex }: CoveredLog, at: CoveredPartition, index: number): void {
    const claims = this.#claims.get(logId);
    if (claims === undefined) throw this.#fault('coverage_differs', logId, index);
    const isNext = firstIndex === (claims.ranges.at(-1)?.nextIndex ?? 0);
    const isHead = claims.heads.at(-1)?.size === nextIndex && nextIndex > firstIndex;
    if (!isNext || !isHead) throw this.#fault('coverage_differs', logId, index);
    const { firstOffset, nextOffset } = at;
    claims.ranges.push({ firstIndex, nextIndex, firstOffset, nextOffset });
  }

  /** Every head is covered. */
  expectCoverage(): void {
    for (const { heads, ranges, origin } of this.#claims.values())
      if (ranges.at(-1)?.nextIndex !== heads.at(-1)?.size) throw this.#fault('coverage_differs', origin);
  }
}
