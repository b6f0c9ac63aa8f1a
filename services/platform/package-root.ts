/** Files that ship beside the code (migrations, rules, the console), from sources and from dist alike. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

let found: string | undefined;

/** Absolute path of the package: the nearest folder above this file whose package.json is named tripline. */
export function packageRoot(): string {
  found ??= findRoot(import.meta.dirname);
  return found;
}

/** As package.json has it. */
export function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
    readonly version: string;
  };
  return manifest.version;
}

function findRoot(from: string): string {
  for (let dir = from; ; dir = dirname(dir)) {
    const manifest = join(dir, 'package.json');
    if (
      existsSync(manifest) &&
      (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: unknown }).name === 'tripline'
    )
      return dir;
    if (dirname(dir) === dir) throw new Error('the tripline package was not found above its own code');
  }
}
