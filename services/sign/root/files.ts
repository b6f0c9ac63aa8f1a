/**
 * Files of the root log: each appears whole or not at all (written beside, flushed, renamed, directory flushed), and what
 * a write resolves for is on disk.
 */
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { TILE_WIDTH, tilePath, type TileAddress } from '../../evidence/tlog/tiles.ts';
import { writeFlushed } from '../../platform/durable-files.ts';

export interface RootFiles {
  read(name: string): Promise<Uint8Array | undefined>;
  /** Durable when it resolves; a rejection leaves the old file or the new one. */
  write(name: string, bytes: Uint8Array): Promise<void>;
  /** Partial tiles of a tile that is there in full. */
  removePartials(tile: TileAddress): Promise<void>;
}

const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');

/** Files below `dir`; names are ours, never anybody's input. One writer at a time. */
export function diskFiles(dir: string): RootFiles {
  const known = new Set<string>();
  return {
    async read(name) {
      try {
        return new Uint8Array(await readFile(path.join(dir, name)));
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },
    async write(name, bytes) {
      const file = path.join(dir, name);
      const folder = path.dirname(file);
      await makeFolder(dir, folder, known);
      const temporary = `${file}.new`;
      await writeFlushed(temporary, bytes);
      await rename(temporary, file);
      await syncFolder(folder);
    },
    async removePartials(tile) {
      await rm(path.join(dir, `${tilePath({ ...tile, width: TILE_WIDTH })}.p`), {
        recursive: true,
        force: true,
      });
    },
  };
}

/** A new directory is durable only when its parents are flushed. */
async function makeFolder(root: string, folder: string, known: Set<string>): Promise<void> {
  if (known.has(folder)) return;
  await mkdir(folder, { recursive: true, mode: 0o700 });
  for (let at = folder; at.length >= root.length; at = path.dirname(at)) await syncFolder(path.dirname(at));
  // Partial tiles have a folder of their own that goes again.
  if (!folder.endsWith('.p')) known.add(folder);
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
