/** The loader's hook: sources of this project as JavaScript, kept in .cache/sources until their text changes. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = resolve(import.meta.dirname, '../../..');
const KEPT_DIR = join(ROOT, '.cache/sources');
const MARK = '\n//#';
/** Another compiler or another form of what is kept begins anew. */
const FORM = createHash('sha256')
  .update(readFileSync(import.meta.filename))
  .update(readFileSync(join(ROOT, 'node_modules/rolldown/package.json')))
  .digest('hex');

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
