/** Starts a thread of this program, compiled or run from its sources. */
import { Worker } from 'node:worker_threads';

/** Of sources, the thread needs the loader that this one was started with, which Node 20 does not hand down. */
export function startThread(module: URL, workerData: unknown): Worker {
  if (!module.pathname.endsWith('.ts')) return new Worker(module, { workerData });
  const loader = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  const run = `import(${loader}).then(({ register }) => { register(); return import(${JSON.stringify(module.href)}); })`;
  return new Worker(run, { eval: true, workerData });
}
