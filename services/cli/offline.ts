/** Reading a data directory that no service uses: the steps that read are run for the time of one command. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadConfig } from '../platform/config/load.ts';
import { createLogger } from '../platform/telemetry/log.ts';
import { dataDirOf, tokenOf, type Endpoint } from './client.ts';
import { startService } from './service.ts';

export interface OpenedDirectory {
  readonly endpoint: Endpoint;
  close(): Promise<void>;
}

/** Undefined where there is no data directory to open. */
export async function openForReading(
  env: Readonly<Record<string, string | undefined>>,
): Promise<OpenedDirectory | undefined> {
  if (!existsSync(join(dataDirOf(env), 'log.key'))) return undefined;
  const config = loadConfig({
    file: env['TRIPLINE_CONFIG'],
    env,
    overrides: [{ path: ['http', 'port'], value: 0 }],
  });
  const log = createLogger({ level: 'warn' });
  const service = await startService({ config, steps: ['sign', 'query'], log, announce: false });
  return { endpoint: { url: service.url, token: tokenOf(env) }, close: () => service.stop() };
}
