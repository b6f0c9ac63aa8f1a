/** `tripline gate`: a configuration and the environment become a running gate. */
import { jsonLog } from '../log.ts';
import type { GateConfig } from '../../../schemas/gate/v1.ts';
import { readSettings, type Environment } from '../settings.ts';
import { endpointsOf, resolveGateConfig } from './config.ts';
import { startGate } from './gate.ts';

export interface StartedGate {
  readonly url: string;
  /** Name and URL at the gate of each upstream. */
  readonly endpoints: readonly Readonly<Record<string, string>>[];
  stop(): Promise<void>;
}

/** Starts a gate of this process. Throws config_invalid with every fault; `log` takes lines for stderr. */
export async function runGate(
  config: GateConfig,
  env: Environment,
  log: (line: string) => void,
): Promise<StartedGate> {
  const settings = readSettings(env);
  const gate = resolveGateConfig(config, env);
  const captureLog = jsonLog(log, 'warn', () => Date.now());
  const telemetry = await telemetryIfConfigured(env, captureLog);
  const running = await startGate({
    gate,
    settings,
    log: captureLog,
    ...(telemetry === undefined ? {} : { spans: telemetry.spans }),
  });
  return {
    url: running.url,
    endpoints: endpointsOf(gate, running.url),
    stop: async () => {
      await running.stop();
      await telemetry?.stop();
    },
  };
}

/** OpenTelemetry is loaded only where an exporter is configured. */
async function telemetryIfConfigured(env: Environment, log: ReturnType<typeof jsonLog>) {
  const endpoint = env['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'] ?? env['OTEL_EXPORTER_OTLP_ENDPOINT'];
  if (endpoint === undefined || endpoint === '' || env['OTEL_SDK_DISABLED'] === 'true') return undefined;
  const { startTelemetry } = await import('../telemetry.ts');
  return await startTelemetry(log);
}
