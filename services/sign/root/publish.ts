/**
 * Brings tiles and checkpoint up to the root log's state: bundles of leaves, hash tiles, then the checkpoint, each
 * durable before the next. Every file follows from the state, so a publication that was cut short is just done again.
 */
import { TriplineError } from '../../../schemas/errors.ts';
import { concatBytes, HASH_BYTES, toHex, utf8, type Sha256 } from '../../evidence/bytes.ts';
import { leafHash } from '../../evidence/merkle.ts';
import {
  decodeBundle,
  encodeBundle,
  levelWidth,
  newTiles,
  TILE_WIDTH,
  tileAt,
  tilePath,
  tileRoot,
  TileTree,
  type TileAddress,
} from '../../evidence/tlog/tiles.ts';
import type { RootFiles } from './files.ts';

export interface Publication {
  /** Size up to which everything is on disk. */
  readonly from: number;
  readonly size: number;
  /** Hex. */
  readonly root: string;
  /** Leaves from the start of the tile that holds `from` on. */
  readonly leaves: readonly Uint8Array[];
  /** A signed note. */
  readonly checkpoint: string;
}

export const CHECKPOINT_FILE = 'checkpoint';

/** Throws root_log_diverges, before the checkpoint is written, where the tiles on disk do not lead to the signed root. */
export async function publish(files: RootFiles, publication: Publication, sha256: Sha256): Promise<void> {
  const { from, size, root, checkpoint } = publication;
  await writeBundles(files, publication);
  await writeTiles(files, publication, sha256);
  const tree = new TileTree(size, (tile) => needTile(files, tile), sha256);
  const found = await tree.root().catch((cause: unknown) => diverges('its tiles cannot be read', cause));
  if (toHex(found) !== root) diverges('its tiles have another root');
  await files.write(CHECKPOINT_FILE, utf8(checkpoint));
  await removeOldPartials(files, from, size);
}

export function diverges(message: string, cause?: unknown): never {
  throw new TriplineError('root_log_diverges', `the root log on disk: ${message}`, { cause });
}

const firstTile = (size: number): number => Math.floor(size / TILE_WIDTH);

async function writeBundles(files: RootFiles, { from, size, leaves }: Publication): Promise<void> {
  const begin = firstTile(from) * TILE_WIDTH;
  if (leaves.length !== size - begin) diverges('leaves are missing');
  for (let index = firstTile(from); ; index += 1) {
    const tile = tileAt('entries', index, size);
    if (tile === undefined) return;
    const first = index * TILE_WIDTH - begin;
    await files.write(tilePath(tile), encodeBundle(leaves.slice(first, first + tile.width)));
  }
}

/** Level by level: above the leaves, a hash is the root of the full tile below it, which is on disk by then. */
async function writeTiles(files: RootFiles, publication: Publication, sha256: Sha256): Promise<void> {
  const { from, size, leaves } = publication;
  for (const tile of newTiles(from, size)) {
    const level = tile.level as number;
    const first = tile.index * TILE_WIDTH;
    const known = Math.max(0, Math.min(levelWidth(level, from) - first, TILE_WIDTH));
    const parts: Uint8Array[] = [];
    if (level > 0 && known > 0) parts.push(await needTile(files, { ...tile, width: known }));
    const begin = firstTile(from) * TILE_WIDTH;
    for (let at = level === 0 ? first : first + known; at < first + tile.width; at += 1) {
      parts.push(
        level === 0
          ? leafHash(leaves[at - begin] as Uint8Array, sha256)
          : tileRoot(
              await needTile(files, { level: level - 1, index: at, width: TILE_WIDTH }),
              { begin: 0, end: TILE_WIDTH },
              sha256,
            ),
      );
    }
    await files.write(tilePath(tile), concatBytes(parts));
  }
}

async function removeOldPartials(files: RootFiles, from: number, size: number): Promise<void> {
  for (const tile of newTiles(from, size)) {
    if (tile.width === TILE_WIDTH) await files.removePartials(tile);
  }
  for (let index = firstTile(from); index < firstTile(size); index += 1) {
    await files.removePartials({ level: 'entries', index, width: TILE_WIDTH });
  }
}

async function needTile(files: RootFiles, tile: TileAddress): Promise<Uint8Array> {
  return (await readTile(files, tile)) ?? diverges(`${tilePath(tile)} is missing`);
}

/** A tile as it was when it had that width; undefined where it never had. A full tile stands for all that it once was. */
export async function readTile(files: RootFiles, tile: TileAddress): Promise<Uint8Array | undefined> {
  const exact = await files.read(tilePath(tile));
  if (exact !== undefined || tile.width === TILE_WIDTH) return exact;
  const full = await files.read(tilePath({ ...tile, width: TILE_WIDTH }));
  return full === undefined ? undefined : cutTile(full, tile);
}

function cutTile(full: Uint8Array, { level, width }: TileAddress): Uint8Array | undefined {
  if (level !== 'entries') return full.slice(0, width * HASH_BYTES);
  const leaves = decodeBundle(full);
  return leaves === undefined ? undefined : encodeBundle(leaves.slice(0, width));
}
