/** A tap whose lines are looked at before they go on, in the thread that they pass through. */
import { Capture } from '../capture.ts';
import type { CaptureOptions } from '../capture-options.ts';
import { runServer, type TapOptions } from './run-server.ts';
import { startFault, type StartFault } from './start-fault.ts';
import { tapSettings } from './tap-settings.ts';

/** Resolves with the server's exit code when all is over, or with what keeps it from being recorded. */
export async function recordInProcess(options: TapOptions): Promise<number | StartFault> {
  try {
    return await record(options);
  } catch (error) {
    return startFault(error);
  }
}

async function record(options: TapOptions): Promise<number> {
  const { tap, env, io, log } = options;
  const settings = tapSettings(tap, env);
  const telemetry = await startTelemetryIfConfigured(options);
  const capture = new Capture({
    settings,
    server: tap.server,
    transport: 'stdio',
    hostPid: io.ppid,
    log,
    ...(telemetry === undefined ? {} : { spans: telemetry.spans }),
  });
  await capture.loadPolicy();
  const running = runServer(options, capture);
  await capture.start();
  const code = await running;
  await Promise.all([capture.close(), telemetry?.stop()]);
  return code;
}

/** OpenTelemetry is loaded only where an exporter is configured. */
async function startTelemetryIfConfigured({
  env,
  log,
}: TapOptions): Promise<
  { readonly spans: NonNullable<CaptureOptions['spans']>; stop(): Promise<void> } | undefined
> {
  const endpoint = env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] ?? env['OTEL_EXPORTER_OTLP_ENDPOINT'];
  if (endpoint === undefined || endpoint === '' || env['OTEL_SDK_DISABLED'] === 'true') return undefined;
  try {
    const { startTelemetry } = await import('../telemetry.ts');
    return await startTelemetry(log);
  } catch {
    // A tap of its own file has no OpenTelemetry beside it: the record needs none.
    log('warn', 'telemetry_unavailable');
    return undefined;
  }
}
