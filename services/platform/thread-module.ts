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
  const text = `${loading(loader)}; await import(${JSON.stringify(module.href)});`;
  return new URL(`data:text/javascript,${encodeURIComponent(text)}`);
}

function loading(loader: string): string {
  // By itself tsx hooks nothing in a thread.
  if (/(?:^|\/node_modules\/)tsx(?:\/|$)/.test(loader))
    return `import { register } from ${JSON.stringify(import.meta.resolve('tsx/esm/api'))}; register()`;
  const url = loader.startsWith('.') ? pathToFileURL(resolve(loader)).href : import.meta.resolve(loader);
  return `import ${JSON.stringify(url)}`;
}
