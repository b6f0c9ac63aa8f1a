/** witness: runs a witness until SIGTERM or SIGINT. It shares nothing with the service and needs nothing of it. */
import { zWitnessConfig } from '../../../schemas/witness/v1.ts';
import { systemClock } from '../../platform/clock.ts';
import { loadDocument } from '../../platform/config/load.ts';
import { createLogger } from '../../platform/telemetry/log.ts';
import { startWitness } from '../../witness/main.ts';
import type { CommandContext } from '../command.ts';

export interface WitnessOptions {
  readonly config: string | undefined;
  readonly name: string | undefined;
  readonly state: string | undefined;
  readonly host: string | undefined;
  readonly port: string | undefined;
  readonly logs: readonly string[];
}

/** Answers when it has stopped cleanly. With --json one line says when it is ready. */
export async function witness({ io, output }: CommandContext, options: WitnessOptions): Promise<void> {
  const { name, state, host, port, logs } = options;
  const set = (path: readonly string[], value: unknown) => (value === undefined ? [] : [{ path, value }]);
  const overrides = [
    ...set(['name'], name),
    ...set(['stateDir'], state),
    ...set(['http', 'host'], host),
    ...set(['http', 'port'], port === undefined ? undefined : Number(port)),
    ...set(['logs'], logs.length === 0 ? undefined : logs),
  ];
  const config = loadDocument(zWitnessConfig, { file: options.config, overrides });
  const log = createLogger(config.log);
  const running = await startWitness(config, { clock: systemClock, log });
  const { url, vkey } = running;
  output.item({ ready: true, url, vkey }, () => `The witness listens on ${url}\n  key  ${vkey}`);
  await new Promise<void>((resolve) => {
    if (io.signal.aborted) resolve();
    else io.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await running.stop();
}
