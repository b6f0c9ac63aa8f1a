/** Directories whose path somebody gave. */
import { mkdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

const OWN = 0o700;

/**
 * Makes it, and those above it, for the owner alone. Throws the error of mkdir(2). Node's own `recursive` never ends where
 * a file system answers ENOENT below a directory that is there, as /proc does (seen on Node 20).
 */
export function makeDirectory(path: string, mode = OWN): void {
  if (isThere(path)) return;
  const above = dirname(resolve(path));
  if (!isThere(above)) makeDirectory(above, mode);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    // Somebody else was first.
    if (!isThere(path)) throw error;
  }
}

/** The root is, so that going up ends. */
function isThere(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
