/**
 * Copies the root log to a second place that is written once (a WORM folder, a mounted bucket): tiles, and every
 * checkpoint that was worth keeping under its size. What is there already is never written again, and must be the same.
 */
import { equalBytes, utf8 } from '../../evidence/bytes.ts';
import { parseCheckpoint, parseSize } from '../../evidence/tlog/checkpoint.ts';
import { newTiles, TILE_WIDTH, tileAt, tilePath, type TileAddress } from '../../evidence/tlog/tiles.ts';
import { STAMP_PARTS, STAMP_SIZES_FILE, stampPath } from '../../platform/ledger/root-source.ts';
import type { RootFiles } from './files.ts';
import { CHECKPOINT_FILE, diverges, readTile } from './publish.ts';

/** `checkpoints/<size>`, so that a list in order of names is one in order of time. */
export function keptCheckpoint(size: number): string {
  return `checkpoints/${String(size).padStart(16, '0')}`;
}

/**
 * Copies everything up to `checkpoint` (a signed note) and answers its size. Throws root_log_diverges where the copy holds
 * other bytes. Cut off anywhere, the next call goes on: the copy's own checkpoint comes last.
 */
export async function copyRoot(from: RootFiles, to: RootFiles, checkpoint: string): Promise<number> {
  const size = sizeOf(checkpoint);
  const latest = await to.read(CHECKPOINT_FILE);
  const copied = latest === undefined ? 0 : sizeOf(Buffer.from(latest).toString());
  if (copied > size) diverges('the copy is ahead of it');
  if (latest !== undefined && copied === size) {
    if (!sameText(latest, utf8(checkpoint))) diverges('the copy has another checkpoint of its size');
    // A stamp comes after its checkpoint, which may be the newest for long.
    await copyStamps(from, to);
    return size;
  }
  for (const tile of [...newBundles(copied, size), ...newTiles(copied, size)]) {
    const bytes = (await readTile(from, tile)) ?? diverges(`${tilePath(tile)} is missing`);
    await writeOnce(to, tilePath(tile), bytes);
  }
  await writeOnce(to, keptCheckpoint(size), utf8(checkpoint));
  await copyStamps(from, to);
  await to.write(CHECKPOINT_FILE, utf8(checkpoint));
  return size;
}

/** Time stamps of checkpoints; the list of them last, so that what it names is there. */
async function copyStamps(from: RootFiles, to: RootFiles): Promise<void> {
  const list = await from.read(STAMP_SIZES_FILE);
  if (list === undefined) return;
  const copied = sizesOf((await to.read(STAMP_SIZES_FILE)) ?? new Uint8Array(0));
  const sizes = sizesOf(list).filter((size) => size > (copied.at(-1) ?? 0));
  if (sizes.length === 0) return;
  for (const size of sizes)
    for (const part of STAMP_PARTS) {
      const bytes = await from.read(stampPath(size, part));
      if (bytes !== undefined) await writeOnce(to, stampPath(size, part), bytes);
    }
  await to.write(STAMP_SIZES_FILE, list);
}

const sizesOf = (list: Uint8Array): number[] =>
  Buffer.from(list)
    .toString()
    .split('\n')
    .flatMap((text) => parseSize(text) ?? []);

const sizeOf = (checkpoint: string): number => parseCheckpoint(checkpoint)?.size ?? 0;

function newBundles(copied: number, size: number): TileAddress[] {
  const bundles: TileAddress[] = [];
  for (let index = Math.floor(copied / TILE_WIDTH); ; index += 1) {
    const tile = tileAt('entries', index, size);
    if (tile === undefined) return bundles;
    bundles.push(tile);
  }
}

async function writeOnce(to: RootFiles, name: string, bytes: Uint8Array): Promise<void> {
  const there = await to.read(name);
  if (there === undefined) await to.write(name, bytes);
  else if (!equalBytes(there, bytes)) {
    // Cosignatures of the same checkpoint may have come in another order after a crash.
    if (!sameText(there, bytes)) diverges(`the copy has another ${name}`);
  }
}

function sameText(a: Uint8Array, b: Uint8Array): boolean {
  const [one, other] = [a, b].map((bytes) => parseCheckpoint(Buffer.from(bytes).toString()));
  return one !== undefined && one.note.text === other?.note.text;
}
