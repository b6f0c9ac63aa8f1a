/** Process of the `tripline` command: arguments, signals and exit code. The only file here that knows `process`. */
import type { CommandIo } from './output.ts';

/** Runs the command line of this process and ends it with the command's exit code. */
export async function runProcess(): Promise<void> {
  const argv = process.argv.slice(2);
  if (argv[0] === 'tap') {
    // A tap stands in the way of every call of its host: nothing but the tap is loaded.
    const { runTap } = await import('../capture/tap/main.ts');
    process.exitCode = await runTap(argv.slice(1), process.env, process);
    return;
  }
  const abort = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => abort.abort());
  const io: CommandIo = {
    env: process.env,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    isTerminal: process.stdout.isTTY,
    signal: abort.signal,
    onHangup: (act) => void process.on('SIGHUP', act),
  };
  process.stdout.on('error', () => process.exit(0)); // The reader of a pipe left, as with `| head`.
  const { runCommandLine } = await import('./program.ts');
  process.exitCode = await runCommandLine(argv, io);
  // The service has ended, whatever a client library still holds open (sockets of a broker that is gone).
  if (argv[0] === 'up' || argv[0] === 'gate' || argv[0] === 'witness') process.exit();
}

if (import.meta.filename === process.argv[1]) await runProcess();
