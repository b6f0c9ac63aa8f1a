/**
 * What the root log holds, in the signer's own database, so that an epoch is one transaction with the heads that it is
 * made of. Leaves stay here until the full tile that holds them is on disk: from them tiles are made again after a crash.
 */
import type { RootDatabase } from 'lmdb';
import { toHex, hashFromHex, ZERO_HASH, utf8, type Sha256 } from '../../evidence/bytes.ts';
import { CompactRange, leafHash } from '../../evidence/merkle.ts';
import {
  coverageLeaves,
  encodeRootLeaf,
  type CoveredPartition,
  type FindingLeaf,
  type KeyLeaf,
  type RootLeaf,
} from '../../evidence/root-leaf.ts';
import { checkpointText } from '../../evidence/tlog/checkpoint.ts';
import { TILE_WIDTH } from '../../evidence/tlog/tiles.ts';
import type { LogHead } from '../../record/ports.ts';

export interface RootTree {
  readonly size: number;
  /** Hex. */
  readonly root: string;
  /** Compact range, hex. */
  readonly range: readonly string[];
  /** Of the next epoch. */
  readonly epoch: number;
}

/** The newest HEAD leaf of a log. */
export interface RootHead {
  readonly index: number;
  readonly size: number;
  readonly topic: string;
  readonly partition: number;
}

export interface Cosigned {
  readonly size: number;
  /** A signed note that met the policy. */
  readonly note: string;
}

export type Finding = Omit<FindingLeaf, 'type' | 'atMs'>;

/** A partition as the signer has it now. */
export interface SignedPartition {
  readonly topic: string;
  readonly partition: number;
  readonly nextOffset: number;
  readonly heads: () => readonly LogHead[];
}

export interface EpochCut {
  readonly nowMs: number;
  /** The writer starts: a RESTART leaf. */
  readonly restart: boolean;
  readonly partitions: readonly SignedPartition[];
}

interface StoredFinding {
  readonly leaf: FindingLeaf;
  /** Null until an epoch has taken it. */
  readonly index: number | null;
}

/** Sorts after every text and number of a key. */
const KEY_END = '\u{10FFFF}';
/** Different findings that are kept: whoever causes them must not grow the log without bound. */
const MAX_FINDINGS = 10_000;

export class RootState {
  readonly #database: RootDatabase;
  readonly #sha256: Sha256;

  constructor(database: RootDatabase, sha256: Sha256) {
    this.#database = database;
    this.#sha256 = sha256;
  }

  tree(): RootTree {
    const stored = this.#database.get(['root-tree']) as RootTree | undefined;
    return stored ?? { size: 0, root: toHex(this.#sha256(utf8(''))), range: [], epoch: 0 };
  }

  head(logId: string): RootHead | undefined {
    return this.#database.get(['root-head', logId]) as RootHead | undefined;
  }

  *heads(): Generator<{ readonly logId: string; readonly index: number }> {
    for (const { key, value } of this.#range('root-head')) {
      yield { logId: (key as [string, string])[1], index: (value as RootHead).index };
    }
  }

  /** Leaves [from, size) that are not in full tiles yet, and perhaps some that are. */
  leaves(from: number): Uint8Array[] {
    const range = this.#database.getRange({ start: ['root-leaf', from], end: ['root-leaf', KEY_END] });
    return [...range].map(({ value }) => new Uint8Array(value as Uint8Array));
  }

  /** Size up to which tiles and checkpoint are on disk. */
  published(): number {
    return (this.#database.get(['root-published']) as number | undefined) ?? 0;
  }

  cosigned(): Cosigned | undefined {
    return this.#database.get(['root-cosigned']) as Cosigned | undefined;
  }

  // What follows is called inside a transaction.

  /** Leaves of full tiles are on disk now, and are not needed here any more. */
  setPublished(size: number): void {
    const full = size - (size % TILE_WIDTH);
    const done = [...this.#database.getKeys({ start: ['root-leaf', 0], end: ['root-leaf', full] })];
    for (const key of done) this.#database.removeSync(key);
    this.#database.putSync(['root-published'], size);
  }

  setCosigned(cosigned: Cosigned): void {
    if ((this.cosigned()?.size ?? -1) <= cosigned.size) this.#database.putSync(['root-cosigned'], cosigned);
  }

  /** True when it is new: the same finding is entered once. */
  addFinding(finding: Finding, atMs: number): boolean {
    const key = ['root-finding', toHex(this.#sha256(utf8(JSON.stringify(finding))))];
    if (this.#database.get(key) !== undefined) return false;
    if ([...this.#range('root-finding')].length >= MAX_FINDINGS) return false;
    const stored: StoredFinding = { leaf: { type: 'finding', atMs, ...finding }, index: null };
    this.#database.putSync(key, stored);
    return true;
  }

  /** Appends the leaves of an epoch; false where nothing happened since the last one. */
  cut(epoch: EpochCut): boolean {
    const writer = new LeafWriter(this.tree(), this.#sha256);
    if (epoch.restart) writer.append({ type: 'restart', atMs: epoch.nowMs });
    this.#takeFindings(writer);
    const covered = epoch.partitions.flatMap((at) => this.#cover(at, writer));
    this.#takeCoverage(covered, epoch.nowMs, writer);
    if (writer.leaves.length === 0) return false;
    for (const [at, leaf] of writer.leaves.entries()) {
      this.#database.putSync(['root-leaf', writer.firstIndex + at], Buffer.from(leaf));
    }
    this.#database.putSync(['root-tree'], writer.tree());
    return true;
  }

  /** Appends a KEY leaf. Called inside a transaction. */
  rotate(leaf: KeyLeaf): void {
    const writer = new LeafWriter(this.tree(), this.#sha256);
    const index = writer.append(leaf);
    const bytes = Buffer.from(encodeRootLeaf(leaf));
    this.#database.putSync(['root-leaf', index], bytes);
    this.#database.putSync(['root-key', index], bytes);
    this.#database.putSync(['root-tree'], writer.tree());
  }

  /** KEY leaves, in order. */
  rotations(): { readonly index: number; readonly leaf: Uint8Array }[] {
    return [...this.#range('root-key')].map(({ key, value }) => ({
      index: (key as [string, number])[1],
      leaf: new Uint8Array(value as Uint8Array),
    }));
  }

  #takeFindings(writer: LeafWriter): void {
    const findings = [...this.#range('root-finding')];
    for (const { key, value } of findings) {
      const stored = value as StoredFinding;
      if (stored.index !== null) continue;
      this.#database.putSync(key, { ...stored, index: writer.append(stored.leaf) });
    }
  }

  /** HEAD leaves of the logs that moved, and what the offsets since the last epoch became. */
  #cover(at: SignedPartition, writer: LeafWriter): CoveredPartition[] {
    const { topic, partition, nextOffset } = at;
    const key = ['root-covered', topic, partition];
    const firstOffset = (this.#database.get(key) as number | undefined) ?? 0;
    if (nextOffset === firstOffset) return [];
    const logs = at.heads().flatMap((head) => {
      const before = this.head(head.logId);
      if (before?.size === head.size) return [];
      const checkpoint = checkpointText({ ...head, root: hashFromHex(head.root) });
      const index = writer.append({ type: 'head', previous: before?.index ?? null, checkpoint });
      const stored: RootHead = { index, size: head.size, topic, partition };
      this.#database.putSync(['root-head', head.logId], stored);
      return [{ logId: head.logId, firstIndex: before?.size ?? 0, nextIndex: head.size }];
    });
    this.#database.putSync(key, nextOffset);
    return [{ topic, partition, firstOffset, nextOffset, logs }];
  }

  #takeCoverage(covered: readonly CoveredPartition[], epochMs: number, writer: LeafWriter): void {
    if (covered.length === 0) return;
    const cosigned = this.cosigned();
    const notBefore = toHex(cosigned === undefined ? ZERO_HASH : this.#sha256(utf8(cosigned.note)));
    const epoch = { epoch: writer.epoch, epochMs, notBefore };
    for (const leaf of coverageLeaves(epoch, covered)) writer.append(leaf);
  }

  #range(name: string) {
    return this.#database.getRange({ start: [name], end: [name, KEY_END] });
  }
}

/** The tree while an epoch is appended to it. */
class LeafWriter {
  readonly firstIndex: number;
  readonly epoch: number;
  readonly leaves: Uint8Array[] = [];
  readonly #range: CompactRange;
  readonly #sha256: Sha256;

  constructor(tree: RootTree, sha256: Sha256) {
    const range = CompactRange.fromHashes({ begin: 0, end: tree.size }, tree.range.map(hashFromHex), sha256);
    if (range === undefined) throw new RangeError('the compact range of the root log does not fit its size');
    this.firstIndex = tree.size;
    this.epoch = tree.epoch;
    this.#range = range;
    this.#sha256 = sha256;
  }

  /** Index of the leaf. */
  append(leaf: RootLeaf): number {
    const bytes = encodeRootLeaf(leaf);
    this.leaves.push(bytes);
    this.#range.append(leafHash(bytes, this.#sha256));
    return this.#range.end - 1;
  }

  tree(): RootTree {
    return {
      size: this.#range.end,
      root: toHex(this.#range.root()),
      range: this.#range.hashes().map(toHex),
      epoch: this.epoch + 1,
    };
  }
}
