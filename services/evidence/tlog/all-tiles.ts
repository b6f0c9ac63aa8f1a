/** All tiles of a log of few leaves, as the tlog-tiles layout has them. */
import { concatBytes, type Sha256 } from '../bytes.ts';
import { leafHash } from '../merkle.ts';
import { encodeBundle, levelWidth, newTiles, TILE_WIDTH, tileAt, tilePath, tileRoot } from './tiles.ts';

/** About 100 bytes a leaf beside the leaves themselves. */
export class RootTiles {
  readonly #sha256: Sha256;
  readonly #leaves: Uint8Array[] = [];

  constructor(sha256: Sha256) {
    this.#sha256 = sha256;
  }

  append(leaf: Uint8Array): void {
    this.#leaves.push(leaf);
  }

  /** Path and bytes of each bundle and tile. */
  *files(): Generator<[string, Uint8Array]> {
    const size = this.#leaves.length;
    for (let index = 0; ; index += 1) {
      const tile = tileAt('entries', index, size);
      if (tile === undefined) break;
      const first = index * TILE_WIDTH;
      yield [tilePath(tile), encodeBundle(this.#leaves.slice(first, first + tile.width))];
    }
    const levels = this.#levels();
    for (const tile of newTiles(0, size)) {
      const hashes = levels[tile.level as number] ?? [];
      const first = tile.index * TILE_WIDTH;
      yield [tilePath(tile), concatBytes(hashes.slice(first, first + tile.width))];
    }
  }

  /** Hashes of each level: a hash above the leaves is the root of a full tile below. */
  #levels(): Uint8Array[][] {
    const levels = [this.#leaves.map((leaf) => leafHash(leaf, this.#sha256))];
    for (let level = 1; levelWidth(level, this.#leaves.length) > 0; level += 1) {
      const below = levels[level - 1] ?? [];
      const hashes = Array.from({ length: levelWidth(level, this.#leaves.length) }, (_, at) => {
        const tile = concatBytes(below.slice(at * TILE_WIDTH, (at + 1) * TILE_WIDTH));
        return tileRoot(tile, { begin: 0, end: TILE_WIDTH }, this.#sha256);
      });
      levels.push(hashes);
    }
    return levels;
  }
}
