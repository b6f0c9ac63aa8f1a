/**
 * Builds what hosts get: the npm package (`services/capture/dist`, for `npm pack`) and the tap as one file with all it
 * needs (`dist/tap/tripline-tap.mjs`). Run by `npm run build:capture`.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { rolldown, type InputOptions, type OutputOptions } from 'rolldown';

const HERE = import.meta.dirname;
const ROOT = path.resolve(HERE, '../..');
/** Loaded only where an exporter is configured, and then from where the host has it; the others are extras of ws. */
const OPTIONAL = ['@opentelemetry/sdk-node', 'bufferutil', 'utf-8-validate'];
/** What package.json depends on; everything else that is used stands in the files. */
const DEPENDENCIES = ['@cfworker/json-schema', 'ws', 'yaml', 'zod'];
const TYPES = ['main.d.ts', 'public.d.ts', 'log.d.ts'];

async function bundle(input: InputOptions, output: OutputOptions): Promise<void> {
  const build = await rolldown({ platform: 'node', logLevel: 'warn', ...input });
  try {
    await build.write({ format: 'esm', ...output });
  } finally {
    await build.close();
  }
}

/** Writes the files of the npm package into `dir`, which is emptied first. */
export async function buildPackage(dir: string): Promise<void> {
  rmSync(dir, { recursive: true, force: true });
  await bundle(
    {
      input: { main: path.join(HERE, 'main.ts'), 'tripline-tap': path.join(HERE, 'bin/main.ts') },
      external: [...OPTIONAL, ...DEPENDENCIES],
    },
    { dir, entryFileNames: '[name].js', chunkFileNames: '[name].js' },
  );
  writeTypes(dir);
  copyFileSync(path.join(ROOT, 'LICENSE'), path.join(dir, 'LICENSE'));
}

/** Declarations of the entry and of the two files that it names: no type of a dependency stands in them. */
function writeTypes(dir: string): void {
  const out = mkdtempSync(path.join(tmpdir(), 'tripline-types-'));
  try {
    const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc');
    execFileSync(process.execPath, [tsc, '-p', path.join(HERE, 'tsconfig.types.json'), '--outDir', out], {
      stdio: 'inherit',
    });
    for (const file of TYPES) {
      const text = readFileSync(path.join(out, 'services/capture', file), 'utf8');
      writeFileSync(path.join(dir, file), text.replaceAll(/(from '\.\/[\w-]+)\.ts'/gu, "$1.js'"));
    }
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

/** Writes the tap as one executable file. */
export async function buildTap(file: string): Promise<void> {
  await bundle(
    { input: path.join(HERE, 'bin/main.ts'), external: OPTIONAL },
    { file, codeSplitting: false, minify: true },
  );
  chmodSync(file, 0o755);
}

if (import.meta.filename === process.argv[1]) {
  await buildPackage(path.join(HERE, 'dist'));
  await buildTap(path.join(ROOT, 'dist/tap/tripline-tap.mjs'));
}
