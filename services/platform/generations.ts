/**
 * Which files of an lmdb environment are in force, where they are renewed now and then: lmdb never gives a page back, so
 * that what was removed or written over stays in its free pages. The first files are the directory's own; each renewal writes into a directory below it
 * (`g1`, `g2`, …) and then names that in the file `current`, atomically.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { RootDatabase } from 'lmdb';
import { replaceDurably, syncPath } from './durable-files.ts';

const CURRENT = 'current';
const FIRST_FILES = ['data.mdb', 'lock.mdb'];
const GENERATION = /^g([1-9]\d{0,8})$/u;

/** Directory of the files in force. */
export function currentPath(dir: string): string {
  const name = currentName(dir);
  return name === undefined ? dir : join(dir, name);
}

function currentName(dir: string): string | undefined {
  const path = join(dir, CURRENT);
  if (!existsSync(path)) return undefined;
  const name = readFileSync(path, 'utf8').trim();
  return GENERATION.test(name) ? name : undefined;
}

/** A compacted copy of the environment in a directory of its own, durable; answers its name. Nothing may be written meanwhile. */
export async function writeCopy(dir: string, root: Pick<RootDatabase, 'backup'>): Promise<string> {
  const match = GENERATION.exec(currentName(dir) ?? '');
  const name = `g${Number(match?.[1] ?? 0) + 1}`;
  const path = join(dir, name);
  rmSync(path, { recursive: true, force: true });
  mkdirSync(path, { mode: 0o700 });
  await root.backup(path, true);
  syncPath(join(path, 'data.mdb'));
  syncPath(path);
  return name;
}

/** From here on `name` is in force, whatever happens. */
export function putCurrent(dir: string, name: string): void {
  replaceDurably(join(dir, CURRENT), `${name}\n`);
}

/** Deletes all files but those in force. */
export function removeOthers(dir: string): void {
  const current = currentName(dir);
  if (current !== undefined) for (const name of FIRST_FILES) rmSync(join(dir, name), { force: true });
  for (const name of readdirSync(dir))
    if (GENERATION.test(name) && name !== current) rmSync(join(dir, name), { recursive: true, force: true });
}
