/** Files that a command is given, in a folder of their own. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';

export interface Files {
  readonly directory: string;
  /** Writes one; answers its path. */
  readonly file: (name: string, text: string) => string;
}

/** Called in a suite: the folder goes after its tests. */
export function openFiles(): Files {
  const directory = mkdtempSync(path.join(tmpdir(), 'tripline-files-'));
  after(() => rmSync(directory, { recursive: true, force: true }));
  return {
    directory,
    file: (name, text) => {
      const at = path.join(directory, name);
      writeFileSync(at, text);
      return at;
    },
  };
}
