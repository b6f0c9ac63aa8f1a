/** What a thread of this program runs. */

/** The module, where it is compiled; a source is run by tsx, whose hooks a thread of Node 20 does not inherit. */
export function threadModule(module: URL): URL {
  if (!module.pathname.endsWith('.ts')) return module;
  const tsx = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  const text = `import { register } from ${tsx}; register(); await import(${JSON.stringify(module.href)});`;
  return new URL(`data:text/javascript,${encodeURIComponent(text)}`);
}
