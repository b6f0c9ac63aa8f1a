/** What a thread of the verifier runs (verifier/workers.ts). */
import path from 'node:path';
import { threadModule } from '../platform/thread-module.ts';

/** The verifier's program, compiled as this file is. */
export function verifierScript(): URL {
  const file = `../verifier/main${path.extname(import.meta.filename)}`;
  return threadModule(new URL(file, import.meta.url));
}
