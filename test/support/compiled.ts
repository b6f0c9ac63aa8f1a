/**
 * A program of the tests as plain JavaScript, for tests that start it hundreds of times: compiling it while it loads is
 * most of what a short life would cost.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');

/** Compiles a source file of the project, with all that it imports, below `dir`; answers the file to run. */
export function compiledBelow(dir: string, source: string): string {
  const outDir = join(dir, 'compiled');
  mkdirSync(outDir, { recursive: true });
  const config = join(dir, 'tsconfig.json');
  const compilerOptions = {
    // Types are checked with the whole project.
    noCheck: true,
    noEmit: false,
    sourceMap: false,
    rootDir: ROOT,
    outDir,
    typeRoots: [join(ROOT, 'node_modules/@types')],
  };
  writeFileSync(
    config,
    JSON.stringify({ extends: join(ROOT, 'tsconfig.json'), compilerOptions, include: [], files: [source] }),
  );
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, '-p', config], { encoding: 'utf8' });
  assert.equal(status, 0, stdout + stderr);
  writeFileSync(join(outDir, 'package.json'), '{"type":"module"}');
  symlinkSync(join(ROOT, 'node_modules'), join(outDir, 'node_modules'));
  return join(outDir, relative(ROOT, source).replace(/\.ts$/, '.js'));
}
