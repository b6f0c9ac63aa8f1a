/** The command as a process of its own: `up` until it is stopped or killed, other commands until they end. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { LOADER } from '../sources/words.ts';

const ROOT = join(import.meta.dirname, '../../..');
const COMMAND = [...LOADER, join(ROOT, 'services/cli/main.ts')];
const READY_WITHIN_MS = 120_000;
const STOP_WITHIN_MS = 60_000;
const COMMAND_WITHIN_MS = 240_000;

type Environment = Readonly<Record<string, string>>;

/** Nothing of whoever runs the test steers what is tested. */
function environment(more: Environment): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('TRIPLINE_') && !name.startsWith('OTEL_'),
  );
  return { ...Object.fromEntries(own), ...more };
}

export interface Tripline {
  readonly pid: number;
  /** Where it listens. Rejects when the process ends before it is ready. */
  readonly url: Promise<string>;
  readonly exited: Promise<number | null>;
  running(): boolean;
  /** SIGKILL; resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGTERM; answers the exit code. */
  stop(): Promise<number | null>;
}

export interface UpOptions {
  readonly dataDir: string;
  readonly port?: number;
  readonly steps?: string;
  readonly configFile?: string;
  readonly env?: Environment;
  /** Standard error goes here, beside `note`s of the test. */
  readonly logFile: string;
}

const alive = new Set<Tripline>();

/** Kills whatever a failed test left running. */
export async function killAll(): Promise<void> {
  await Promise.all([...alive].map((service) => service.kill()));
}

/** Last lines of a log, for the message of a failed assertion. */
export function lastLines(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(-30).join('\n') : '';
}

/** Starts `tripline up`. It does not outlive the test. */
export function up(options: UpOptions): Tripline {
  const args = ['up', '--json', '--data', options.dataDir, '--port', String(options.port ?? 0)];
  if (options.steps !== undefined) args.push('--steps', options.steps);
  if (options.configFile !== undefined) args.push('--config', options.configFile);
  const child = spawn(process.execPath, [...COMMAND, ...args], {
    cwd: ROOT,
    // A service at a chosen port would also take the well-known one of OTLP.
    env: environment({ TRIPLINE_OTLP_PORT: '0', ...options.env }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (child.pid === undefined) throw new Error('no process');
  child.stderr.on('data', (chunk: Buffer) => appendFileSync(options.logFile, chunk));
  const endWithUs = (): void => void child.kill('SIGKILL');
  process.once('exit', endWithUs);
  const exited = once(child, 'exit').then(([code]) => {
    process.removeListener('exit', endWithUs);
    return code as number | null;
  });
  const url = readyUrl(child, exited, options.logFile);
  url.catch(() => undefined); // Whoever asks for it hears of it.
  const service: Tripline = { pid: child.pid, url, exited, ...control(child, exited) };
  alive.add(service);
  void exited.then(() => alive.delete(service));
  return service;
}

async function readyUrl(child: ChildProcess, exited: Promise<unknown>, logFile: string): Promise<string> {
  if (child.stdout === null) throw new Error('no output');
  const lines = createInterface({ input: child.stdout });
  const first = once(lines, 'line').then(([line]) => String(line));
  const timeout = new AbortController();
  const late = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => reject(new Error('up is not ready in time')), READY_WITHIN_MS);
    timeout.signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  });
  try {
    const gone = exited.then(() => {
      throw new Error(`up ended before it was ready:\n${lastLines(logFile)}`);
    });
    const line = await Promise.race([first, gone, late]);
    return (JSON.parse(line) as { url: string }).url;
  } finally {
    timeout.abort();
  }
}

function control(
  child: ChildProcess,
  exited: Promise<number | null>,
): Pick<Tripline, 'kill' | 'running' | 'stop'> {
  const running = (): boolean => child.exitCode === null && child.signalCode === null;
  return {
    running,
    kill: async () => {
      if (running()) child.kill('SIGKILL');
      await exited;
    },
    stop: async () => {
      if (running()) child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
      const code = await exited;
      clearTimeout(timer);
      return code;
    },
  };
}

export interface Ended {
  readonly code: number | null;
  /** One object a line of standard output. */
  readonly items: readonly Readonly<Record<string, unknown>>[];
  readonly stderr: string;
}

/** Runs a command to its end, with --json. */
export async function tripline(args: readonly string[], env: Environment): Promise<Ended> {
  const child = spawn(process.execPath, [...COMMAND, ...args, '--json'], {
    cwd: ROOT,
    env: environment(env),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const parts: Record<'stderr' | 'stdout', string[]> = { stdout: [], stderr: [] };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8');
    child[name].on('data', (text: string) => parts[name].push(text));
  }
  const timer = setTimeout(() => child.kill('SIGKILL'), COMMAND_WITHIN_MS);
  const [code] = (await once(child, 'close')) as [number | null];
  clearTimeout(timer);
  const lines = parts.stdout.join('').split('\n');
  const items = lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Ended['items'][number]);
  return { code, items, stderr: parts.stderr.join('') };
}
