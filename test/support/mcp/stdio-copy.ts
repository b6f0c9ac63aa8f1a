/**
 * Keeps what passes between two peers of a stdio connection, as a process between them: `PREFIX COMMAND ARGS…`. What goes in
 * and what comes out stands in PREFIX.in and PREFIX.out. It loads nothing of the project, as it starts twice in each test.
 */
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';

function copyOfStdio([prefix = '', command = '', ...args]: readonly string[]): void {
  if (command === '') throw new RangeError('a command is needed');
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const [into, out] = [createWriteStream(`${prefix}.in`), createWriteStream(`${prefix}.out`)];
  process.stdin.pipe(child.stdin);
  process.stdin.pipe(into);
  child.stdout.pipe(process.stdout);
  child.stdout.pipe(out);
  child.stdin.on('error', () => undefined);
  process.stdout.on('error', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('close', (code) => {
    process.exitCode = code ?? 1;
    process.stdin.destroy();
  });
}

copyOfStdio(process.argv.slice(2));
