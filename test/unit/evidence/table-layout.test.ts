import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { TABLE_LAYOUTS } from '../../../services/evidence/table-layout.ts';

const golden = readFileSync(
  join(import.meta.dirname, '../../../schemas/clickhouse/schema.golden.sql'),
  'utf8',
);

function columnsOf(table: string): string[] {
  const [, body = ''] = golden.split(`CREATE TABLE tripline.${table}\n`);
  const columns = body.slice(0, body.indexOf('ENGINE')).matchAll(/^ {4}`(\w+)`/gm);
  return [...columns].map(([, name = '']) => name);
}

describe('columns of a binary bundle', () => {
  for (const [table, layout] of [
    ['events', TABLE_LAYOUTS.events],
    ['alerts', TABLE_LAYOUTS.alerts],
    ['dead_letters', TABLE_LAYOUTS.deadLetters],
    ['dispositions', TABLE_LAYOUTS.dispositions],
  ] as const) {
    it(`leave out none of table ${table} but the place of the row, which stands beside it`, () => {
      const columns = columnsOf(table).filter((name) => name !== 'log_id' && name !== 'idx');
      assert.ok(columns.length > 5);
      assert.deepEqual(layout.map(([name]) => name).toSorted(), columns.toSorted());
    });
  }
});
