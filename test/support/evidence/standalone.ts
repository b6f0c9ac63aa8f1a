/** The verifier in one file, built as the package ships it. */
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'vite';

const ROOT = join(import.meta.dirname, '../../../services/verifier');

/** Builds below `dir`; answers the program, alone in a folder of its own. */
export async function buildStandalone(dir: string): Promise<string> {
  const outDir = join(dir, 'built');
  await build({ root: ROOT, logLevel: 'error', build: { outDir, emptyOutDir: true } });
  const program = join(dir, 'empty', 'tripline-verify.mjs');
  mkdirSync(join(dir, 'empty'));
  cpSync(join(outDir, 'tripline-verify.mjs'), program);
  return program;
}
