/** A service in this process, and commands run against it as a terminal would: what they print and how they end. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { STEPS, type Step } from '../../../schemas/config/v1.ts';
import { runCommandLine } from '../../../services/cli/program.ts';
import { startService, type Service } from '../../../services/cli/service.ts';
import { loadConfig } from '../../../services/platform/config/load.ts';
import { createLogger } from '../../../services/platform/telemetry/log.ts';

export interface Ran {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
  /** Lines of stdout, each parsed: throws where one is no object. */
  readonly items: () => readonly Readonly<Record<string, unknown>>[];
}

export interface Place {
  readonly dir: string;
  readonly env: Readonly<Record<string, string>>;
  remove(): Promise<void>;
}

export async function openPlace(): Promise<Place> {
  const dir = await mkdtemp(join(tmpdir(), 'tripline-cli-'));
  return {
    dir,
    env: { TRIPLINE_DATA_DIR: join(dir, 'data') },
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}

/** The whole service on a free port of loopback. */
export async function startIn(place: Place, steps: readonly Step[] = STEPS): Promise<Service> {
  const config = loadConfig({
    file: undefined,
    env: place.env,
    overrides: [{ path: ['http', 'port'], value: 0 }],
  });
  return await startService({ config, steps, log: createLogger({ level: 'silent' }), announce: true });
}

export async function tripline(
  env: Readonly<Record<string, string>>,
  argv: readonly string[],
  signal: AbortSignal = AbortSignal.timeout(60_000),
): Promise<Ran> {
  let out = '';
  let err = '';
  const exitCode = await runCommandLine(argv, {
    env,
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    isTerminal: false,
    signal,
  });
  const items = (): readonly Readonly<Record<string, unknown>>[] =>
    out
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const value: unknown = JSON.parse(line);
        if (typeof value !== 'object' || value === null || Array.isArray(value))
          throw new TypeError(`no object: ${line}`);
        return value as Readonly<Record<string, unknown>>;
      });
  return { exitCode, out, err, items };
}

/** Repeats until `accept` holds or a minute is over; answers the last. */
export async function eventually<Value>(
  look: () => Promise<Value>,
  accept: (value: Value) => boolean,
): Promise<Value> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const value = await look();
    if (accept(value) || performance.now() > deadline) return value;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
