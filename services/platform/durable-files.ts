/** Small files of ours that must survive a crash: on disk when the call returns. */
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

const OWN = 0o600;

/** Writes a file of our own. A crash meanwhile leaves part of it. */
export function writeDurably(path: string, content: string | Uint8Array): void {
  writeFileSync(path, content, { mode: OWN, flush: true });
}

/** As a whole or not at all: a crash leaves the old file or the new one, and maybe `<path>.new`. */
export function replaceDurably(path: string, content: string | Uint8Array): void {
  writeDurably(`${path}.new`, content);
  renameSync(`${path}.new`, path);
  syncPath(dirname(path));
}

/** `flag` as of open(2): `wx` refuses a file that is there. */
export async function writeFlushed(
  path: string,
  content: string | Uint8Array,
  { mode = OWN, flag = 'w' }: { readonly mode?: number; readonly flag?: 'w' | 'wx' } = {},
): Promise<void> {
  await writeFile(path, content, { mode, flag, flush: true });
}

/** fsync of a file or directory: names in a directory are on disk only then. */
export function syncPath(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
