/**
 * Brings PyPI's `mcp` in an exact version into a virtual environment in .cache/python; it is no dependency of the
 * project. Done once, then from the cache: `node --import tsx test/support/python/install.ts`.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const VERSION = '2.3.0';
const INSTALL_TIMEOUT_MS = 240_000;
const CACHE_DIR = path.resolve(import.meta.dirname, '../../../.cache/python');
const HOME = path.join(CACHE_DIR, `mcp-${VERSION}`);
const READY = path.join(HOME, 'ready');

export type PythonInstall =
  { readonly kind: 'ready'; readonly python: string } | { readonly kind: 'absent'; readonly reason: string };

/** The Python that has `mcp`, installed when it is not there yet. Never throws: the suite says why it cannot run. */
export async function pythonInstall(): Promise<PythonInstall> {
  if (process.platform === 'win32') return { kind: 'absent', reason: 'the layout of POSIX venvs is needed' };
  try {
    if (!existsSync(READY)) await install();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { kind: 'absent', reason: `python3 or pip could not install mcp: ${text.slice(0, 400)}` };
  }
  return { kind: 'ready', python: path.join(HOME, 'bin/python') };
}

/** A venv cannot be moved, so a file says when it is whole. */
async function install(): Promise<void> {
  await rm(HOME, { recursive: true, force: true });
  await mkdir(CACHE_DIR, { recursive: true });
  const options = { timeout: INSTALL_TIMEOUT_MS, maxBuffer: 16 * 1024 * 1024 };
  await run('python3', ['-m', 'venv', HOME], options);
  const words = ['install', '--quiet', '--disable-pip-version-check', `mcp==${VERSION}`];
  await run(path.join(HOME, 'bin/pip'), words, options);
  await writeFile(`${READY}.part`, '');
  await rename(`${READY}.part`, READY);
}

if (import.meta.filename === process.argv[1]) {
  const installed = await pythonInstall();
  process.stdout.write(`${JSON.stringify(installed)}\n`);
  process.exitCode = installed.kind === 'ready' ? 0 : 1;
}
