/** The store that the configuration names, with its tables. */
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { Config } from '../../../schemas/config/v1.ts';
import { readSecret } from '../config/secrets.ts';
import { openChdbStore } from './chdb/open.ts';
import { openClickHouseStore } from './clickhouse/open.ts';
import { migrate } from './migrate.ts';
import type { Store } from './port.ts';

/** Database of the configured store. */
function databaseOf(config: Config): string {
  return config.store.kind === 'clickhouse' ? config.store.database : 'tripline';
}

/** Opens the configured store and runs its migrations. */
export async function openStore(config: Config, dataDir: string, log: Logger): Promise<Store> {
  const store = await openDriver(config, dataDir, log);
  const { applied } = await migrate(store, databaseOf(config));
  if (applied.length > 0) log.info({ applied }, 'migrations');
  return store;
}

async function openDriver(config: Config, dataDir: string, log: Logger): Promise<Store> {
  const { store } = config;
  switch (store.kind) {
    case 'chdb':
      return await openChdbStore({ ...store, dir: join(dataDir, 'clickhouse'), log });
    case 'clickhouse': {
      const password =
        store.password === undefined ? undefined : readSecret(store.password, 'store.password');
      return await openClickHouseStore({ ...store, password });
    }
  }
}
