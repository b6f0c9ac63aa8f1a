/** Migrations: schemas/clickhouse/NNNN_*.sql, each run once, in order, never changed afterwards. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TriplineError } from '../../../schemas/errors.ts';
import { packageRoot } from '../package-root.ts';
import type { Store } from './port.ts';

export interface Migration {
  readonly name: string;
  readonly sql: string;
}

/** The shipped migrations in order. */
export function shippedMigrations(): readonly Migration[] {
  const dir = join(packageRoot(), 'schemas', 'clickhouse');
  const names = readdirSync(dir).filter((name) => /^\d{4}_[a-z0-9_]+\.sql$/.test(name));
  return names
    .toSorted((a, b) => (a < b ? -1 : 1))
    .map((name) => ({ name, sql: readFileSync(join(dir, name), 'utf8') }));
}

/**
 * Runs what has not run yet; answers the names. Statements are idempotent (IF NOT EXISTS), so that a crash between a
 * migration and its entry, or two processes at once, do no harm. Throws store_migration_changed where a file that has
 * run differs.
 */
export async function migrate(
  store: Store,
  database: string,
  migrations = shippedMigrations(),
): Promise<{ applied: string[] }> {
  await store.command(
    `CREATE TABLE IF NOT EXISTS ${database}.schema_migrations (name String, checksum String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3)) ENGINE = MergeTree ORDER BY name`,
  );
  const rows = await store.query<{ name: string; checksum: string }>(
    `SELECT name, checksum FROM ${database}.schema_migrations`,
  );
  const done = new Map(rows.map((row) => [row.name, row.checksum]));
  const applied: string[] = [];
  for (const { name, sql } of migrations) {
    const checksum = createHash('sha256').update(sql).digest('hex');
    const before = done.get(name);
    if (before !== undefined && before !== checksum)
      throw new TriplineError('store_migration_changed', `${name} has run in another form`, { path: name });
    if (before !== undefined) continue;
    for (const statement of statementsOf(sql, database)) await store.command(statement);
    await store.insertRows(`${database}.schema_migrations`, [{ name, checksum }]);
    applied.push(name);
  }
  return { applied };
}

function statementsOf(sql: string, database: string): string[] {
  return sql
    .replaceAll('{database}', database)
    .split(/^;\s*$/m)
    .map((statement) => statement.trim())
    .filter((statement) => statement.replace(/^--.*$/gm, '').trim() !== '');
}
