/**
 * Leaves of the root log, one log per deployment: big endian, length-prefixed, one domain for all types.
 *
 *   leaf     = "tripline/root/v1\0" || u8 type || body
 *   HEAD     = u8 has_previous || u64 previous || u16 len || checkpoint text of a log
 *   COVERAGE = u64 epoch || u16 part || u16 parts || u64 epoch_ms || not_before[32] || u32 n || n x partition
 *              partition = u16 len || topic || u32 partition || u64 first_offset || u64 next_offset || u32 n || n x range
 *              range     = log_id[32] || u64 first_index || u64 next_index
 *   RESTART  = u64 at_ms
 *   FINDING  = u64 at_ms || u16 len || code || u16 len || topic || u32 partition || u16 len || detail
 *   KEY      = u64 at_ms || old_pk[32] || new_pk[32] || root_before[32] || old_sig[64] || new_sig[64]
 *
 * `previous` is the index of the log's previous HEAD. `not_before` is SHA-256 of the newest cosigned root checkpoint
 * (a signed note) when the epoch was cut, zeros where there was none: the leaf cannot be older.
 */
import { concatBytes, domain, equalBytes, fromHex, HASH_BYTES, putU64, toHex, utf8 } from './bytes.ts';

export const ROOT_LEAF_TYPES = { head: 1, coverage: 2, restart: 3, finding: 4, key: 5 } as const;

export interface HeadLeaf {
  readonly type: 'head';
  /** Index of the log's previous HEAD in the root log. */
  readonly previous: number | null;
  /** Text of c2sp.org/tlog-checkpoint. */
  readonly checkpoint: string;
}

export interface CoveredLog {
  /** Hex. */
  readonly logId: string;
  readonly firstIndex: number;
  readonly nextIndex: number;
}

/** Offsets [firstOffset, nextOffset) became these indexes. Ticks and duplicates become none. */
export interface CoveredPartition {
  readonly topic: string;
  readonly partition: number;
  readonly firstOffset: number;
  readonly nextOffset: number;
  readonly logs: readonly CoveredLog[];
}

export interface CoverageLeaf {
  readonly type: 'coverage';
  readonly epoch: number;
  /** Where many logs moved, an epoch has several. */
  readonly part: number;
  readonly parts: number;
  readonly epochMs: number;
  /** Hex. */
  readonly notBefore: string;
  readonly partitions: readonly CoveredPartition[];
}

export interface RestartLeaf {
  readonly type: 'restart';
  readonly atMs: number;
}

/** What the service found about itself, such as a lost offset. */
/** Code of a FINDING leaf: records are gone, and a person decided that the log goes on without them. */
export const LOSS_ACCEPTED = 'loss_accepted';

export interface FindingLeaf {
  readonly type: 'finding';
  readonly atMs: number;
  readonly code: string;
  readonly topic: string;
  readonly partition: number;
  readonly detail: string;
}

/** The log key changes here; both keys signed that (log-keys.ts). Keys and root in hex. */
export interface KeyLeaf {
  readonly type: 'key';
  readonly atMs: number;
  readonly previousKey: string;
  readonly nextKey: string;
  /** Root of the leaves before this one. */
  readonly rootBefore: string;
  /** 64 bytes. */
  readonly previousSignature: Uint8Array;
  readonly nextSignature: Uint8Array;
}

export type RootLeaf = HeadLeaf | CoverageLeaf | RestartLeaf | FindingLeaf | KeyLeaf;

const DOMAIN = domain('tripline/root/v1');
const SIGNATURE_BYTES = 64;
/** Ranges in one COVERAGE leaf: 48 bytes each, so that it stays well under 64 KiB. */
const MAX_RANGES_PER_LEAF = 1000;
/** Partitions too: a topic has up to 256 bytes. */
const MAX_PARTITIONS_PER_LEAF = 100;

const u8 = (value: number): Uint8Array => Uint8Array.of(value);
const u16 = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 255);
function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}
function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  putU64(new DataView(bytes.buffer), 0, value);
  return bytes;
}
function text(value: string): Uint8Array {
  const bytes = utf8(value);
  if (bytes.length > 65_535) throw new RangeError('a text of a root leaf is too long');
  return concatBytes([u16(bytes.length), bytes]);
}
function hash(hex: string): Uint8Array {
  const bytes = fromHex(hex, HASH_BYTES);
  if (bytes === undefined) throw new RangeError('not a SHA-256 hash in hex');
  return bytes;
}

/** Bytes of a leaf. Throws RangeError for what does not fit its fields. */
export function encodeRootLeaf(leaf: RootLeaf): Uint8Array {
  return concatBytes([DOMAIN, u8(ROOT_LEAF_TYPES[leaf.type]), ...bodyOf(leaf)]);
}

function bodyOf(leaf: RootLeaf): Uint8Array[] {
  switch (leaf.type) {
    case 'head':
      return [u8(leaf.previous === null ? 0 : 1), u64(leaf.previous ?? 0), text(leaf.checkpoint)];
    case 'coverage':
      return [
        u64(leaf.epoch),
        u16(leaf.part),
        u16(leaf.parts),
        u64(leaf.epochMs),
        hash(leaf.notBefore),
        u32(leaf.partitions.length),
        ...leaf.partitions.flatMap(partitionOf),
      ];
    case 'restart':
      return [u64(leaf.atMs)];
    case 'finding':
      return [u64(leaf.atMs), text(leaf.code), text(leaf.topic), u32(leaf.partition), text(leaf.detail)];
    case 'key':
      return [
        u64(leaf.atMs),
        hash(leaf.previousKey),
        hash(leaf.nextKey),
        hash(leaf.rootBefore),
        leaf.previousSignature,
        leaf.nextSignature,
      ];
  }
}

function partitionOf(at: CoveredPartition): Uint8Array[] {
  return [
    text(at.topic),
    u32(at.partition),
    u64(at.firstOffset),
    u64(at.nextOffset),
    u32(at.logs.length),
    ...at.logs.flatMap((log) => [hash(log.logId), u64(log.firstIndex), u64(log.nextIndex)]),
  ];
}

/** The COVERAGE leaves of an epoch: one, or as many as its ranges need. */
export function coverageLeaves(
  epoch: Pick<CoverageLeaf, 'epoch' | 'epochMs' | 'notBefore'>,
  partitions: readonly CoveredPartition[],
): CoverageLeaf[] {
  const groups: CoveredPartition[][] = [[]];
  let ranges = 0;
  for (const piece of partitions.flatMap(piecesOf)) {
    const last = groups.at(-1) as CoveredPartition[];
    const isFull =
      ranges + piece.logs.length > MAX_RANGES_PER_LEAF || last.length === MAX_PARTITIONS_PER_LEAF;
    if (isFull && last.length > 0) {
      groups.push([piece]);
      ranges = piece.logs.length;
    } else {
      last.push(piece);
      ranges += piece.logs.length;
    }
  }
  return groups.map((group, part) => ({
    type: 'coverage',
    ...epoch,
    part,
    parts: groups.length,
    partitions: group,
  }));
}

/** A partition with more logs than a leaf holds is told in pieces, each with the same offsets. */
function piecesOf(at: CoveredPartition): CoveredPartition[] {
  const pieces: CoveredPartition[] = [];
  for (let from = 0; from === 0 || from < at.logs.length; from += MAX_RANGES_PER_LEAF) {
    pieces.push({ ...at, logs: at.logs.slice(from, from + MAX_RANGES_PER_LEAF) });
  }
  return pieces;
}

/** Reads what encodeRootLeaf wrote and nothing else; undefined for any other bytes. */
export function decodeRootLeaf(bytes: Uint8Array): RootLeaf | undefined {
  const reader = new LeafReader(bytes);
  try {
    const leaf = reader.leaf();
    return reader.isAtEnd() && equalBytes(encodeRootLeaf(leaf), bytes) ? leaf : undefined;
  } catch (error) {
    if (error instanceof RangeError || error instanceof TypeError) return undefined;
    throw error;
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Throws RangeError past the end, TypeError for text that is no UTF-8. */
class LeafReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  leaf(): RootLeaf {
    if (!equalBytes(this.#take(DOMAIN.length), DOMAIN)) throw new RangeError('another domain');
    switch (this.#number(1)) {
      case ROOT_LEAF_TYPES.head:
        return this.#head();
      case ROOT_LEAF_TYPES.coverage:
        return this.#coverage();
      case ROOT_LEAF_TYPES.restart:
        return { type: 'restart', atMs: this.#number(8) };
      case ROOT_LEAF_TYPES.finding:
        return {
          type: 'finding',
          atMs: this.#number(8),
          code: this.#text(),
          topic: this.#text(),
          partition: this.#number(4),
          detail: this.#text(),
        };
      case ROOT_LEAF_TYPES.key:
        return this.#key();
      default:
        throw new RangeError('an unknown type');
    }
  }

  #key(): KeyLeaf {
    return {
      type: 'key',
      atMs: this.#number(8),
      previousKey: toHex(this.#take(HASH_BYTES)),
      nextKey: toHex(this.#take(HASH_BYTES)),
      rootBefore: toHex(this.#take(HASH_BYTES)),
      previousSignature: this.#take(SIGNATURE_BYTES),
      nextSignature: this.#take(SIGNATURE_BYTES),
    };
  }

  #head(): HeadLeaf {
    const hasPrevious = this.#number(1) === 1;
    const previous = this.#number(8);
    return { type: 'head', previous: hasPrevious ? previous : null, checkpoint: this.#text() };
  }

  #coverage(): CoverageLeaf {
    return {
      type: 'coverage',
      epoch: this.#number(8),
      part: this.#number(2),
      parts: this.#number(2),
      epochMs: this.#number(8),
      notBefore: toHex(this.#take(HASH_BYTES)),
      partitions: this.#list(() => this.#partition()),
    };
  }

  #partition(): CoveredPartition {
    return {
      topic: this.#text(),
      partition: this.#number(4),
      firstOffset: this.#number(8),
      nextOffset: this.#number(8),
      logs: this.#list(() => ({
        logId: toHex(this.#take(HASH_BYTES)),
        firstIndex: this.#number(8),
        nextIndex: this.#number(8),
      })),
    };
  }

  /** Ends at the end of the bytes, however many items are announced. */
  #list<Item>(item: () => Item): Item[] {
    const items: Item[] = [];
    for (let left = this.#number(4); left > 0; left -= 1) items.push(item());
    return items;
  }

  #text(): string {
    return decoder.decode(this.#take(this.#number(2)));
  }

  #number(length: 1 | 2 | 4 | 8): number {
    const at = this.#at;
    this.#take(length);
    switch (length) {
      case 1:
        return this.#view.getUint8(at);
      case 2:
        return this.#view.getUint16(at);
      case 4:
        return this.#view.getUint32(at);
      case 8: {
        const value = Number(this.#view.getBigUint64(at));
        if (!Number.isSafeInteger(value)) throw new RangeError('a number is too large');
        return value;
      }
    }
  }

  #take(length: number): Uint8Array {
    if (this.#at + length > this.#bytes.length) throw new RangeError('the leaf ends early');
    const bytes = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return bytes;
  }
}
