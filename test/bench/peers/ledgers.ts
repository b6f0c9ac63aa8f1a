/**
 * The ledger's signed append beside immudb's embedded store and Tessera's POSIX driver, over the same lines, in turn:
 * `node --import tsx test/bench/peers/ledgers.ts [ENTRIES]`. README.md says what each does. One object a line.
 */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { appendedSigned, EVENTS_PER_BATCH, hostLines, type Line } from '../ledger.bench.ts';

const run = promisify(execFile);
const PROGRAM = join(import.meta.dirname, '../../../.cache/peers/ledgers');
const PASSES = 3;
const TIMEOUT_MS = 300_000;
/** Batches that wait at once: as ours, and as many as fill the gaps. */
const OUTSTANDING = [1, 4];

async function build(): Promise<void> {
  await mkdir(join(PROGRAM, '..'), { recursive: true });
  await run('go', ['build', '-o', PROGRAM, '.'], {
    cwd: join(import.meta.dirname, 'go'),
    timeout: TIMEOUT_MS,
  });
}

async function ours(dir: string, all: readonly Line[]): Promise<void> {
  const { wall, cpu } = await appendedSigned(join(dir, 'ours'), all);
  const rate = (ms: number): number => Math.round(all.length / (ms / 1000));
  const counts = { engine: 'tripline', entries: all.length, batch: EVENTS_PER_BATCH, outstanding: 1 };
  const rates = { entriesPerSecond: rate(wall), entriesPerCpuSecond: rate(cpu) };
  process.stdout.write(`${JSON.stringify({ ...counts, ...rates })}\n`);
}

async function peer(engine: string, dir: string, outstanding: number): Promise<void> {
  const store = await mkdtemp(join(dir, `${engine}-`));
  const args = [engine, join(dir, 'lines'), store, String(EVENTS_PER_BATCH), String(outstanding)];
  const { stdout } = await run(PROGRAM, args, { timeout: TIMEOUT_MS });
  process.stdout.write(stdout);
  await rm(store, { recursive: true });
}

async function main([entries = '100000']: readonly string[]): Promise<void> {
  await build();
  const all = hostLines(Number(entries));
  const dir = await mkdtemp(join(tmpdir(), 'tripline-peers-'));
  try {
    await writeFile(join(dir, 'lines'), all.map(({ line }) => `${Buffer.from(line).toString()}\n`).join(''));
    for (let pass = 0; pass < PASSES; pass += 1) {
      await ours(dir, all);
      for (const engine of ['immudb', 'tessera'])
        for (const outstanding of OUTSTANDING) await peer(engine, dir, outstanding);
    }
  } finally {
    await rm(dir, { recursive: true });
  }
}

await main(process.argv.slice(2));
