/** How tests start programs that are sources. */
import { join } from 'node:path';

/** Before the file: `spawn(process.execPath, [...LOADER, file])`. By its path, since a child may stand elsewhere. */
export const LOADER: readonly string[] = ['--import', join(import.meta.dirname, 'loader.js')];
