/** witness: runs a witness until SIGTERM or SIGINT. It shares nothing with the service and needs nothing of it. */
import { zWitnessConfig, type WitnessConfig } from '../../../schemas/witness/v1.ts';
import { systemClock } from '../../platform/clock.ts';
import { checked, readYaml, type Tree } from '../../platform/config/document.ts';
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
  const config = configOf(options);
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

/** The file, and over it what the command line says. */
function configOf({ config: file, name, state, host, port, logs }: WitnessOptions): WitnessConfig {
  const faults: string[] = [];
  const tree: Tree = file === undefined ? {} : readYaml(file, faults);
  const http = {
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port: Number(port) }),
  };
  const over: Tree = {
    ...(name === undefined ? {} : { name }),
    ...(state === undefined ? {} : { stateDir: state }),
    ...(logs.length === 0 ? {} : { logs }),
    ...(Object.keys(http).length === 0 ? {} : { http: { ...Object(tree['http']), ...http } }),
  };
  return checked(zWitnessConfig, { ...tree, ...over }, faults);
}
