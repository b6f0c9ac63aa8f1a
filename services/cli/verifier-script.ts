/** What a thread of the verifier runs (verifier/workers.ts). */

/** The verifier's program; as a source it is run by tsx, whose hooks a thread does not inherit. */
export function verifierScript(): URL {
  if (import.meta.filename.endsWith('.js')) return new URL('../verifier/main.js', import.meta.url);
  const tsx = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  const program = JSON.stringify(new URL('../verifier/main.ts', import.meta.url).href);
  const text = `import { register } from ${tsx}; register(); await import(${program});`;
  return new URL(`data:text/javascript,${encodeURIComponent(text)}`);
}
