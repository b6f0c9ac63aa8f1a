/** `tripline tap`: arguments, and one recorded stdio connection. */
import { TriplineError } from '../../../schemas/errors.ts';
import { jsonLog } from '../log.ts';
import type { Environment } from '../settings.ts';
import { parseTapArguments, TAP_USAGE, type TapArguments } from './options.ts';
import { RecordPort } from './record-port.ts';
import { DEPTH_VARIABLE, runServer, type TapIo, type TapOptions } from './run-server.ts';
import type { StartFault } from './start-fault.ts';

/** A tap may stand before another tap's command, as in a gateway; a chain of them is a tap that starts itself. */
const MAX_DEPTH = 3;
const USAGE_EXIT = 2;
const FAILED_EXIT = 1;

/**
 * Runs one tap until its server ends. `argv` is what follows `tap` on the command line. Answers the server's exit code,
 * 2 for a fault of usage or configuration, 1 when nothing can be put on record, 127 when the server cannot be started.
 * `threadModule` runs the recording thread; by default the one beside this file.
 */
export async function runTap(
  argv: readonly string[],
  env: Environment,
  io: TapIo,
  threadModule?: URL,
): Promise<number> {
  const parsed = parseTapArguments(argv);
  if (parsed.kind === 'help') {
    io.stdout.write(TAP_USAGE);
    return 0;
  }
  if (parsed.kind === 'usage') {
    io.stderr.write(`tripline tap: ${parsed.message}\n\n${TAP_USAGE}`);
    return USAGE_EXIT;
  }
  const depth = depthOf(env);
  if (depth >= MAX_DEPTH) {
    const nested = new TriplineError('tap_nested');
    io.stderr.write(`tripline tap: ${nested.message} Is \`--\` missing before the command?\n`);
    return USAGE_EXIT;
  }
  const log = jsonLog(
    (line) => void io.stderr.write(line),
    'warn',
    () => Date.now(),
  );
  const options: TapOptions = { tap: parsed, env, depth, io, log };
  const ended = isLookedAtFirst(parsed, env)
    ? await (await import('./in-process.ts')).recordInProcess(options)
    : await recordInThread(options, threadModule);
  if (typeof ended === 'number') return ended;
  io.stderr.write(`tripline tap: ${ended.message}\n`);
  return ended.isConfiguration ? USAGE_EXIT : FAILED_EXIT;
}

function depthOf(env: Environment): number {
  const depth = Number(env[DEPTH_VARIABLE] ?? '0');
  return Number.isInteger(depth) && depth > 0 ? depth : 0;
}

/** Settings with which every line is looked at before it goes on: another thread would only be one more to wait for. */
const LOOKED_AT_FIRST = [
  'TRIPLINE_HOLD',
  'TRIPLINE_POLICY',
  'TRIPLINE_REDACTION',
  'TRIPLINE_INJECT_TRACE',
  'TRIPLINE_SPOOL_FSYNC',
  'TRIPLINE_ON_SPOOL_FULL',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
  'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
];

/** No more than a guess at what is faster: what may go on first, the recording side says. */
function isLookedAtFirst(tap: TapArguments, env: Environment): boolean {
  return tap.injectTrace || LOOKED_AT_FIRST.some((name) => (env[name] ?? '') !== '');
}

async function recordInThread(options: TapOptions, module: URL | undefined): Promise<number | StartFault> {
  const { tap, env, io } = options;
  const port = new RecordPort({ tap, env: { ...env }, hostPid: io.ppid, module });
  const fault = await port.ready;
  if (fault !== undefined) return fault;
  const code = await runServer(options, port);
  await port.close();
  return code;
}
