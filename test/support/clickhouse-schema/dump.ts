/** The tables as the engine holds them after all migrations, in one text. */
import type { Store } from '../../../services/platform/store/port.ts';

export async function dumpSchema(store: Store, database: string): Promise<string> {
  const tables = await store.query<{ name: string; ddl: string }>(
    'SELECT name, formatQuery(create_table_query) AS ddl FROM system.tables WHERE database = {database:String} ORDER BY name',
    { params: { database } },
  );
  const statements = tables.map(({ ddl }) => `${ddl}\n;\n`);
  return `-- What the migrations amount to. Written by test/support/clickhouse-schema/write-golden.ts; do not edit.\n\n${statements.join('\n')}`;
}
