/** The demo's child processes: the service and the agents. Each is ended by its own handle. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

type Item = Readonly<Record<string, unknown>>;

export interface JsonProcess {
  readonly child: ChildProcess;
  /** The next object that `wanted` takes; rejects when the process ends first. */
  next(wanted: (item: Item) => boolean): Promise<Item>;
  send(line: string): void;
  readonly ended: Promise<number | null>;
}

/** Starts a process that prints one JSON object a line; nothing it prints is lost between calls of next(). */
export function startJsonProcess(command: readonly string[], env: NodeJS.ProcessEnv): JsonProcess {
  const [file, ...args] = command;
  if (file === undefined || file === '') throw new RangeError('a command is needed');
  const child = spawn(file, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const seen: Item[] = [];
  const waiters = new Set<() => void>();
  const wake = (): void => waiters.forEach((waiter) => waiter());
  let over = false;
  const ended = new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(1));
    child.once('close', (code) => resolve(code));
  });
  child.once('close', () => {
    over = true;
    wake();
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith('{')) seen.push(JSON.parse(line) as Item);
    wake();
  });
  const next = (wanted: (item: Item) => boolean): Promise<Item> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const index = seen.findIndex(wanted);
        if (index >= 0) resolve(seen.splice(0, index + 1).at(-1) ?? {});
        else if (over) reject(new Error(`${file} ${args[0] ?? ''} ended before it said what was waited for`));
        else return;
        waiters.delete(look);
      };
      waiters.add(look);
      look();
    });
  return { child, next, ended, send: (line) => void child.stdin?.write(`${line}\n`) };
}
