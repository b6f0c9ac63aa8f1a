import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { pino } from 'pino';
import { openChdbStore, type ChdbStore } from '../../../services/platform/store/chdb/open.ts';
import {
  encodeBlock,
  OptionalBoolColumn,
  PlainColumn,
  RepeatedTextColumn,
  TextListColumn,
} from '../../../services/record/native-columns.ts';

const dir = mkdtempSync(join(tmpdir(), 'tripline-native-'));
const log = pino({ level: 'silent' });
let store: ChdbStore;
let inserts = 0;

before(async () => {
  store = await openChdbStore({ dir, maxMemoryBytes: 1_000_000_000, queryTimeoutMs: 20_000, log });
  await store.command(
    'CREATE TABLE tripline.encoded (id UInt64, text String, repeated LowCardinality(String), list Array(LowCardinality(String)), flag Nullable(Bool)) ENGINE = MergeTree ORDER BY id',
  );
});
after(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

interface Values {
  readonly text: string;
  readonly repeated: string;
  readonly list: readonly string[];
  readonly flag: boolean | null;
}

const HOSTILE = fc.constantFrom('\n\n; DROP TABLE ledger', "'; --", '\\N', '\u0000', '\ud800', '');
const text = fc.oneof(HOSTILE, fc.string({ unit: 'binary', maxLength: 200 }));
const values: fc.Arbitrary<Values> = fc.record({
  text,
  repeated: fc.oneof(fc.constantFrom('a', 'b', '', '\ud801'), text),
  list: fc.array(text, { maxLength: 4 }),
  flag: fc.option(fc.boolean()),
});

/** UTF-8 of a string as the platform defines it: a lone surrogate is U+FFFD. */
const utf8 = (value: string): string => Buffer.from(value, 'utf8').toString('hex');

async function insert(rows: readonly Values[]): Promise<void> {
  const id = new PlainColumn('UInt64', 0);
  const plain = new PlainColumn('String', 0);
  const repeated = new RepeatedTextColumn(0);
  const list = new TextListColumn(0);
  const flag = new OptionalBoolColumn(0);
  for (const [index, row] of rows.entries()) {
    id.cells.u64(index);
    plain.cells.string(row.text);
    repeated.add(row.repeated);
    list.add(row.list);
    flag.add(row.flag);
  }
  const data = encodeBlock({ id, text: plain, repeated, list, flag }, rows.length);
  inserts += 1;
  await store.command('TRUNCATE TABLE tripline.encoded');
  await store.insertBinary({
    table: 'encoded',
    columns: ['id', 'flag', 'list', 'repeated', 'text'],
    format: 'Native',
    data,
    rows: rows.length,
    token: `encoded-${inserts}`,
  });
}

async function assertStored(rows: readonly Values[]): Promise<void> {
  const found = await store.query(
    `SELECT lower(hex(text)) AS text, lower(hex(repeated)) AS repeated,
       arrayMap(x -> lower(hex(x)), list) AS list, flag FROM encoded ORDER BY id`,
  );
  const expected = rows.map((row) => ({
    text: utf8(row.text),
    repeated: utf8(row.repeated),
    list: row.list.map(utf8),
    flag: row.flag,
  }));
  assert.deepEqual(found, expected);
}

test('a block comes back from the engine value for value', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(values, { minLength: 1, maxLength: 60 }), async (rows) => {
      await insert(rows);
      await assertStored(rows);
    }),
    { numRuns: 40 },
  );
});

test('a column of thousands of different texts keeps them all', async () => {
  for (const distinct of [255, 256, 257, 20_000]) {
    const rows = Array.from({ length: distinct + 10 }, (_, n) => ({
      text: '',
      repeated: `text ${n % distinct}`,
      list: [],
      flag: null,
    }));
    await insert(rows);
    await assertStored(rows);
  }
});
