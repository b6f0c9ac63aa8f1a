/** The loader's hooks: sources of this project as JavaScript, kept in .cache/sources until their text changes. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(import.meta.dirname, '../../..');
const SEEDED = new URL('../seed.ts', import.meta.url).href;
const KEPT_DIR = join(ROOT, '.cache/sources');
const MARK = '\n//#';
/** Another compiler or another form of what is kept begins anew. */
const FORM = createHash('sha256')
  .update(readFileSync(import.meta.filename))
  .update(readFileSync(join(ROOT, 'node_modules/rolldown/package.json')))
  .digest('hex');

/**
 * Properties have their seed wherever they stand, and a program without any does not load fast-check for it.
 * @type {import('node:module').ResolveHook}
 */
export async function resolve(specifier, context, nextResolve) {
  if (specifier !== 'fast-check' || context.parentURL === SEEDED) return nextResolve(specifier, context);
  return { url: SEEDED, format: 'module', shortCircuit: true };
}

/** @type {import('node:module').LoadHook} */
export async function load(url, context, nextLoad) {
  if (!/\.tsx?$/.test(url) || !url.startsWith('file:')) return nextLoad(url, context);
  return { format: 'module', shortCircuit: true, source: await javascript(fileURLToPath(url)) };
}

/** @param {string} path */
async function javascript(path) {
  const text = readFileSync(path, 'utf8');
  const mark = MARK + createHash('sha256').update(FORM).update(text).digest('hex');
  const within = relative(ROOT, path);
  const keptPath = join(KEPT_DIR, `${within}.js`);
  const kept = within.startsWith('..') ? undefined : textOf(keptPath);
  if (kept?.endsWith(mark)) return kept;
  const compiled = (await compiledText(path, text)) + mark;
  if (!within.startsWith('..')) keep(keptPath, compiled);
  return compiled;
}

/** @param {string} path */
function textOf(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * Types are checked with the whole project.
 * @param {string} path
 * @param {string} text
 */
async function compiledText(path, text) {
  const { transform } = await import('rolldown/utils');
  const { code, map, errors } = await transform(path, text, {
    target: 'node20',
    sourcemap: true,
    typescript: { onlyRemoveTypeImports: true },
  });
  if (errors.length > 0) throw new SyntaxError(errors.map(({ message }) => `${path}: ${message}`).join('\n'));
  // The text of the source is at hand in its file.
  const places = Buffer.from(JSON.stringify({ ...map, sources: [path], sourcesContent: undefined }));
  return `${code}\n//# sourceMappingURL=data:application/json;base64,${places.toString('base64')}`;
}

/**
 * Several processes may compile the same file at once: each puts its own in place, whole.
 * @param {string} path
 * @param {string} text
 */
function keep(path, text) {
  mkdirSync(dirname(path), { recursive: true });
  const own = `${path}.${randomUUID()}`;
  writeFileSync(own, text);
  renameSync(own, path);
}
