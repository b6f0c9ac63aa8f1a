/** Starts the ClickHouse-HTTP front as a process of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { LOADER } from '../sources/words.ts';

export interface ClickHouseHttp {
  readonly url: string;
  readonly pid: number;
  /** Resets the connection of the next INSERT before or after it ran. */
  fault(when: 'before' | 'after'): Promise<void>;
  stop(): Promise<void>;
  /** kill -9. The directory can be opened again afterwards. */
  kill(): Promise<void>;
}

/** Ready when it answers. `dir` must exist and be nobody else's. */
export async function startClickHouseHttp(options: { dir: string; port?: number }): Promise<ClickHouseHttp> {
  const front = join(import.meta.dirname, 'front.ts');
  const child = spawn(process.execPath, [...LOADER, front, options.dir, String(options.port ?? 0)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const lines = createInterface({ input: child.stdout });
  const first = await Promise.race([once(lines, 'line'), exited.then(() => undefined)]);
  if (first === undefined || child.pid === undefined) throw new Error('the front did not start');
  const url = `http://127.0.0.1:${String(first[0])}`;
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await exited;
  };
  return {
    url,
    pid: child.pid,
    fault: async (when) => void (await fetch(`${url}/fault?when=${when}`, { method: 'POST' })),
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
  };
}
