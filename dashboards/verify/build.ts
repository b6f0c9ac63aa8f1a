/**
 * Builds the page as one file that opens from a disk as well as from a server: script and style stand inside, named by
 * their hashes in the page's own policy, which allows nothing else. `node --import tsx dashboards/verify/build.ts [FILE]`.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { build } from 'vite';

const HERE = import.meta.dirname;
const TOKENS = join(HERE, '../console/src/styles/tokens.css');
const DEFAULT_FILE = join(HERE, '../../dist/console/verify.html');

/** A classic script: modules do not load from a disk. */
async function scriptOf(): Promise<string> {
  const built = await build({
    root: HERE,
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      target: 'es2022',
      lib: { entry: join(HERE, 'src/main.ts'), formats: ['iife'], name: 'triplineVerify' },
    },
  });
  const [outcome] = Array.isArray(built) ? built : [built];
  if (outcome === undefined || !('output' in outcome)) throw new Error('nothing was built');
  const [chunk] = outcome.output;
  // No text of the script may end its element.
  return chunk.code.replaceAll('</script', String.raw`<\/script`).replaceAll('<!--', String.raw`<\!--`);
}

const hashOf = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

export async function buildPage(file: string): Promise<void> {
  const script = await scriptOf();
  const style = `${readFileSync(TOKENS, 'utf8')}${readFileSync(join(HERE, 'src/verify.css'), 'utf8')}`;
  const policy = [
    "default-src 'none'",
    `script-src ${hashOf(script)}`,
    `style-src ${hashOf(style)}`,
    'img-src data:',
    "connect-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  // Functions: a text that is put in is never read as a pattern.
  const page = readFileSync(join(HERE, 'index.html'), 'utf8')
    .replace('{{policy}}', () => policy)
    .replace('<!-- style -->', () => `<style>${style}</style>`)
    .replace('<!-- script -->', () => `<script>${script}</script>`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, page);
}

if (import.meta.filename === process.argv[1]) await buildPage(resolve(process.argv[2] ?? DEFAULT_FILE));
