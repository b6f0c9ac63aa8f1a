/** Directories are made or refused; nothing waits for ever on a file system that says no in its own way. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { describe, it } from 'node:test';
import { makeDirectory } from '../../../services/platform/directory.ts';
import { LOADER } from '../../support/sources/words.ts';

describe('a directory', () => {
  it('is made with those above it, for its owner alone; one that is there stays', (context) => {
    const root = mkdtempSync(join(tmpdir(), 'tripline-directory-'));
    context.after(() => rmSync(root, { recursive: true }));
    const deep = join(root, 'a', 'b', 'c');
    makeDirectory(deep);
    makeDirectory(deep);
    makeDirectory(relative(process.cwd(), join(root, 'd', 'e')));
    for (const path of [deep, join(root, 'a'), join(root, 'd', 'e')])
      assert.equal(statSync(path).mode & 0o777, 0o700, path);
  });

  it('is refused below a file and in the place of one', (context) => {
    const root = mkdtempSync(join(tmpdir(), 'tripline-directory-'));
    context.after(() => rmSync(root, { recursive: true }));
    const file = join(root, 'file');
    writeFileSync(file, '');
    assert.throws(() => makeDirectory(join(file, 'x', 'y')), { code: 'ENOTDIR' });
    assert.throws(() => makeDirectory(file), { code: 'EEXIST' });
  });

  // In a process of its own: what is looked for never comes back, and holds no signal either.
  it('is refused in /proc, at once', { skip: !existsSync('/proc/self') }, () => {
    const module = JSON.stringify(new URL('../../../services/platform/directory.ts', import.meta.url).href);
    const script = `const { makeDirectory } = await import(${module}); try { makeDirectory('/proc/x/y'); } catch (error) { console.log(error.code); }`;
    const words = [...LOADER, '--input-type=module', '--eval', script];
    const { stdout } = spawnSync(process.execPath, words, { timeout: 20_000, killSignal: 'SIGKILL' });
    assert.equal(stdout.toString().trim(), 'ENOENT');
  });
});
