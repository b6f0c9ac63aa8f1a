/** The demo from source, as a person runs it. */
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { LOADER } from '../sources/words.ts';

const root = resolve(import.meta.dirname, '../../..');

export interface DemoRun {
  readonly exitCode: number | null;
  /** Both outputs as they came, for the message of a failed test. */
  readonly shown: string;
  /** Without colours. */
  readonly lines: readonly string[];
}

/** `npm run demo -- --once`, with more options if given; a hang is ended after `withinMs` and is a fault. */
export async function runDemo(withinMs: number, options: readonly string[] = []): Promise<DemoRun> {
  const words = [...LOADER, join(root, 'services/cli/demo/main.ts'), '--once', ...options];
  const child = spawn(process.execPath, words, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    signal: AbortSignal.timeout(withinMs),
  });
  let shown = '';
  child.stdout.on('data', (chunk: Buffer) => (shown += chunk.toString('utf8')));
  child.stderr.on('data', (chunk: Buffer) => (shown += chunk.toString('utf8')));
  const exitCode = await new Promise<number | null>((done, failed) => {
    child.once('error', failed);
    child.once('close', done);
  });
  return { exitCode, shown, lines: stripVTControlCharacters(shown).split('\n') };
}
