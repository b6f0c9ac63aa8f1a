/** `tripline tap`: arguments, settings, and one recorded stdio connection. */
import { isTriplineError, TriplineError } from '../../../schemas/errors.ts';
import { Capture } from '../capture.ts';
import type { CaptureOptions } from '../capture-options.ts';
import { jsonLog, type CaptureLog } from '../log.ts';
import { readSettings, type CaptureSettings, type Environment } from '../settings.ts';
import { parseTapArguments, TAP_USAGE, type TapArguments } from './options.ts';
import { runProxy, type TapProcess } from './proxy.ts';

/** What a tap needs of its process: `process` itself fits. */
export interface TapIo extends TapProcess {
  readonly stderr: { write(text: string): unknown };
  readonly ppid: number;
}

const DEPTH_VARIABLE = 'TRIPLINE_TAP_DEPTH';
/** A tap may stand before another tap's command, as in a gateway; a chain of them is a tap that starts itself. */
const MAX_DEPTH = 3;
const USAGE_EXIT = 2;
const FAILED_EXIT = 1;

/**
 * Runs one tap until its server ends. `argv` is what follows `tap` on the command line. Answers the server's exit code,
 * 2 for a fault of usage or configuration, 1 when nothing can be put on record, 127 when the server cannot be started.
 */
export async function runTap(argv: readonly string[], env: Environment, io: TapIo): Promise<number> {
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
  try {
    return await startTap({ tap: parsed, settings: tapSettings(parsed, env), env, depth, io, log });
  } catch (error) {
    const isConfiguration = (['config_invalid', 'host_policy_invalid', 'redaction_invalid'] as const).some(
      (code) => isTriplineError(error, code),
    );
    const message = error instanceof Error ? error.message : 'unknown fault';
    io.stderr.write(`tripline tap: ${message}\n`);
    return isConfiguration ? USAGE_EXIT : FAILED_EXIT;
  }
}

function depthOf(env: Environment): number {
  const depth = Number(env[DEPTH_VARIABLE] ?? '0');
  return Number.isInteger(depth) && depth > 0 ? depth : 0;
}

function tapSettings(tap: TapArguments, env: Environment): CaptureSettings {
  const settings = readSettings(env);
  return {
    ...settings,
    agent: tap.agent ?? settings.agent,
    injectTrace: tap.injectTrace || settings.injectTrace,
  };
}

export interface StartTapOptions {
  readonly tap: TapArguments;
  readonly settings: CaptureSettings;
  readonly env: Environment;
  readonly depth: number;
  readonly io: TapIo;
  readonly log: CaptureLog;
}

/** Records the connection between `io` and the server process; resolves with the server's exit code when all is over. */
export async function startTap(options: StartTapOptions): Promise<number> {
  const { tap, settings, io, log } = options;
  const telemetry = await startTelemetryIfConfigured(options);
  const captureOptions: CaptureOptions = {
    settings,
    server: tap.server,
    transport: 'stdio',
    hostPid: io.ppid,
    log,
    ...(telemetry === undefined ? {} : { spans: telemetry.spans }),
  };
  const capture = new Capture(captureOptions);
  await capture.loadPolicy();
  const running = runProxy({
    command: tap.command,
    args: tap.args,
    env: { ...options.env, [DEPTH_VARIABLE]: String(options.depth + 1) },
    process: io,
    observer: capture,
    log,
  });
  await capture.start();
  const code = await running;
  await Promise.all([capture.close(), telemetry?.stop()]);
  return code;
}

/** OpenTelemetry is loaded only where an exporter is configured. */
async function startTelemetryIfConfigured(
  options: StartTapOptions,
): Promise<{ readonly spans: NonNullable<CaptureOptions['spans']>; stop(): Promise<void> } | undefined> {
  const { env } = options;
  const endpoint = env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] ?? env['OTEL_EXPORTER_OTLP_ENDPOINT'];
  if (endpoint === undefined || endpoint === '' || env['OTEL_SDK_DISABLED'] === 'true') return undefined;
  try {
    const { startTelemetry } = await import('../telemetry.ts');
    return await startTelemetry(options.log);
  } catch {
    // A tap of its own file has no OpenTelemetry beside it: the record needs none.
    options.log('warn', 'telemetry_unavailable');
    return undefined;
  }
}
