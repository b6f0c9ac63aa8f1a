/** The npm package of capture as `npm pack` makes it, built in a folder of its own. */
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { buildPackage } from '../../../services/capture/build.ts';
import { ROOT } from '../../support/mcp/host.ts';

export const run = promisify(execFile);
const SOURCE = path.join(ROOT, 'services/capture');

export interface Packed {
  /** Empty beside the folder of the package: a place for projects that use it. */
  readonly dir: string;
  readonly tarball: string;
  /** Bytes of the tarball. */
  readonly size: number;
  readonly files: readonly string[];
  remove(): void;
}

export async function pack(): Promise<Packed> {
  const dir = mkdtempSync(path.join(tmpdir(), 'tripline-pack-'));
  const source = path.join(dir, 'source');
  mkdirSync(source);
  for (const file of ['package.json', 'README.md', 'tripline-tap.js'])
    copyFileSync(path.join(SOURCE, file), path.join(source, file));
  await buildPackage(path.join(source, 'dist'));
  const words = ['pack', '--json', '--ignore-scripts', '--pack-destination', dir];
  const { stdout } = await run('npm', words, { cwd: source });
  const [made] = Object.values(JSON.parse(stdout) as Record<string, PackReport>);
  if (made === undefined) throw new Error('npm pack said nothing');
  return {
    dir,
    tarball: path.join(dir, made.filename),
    size: made.size,
    files: made.files.map((file) => file.path),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}

interface PackReport {
  readonly filename: string;
  readonly size: number;
  readonly files: readonly { readonly path: string }[];
}
