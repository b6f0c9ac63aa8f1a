/** Writes schemas/clickhouse/schema.golden.sql from the migrations: node --import tsx test/support/clickhouse-schema/write-golden.ts */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { openChdbStore } from '../../../services/platform/store/chdb/open.ts';
import { migrate } from '../../../services/platform/store/migrate.ts';
import { dumpSchema } from './dump.ts';

const golden = join(import.meta.dirname, '../../../schemas/clickhouse/schema.golden.sql');
const dir = mkdtempSync(join(tmpdir(), 'tripline-schema-'));
const store = await openChdbStore({
  dir,
  maxMemoryBytes: 1_000_000_000,
  queryTimeoutMs: 20_000,
  log: pino({ level: 'warn' }, pino.destination(2)),
});
try {
  await migrate(store, 'tripline');
  writeFileSync(golden, await dumpSchema(store, 'tripline'));
} finally {
  await store.close();
  rmSync(dir, { recursive: true });
}
