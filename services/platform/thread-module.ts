/** What a thread of this program runs. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * The module, where it is compiled. A source needs the loader that this process was started with (its first `--import`):
 * what a loader hooks in Node 20 is not inherited by threads.
 */
export function threadModule(module: URL): URL {
  const at = process.execArgv.indexOf('--import') + 1;
  const loader = at > 0 ? process.execArgv[at] : undefined;
  if (!module.pathname.endsWith('.ts') || loader === undefined) return module;
  const url = loader.startsWith('.') ? pathToFileURL(resolve(loader)).href : import.meta.resolve(loader);
  const text = `await import(${JSON.stringify(url)}); await import(${JSON.stringify(module.href)});`;
  return new URL(`data:text/javascript,${encodeURIComponent(text)}`);
}
