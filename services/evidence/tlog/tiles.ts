/**
 * The layout of c2sp.org/tlog-tiles: hashes of a level in tiles of 256, entries in bundles of 256 with uint16 lengths.
 * Tile N of level L holds the roots of the perfect subtrees of 256^L leaves.
 */
import { concatBytes, HASH_BYTES, type Sha256 } from '../bytes.ts';
import { consistencySpans, emptyRoot, inclusionSpans, nodeHash, split, type LeafSpan } from '../merkle.ts';

export const TILE_WIDTH = 256;
/** A leaf has a uint16 length in its bundle. */
export const MAX_LEAF_BYTES = 65_535;
const MAX_LEVEL = 63;

export interface TileAddress {
  /** `entries`: a bundle of leaves. */
  readonly level: number | 'entries';
  readonly index: number;
  /** 256 for a full tile. */
  readonly width: number;
}

/** `tile/<L>/<N>[.p/<W>]` */
export function tilePath({ level, index, width }: TileAddress): string {
  let name = String(index % 1000).padStart(3, '0');
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    name = `x${String(rest % 1000).padStart(3, '0')}/${name}`;
  }
  return `tile/${level}/${name}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/** Only the one spelling that tilePath gives. */
export function parseTilePath(path: string): TileAddress | undefined {
  const match = /^tile\/(entries|0|[1-9]\d?)\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/([1-9]\d{0,2}))?$/.exec(path);
  if (match === null) return undefined;
  const [, levelText = '', indexText = '', widthText = String(TILE_WIDTH)] = match;
  const address = {
    level: levelText === 'entries' ? ('entries' as const) : Number(levelText),
    index: Number(indexText.replaceAll(/[x/]/g, '')),
    width: Number(widthText),
  };
  // The spelling also tells a full tile that is written as a partial one, and an index that is not exact.
  return isTile(address) && tilePath(address) === path ? address : undefined;
}

function isTile({ level, index, width }: TileAddress): boolean {
  return (level === 'entries' || level <= MAX_LEVEL) && Number.isSafeInteger(index) && width <= TILE_WIDTH;
}

/** Hashes that a level holds in a tree of `size` leaves. */
export function levelWidth(level: number, size: number): number {
  return Math.floor(size / TILE_WIDTH ** level);
}

/** The tile of a level as a tree of `size` leaves has it; undefined where it has none. */
export function tileAt(level: number | 'entries', index: number, size: number): TileAddress | undefined {
  const hashes = levelWidth(level === 'entries' ? 0 : level, size) - index * TILE_WIDTH;
  return hashes <= 0 ? undefined : { level, index, width: Math.min(hashes, TILE_WIDTH) };
}

/** Hash tiles of a tree of `size` that the tree of `oldSize` does not have, lowest level first. */
export function newTiles(oldSize: number, size: number): TileAddress[] {
  const tiles: TileAddress[] = [];
  for (let level = 0; levelWidth(level, size) > 0; level += 1) {
    const before = levelWidth(level, oldSize);
    if (levelWidth(level, size) === before) continue;
    for (let index = Math.floor(before / TILE_WIDTH); ; index += 1) {
      const tile = tileAt(level, index, size);
      if (tile === undefined) break;
      tiles.push(tile);
    }
  }
  return tiles;
}

/** Throws RangeError for a leaf that a bundle cannot hold. */
export function encodeBundle(leaves: readonly Uint8Array[]): Uint8Array {
  return concatBytes(
    leaves.flatMap((leaf) => {
      if (leaf.length > MAX_LEAF_BYTES) throw new RangeError('a leaf is longer than a bundle can hold');
      return [Uint8Array.of(leaf.length >> 8, leaf.length & 255), leaf];
    }),
  );
}

/** Undefined where the lengths do not add up; at most 256 leaves. */
export function decodeBundle(bytes: Uint8Array): Uint8Array[] | undefined {
  const leaves: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (at + 2 > bytes.length || leaves.length === TILE_WIDTH) return undefined;
    const end = at + 2 + (((bytes[at] as number) << 8) | (bytes[at + 1] as number));
    if (end > bytes.length) return undefined;
    leaves.push(bytes.subarray(at + 2, end));
    at = end;
  }
  return leaves;
}

/** Root over the hashes [from, to) of a tile; their number is any. */
export function tileRoot(tile: Uint8Array, span: LeafSpan, sha256: Sha256): Uint8Array {
  const { begin, end } = span;
  if (end - begin === 1) return tile.subarray(begin * HASH_BYTES, end * HASH_BYTES);
  const middle = begin + split(end - begin);
  const left = tileRoot(tile, { begin, end: middle }, sha256);
  return nodeHash(left, tileRoot(tile, { begin: middle, end }, sha256), sha256);
}

/** Bytes of a hash tile; rejects where there is none. What it answers is checked by the proof that is made of it. */
export type ReadTile = (tile: TileAddress) => Promise<Uint8Array>;

/** A tree of a fixed size behind its tiles: root and proofs, with O(log n) tiles read. */
export class TileTree {
  readonly size: number;
  readonly #read: ReadTile;
  readonly #sha256: Sha256;
  readonly #tiles = new Map<string, Promise<Uint8Array>>();

  constructor(size: number, read: ReadTile, sha256: Sha256) {
    this.size = size;
    this.#read = read;
    this.#sha256 = sha256;
  }

  async root(): Promise<Uint8Array> {
    return this.size === 0 ? emptyRoot(this.#sha256) : await this.#subtree({ begin: 0, end: this.size });
  }

  /** Lowest sibling first. Throws RangeError for a leaf outside the tree. */
  async inclusionProof(index: number): Promise<Uint8Array[]> {
    if (index < 0 || index >= this.size) throw new RangeError('the leaf is outside the tree');
    return await this.#subtrees(inclusionSpans(index, this.size));
  }

  /** Empty for an old size of 0 and of the tree itself. Throws RangeError for a larger one. */
  async consistencyProof(oldSize: number): Promise<Uint8Array[]> {
    if (oldSize > this.size) throw new RangeError('the old tree is the larger one');
    if (oldSize === 0 || oldSize === this.size) return [];
    return await this.#subtrees(consistencySpans(oldSize, this.size));
  }

  async #subtrees(spans: readonly LeafSpan[]): Promise<Uint8Array[]> {
    const hashes: Uint8Array[] = [];
    for (const span of spans) hashes.push(await this.#subtree(span));
    return hashes;
  }

  async #subtree({ begin, end }: LeafSpan): Promise<Uint8Array> {
    const leaves = end - begin;
    if (!Number.isInteger(Math.log2(leaves))) {
      const middle = begin + split(leaves);
      const left = await this.#subtree({ begin, end: middle });
      return nodeHash(left, await this.#subtree({ begin: middle, end }), this.#sha256);
    }
    const level = Math.floor(Math.log2(leaves) / 8);
    const first = begin / TILE_WIDTH ** level;
    const index = Math.floor(first / TILE_WIDTH);
    const tile = await this.#tile(level, index);
    const from = first % TILE_WIDTH;
    const span = { begin: from, end: from + leaves / TILE_WIDTH ** level };
    return tileRoot(tile, span, this.#sha256).slice();
  }

  #tile(level: number, index: number): Promise<Uint8Array> {
    const address = tileAt(level, index, this.size);
    if (address === undefined) throw new RangeError('no such tile');
    const path = tilePath(address);
    const known = this.#tiles.get(path);
    if (known !== undefined) return known;
    const tile = this.#load(address);
    this.#tiles.set(path, tile);
    return tile;
  }

  async #load(address: TileAddress): Promise<Uint8Array> {
    const bytes = await this.#read(address);
    if (bytes.length !== address.width * HASH_BYTES) throw new RangeError('a tile has another width');
    return bytes;
  }
}
