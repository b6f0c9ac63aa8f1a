import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { pino } from 'pino';
import { isTriplineError } from '../../../schemas/errors.ts';
import { RowWriter } from '../../../services/evidence/row-binary.ts';
import { openChdbStore, type ChdbStore } from '../../../services/platform/store/chdb/open.ts';
import { migrate } from '../../../services/platform/store/migrate.ts';
import { dumpSchema } from '../../support/clickhouse-schema/dump.ts';

const dir = mkdtempSync(join(tmpdir(), 'tripline-engine-'));
const options = {
  dir,
  maxMemoryBytes: 1_000_000_000,
  queryTimeoutMs: 20_000,
  log: pino({ level: 'silent' }),
};
let store: ChdbStore;

before(async () => {
  store = await openChdbStore(options);
  await migrate(store, 'tripline');
});
after(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

test('the migrations amount to the golden schema', async () => {
  const golden = join(import.meta.dirname, '../../../schemas/clickhouse/schema.golden.sql');
  assert.equal(await dumpSchema(store, 'tripline'), readFileSync(golden, 'utf8'));
});

test('evidence tables dedup by token, sync to disk, and never expire or split an insert', async () => {
  const tables = await store.query<{ name: string; ddl: string; partition_key: string }>(
    "SELECT name, create_table_query AS ddl, partition_key FROM system.tables WHERE database = 'tripline' AND name != 'schema_migrations'",
  );
  assert.ok(tables.length >= 8);
  for (const { name, ddl, partition_key: partitionKey } of tables) {
    for (const setting of [
      'non_replicated_deduplication_window = 10000',
      'fsync_after_insert = 1',
      'fsync_part_directory = 1',
    ])
      assert.ok(ddl.includes(setting), `${name}: ${setting}`);
    assert.equal(partitionKey, '', name);
    assert.doesNotMatch(ddl, /\bTTL\b|ReplacingMergeTree/, name);
  }
});

interface Values {
  readonly u8: number;
  readonly u16: number;
  readonly u32: number;
  readonly u64: number;
  readonly time: number;
  readonly f64: number;
  readonly fixed: Uint8Array;
  readonly blob: Uint8Array;
  readonly text: string;
  readonly list: readonly string[];
  readonly flag: boolean | null;
}

const HOSTILE = fc.constantFrom('\n\n; DROP TABLE ledger', "'; --", '\\N', '\u0000', '\t', '');
const text = fc.oneof(
  HOSTILE,
  fc.string({ unit: 'binary', maxLength: 200 }),
  fc.string({ unit: 'grapheme', maxLength: 90 }),
);
const values: fc.Arbitrary<Values> = fc.record({
  u8: fc.integer({ min: 0, max: 255 }),
  u16: fc.integer({ min: 0, max: 65_535 }),
  u32: fc.integer({ min: 0, max: 4_294_967_295 }),
  u64: fc.maxSafeNat(),
  time: fc.integer({ min: -2_208_988_800_000, max: 4_102_444_800_000 }),
  f64: fc.double({ noNaN: true, noDefaultInfinity: true }),
  fixed: fc.uint8Array({ minLength: 16, maxLength: 16 }),
  blob: fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.constant(new Uint8Array(20_000).fill(0x0a))),
  text,
  list: fc.array(text, { maxLength: 5 }),
  flag: fc.option(fc.boolean()),
});

function write(writer: RowWriter, row: Values, id: number): void {
  writer.u32(id);
  writer.u8(row.u8);
  writer.u16(row.u16);
  writer.u32(row.u32);
  writer.u64(row.u64);
  writer.time(row.time);
  writer.f64(row.f64);
  writer.fixed(row.fixed);
  writer.blob(row.blob);
  writer.string(row.text);
  writer.strings(row.list);
  writer.optionalBool(row.flag);
}

/** UTF-8 of a string as the platform defines it: a lone surrogate is U+FFFD. */
const utf8 = (value: string): string => Buffer.from(value, 'utf8').toString('hex');
const bits = (value: number): string => {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes.toString('hex');
};

test('rows of the encoder come back from the engine value for value', async () => {
  await store.command(
    `CREATE TABLE tripline.encoded (id UInt32, u8 UInt8, u16 UInt16, u32 UInt32, u64 UInt64, time DateTime64(3, 'UTC'), f64 Float64, fixed FixedString(16), blob String, text LowCardinality(String), list Array(LowCardinality(String)), flag Nullable(Bool)) ENGINE = MergeTree ORDER BY id`,
  );
  const columns = 'id,u8,u16,u32,u64,time,f64,fixed,blob,text,list,flag'.split(',');
  let run = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(values, { minLength: 1, maxLength: 60 }), async (rows) => {
      run += 1;
      const writer = new RowWriter(16);
      for (const [index, row] of rows.entries()) write(writer, row, index);
      await store.command('TRUNCATE TABLE tripline.encoded');
      await store.insertBinary({
        table: 'encoded',
        columns,
        data: writer.bytes(),
        rows: rows.length,
        token: `encoded-${run}`,
      });
      const found = await store.query(
        `SELECT u8, u16, u32, u64, toString(toUnixTimestamp64Milli(time)) AS time_ms,
           lower(hex(f64)) AS bits,
           lower(hex(fixed)) AS fixed, lower(hex(blob)) AS blob, lower(hex(text)) AS text,
           arrayMap(x -> lower(hex(x)), list) AS list, flag FROM encoded ORDER BY id`,
      );
      assert.deepEqual(
        found,
        rows.map((row) => ({
          u8: row.u8,
          u16: row.u16,
          u32: row.u32,
          u64: String(row.u64),
          time_ms: String(row.time),
          bits: bits(row.f64),
          fixed: Buffer.from(row.fixed).toString('hex'),
          blob: Buffer.from(row.blob).toString('hex'),
          text: utf8(row.text),
          list: row.list.map(utf8),
          flag: row.flag,
        })),
      );
    }),
    { numRuns: 60 },
  );
});

test('any text is the same text as a parameter, alone and in an array', async () => {
  await fc.assert(
    fc.asyncProperty(text, fc.array(text, { maxLength: 4 }), async (one, many) => {
      const [row] = await store.query('SELECT {one:String} AS one, {many:Array(String)} AS many', {
        params: { one, many },
      });
      assert.deepEqual(row, { one, many });
    }),
    { numRuns: 200 },
  );
});

test('a long query with parameters does not hold up another, nor does a stream that nobody reads on', async () => {
  const held = store.queryStream('SELECT number FROM numbers({n:UInt64})', { params: { n: 1_000_000_000 } });
  const iterator = held[Symbol.asyncIterator]();
  await iterator.next();
  const slow = store.query('SELECT sleep({s:Float64})', { params: { s: 2 } });
  const startedMs = performance.now();
  assert.deepEqual(await store.query('SELECT {x:UInt8} AS x', { params: { x: 7 } }), [{ x: 7 }]);
  assert.ok(performance.now() - startedMs < 1000);
  await iterator.return?.(undefined);
  await slow;
});

test('an aborted query ends in the engine too, also one that waits for its turn', async () => {
  const endless = 'SELECT sum(cityHash64(number)) FROM numbers(100000000000)';
  const aborting = new AbortController();
  const running = Array.from({ length: 6 }, () => store.query(endless, { signal: aborting.signal }));
  setTimeout(() => aborting.abort(), 200);
  for (const result of await Promise.allSettled(running))
    assert.ok(result.status === 'rejected' && isTriplineError(result.reason, 'store_timeout'));
  // A cancelled one stays listed until its session runs the next.
  const left = await store.query<{ n: string }>(
    "SELECT count() AS n FROM system.processes WHERE is_cancelled = 0 AND query LIKE '%cityHash64(number)%100000000000%' AND query NOT LIKE '%system.processes%'",
  );
  assert.deepEqual(left, [{ n: '0' }]);
});

test('a directory that another engine has open is data_dir_locked', async () => {
  await assert.rejects(openChdbStore(options), (error) => isTriplineError(error, 'data_dir_locked'));
  assert.deepEqual(await store.query('SELECT 1 AS one'), [{ one: 1 }]);
});

test('the next call after the engine died starts it anew, with what was stored', async () => {
  await store.insertRows('class_mappings', [
    { version: 'v', body: 'b', first_used: '2025-01-01 00:00:00.000' },
  ]);
  const { enginePid } = store;
  assert.ok(enginePid !== undefined);
  const lost = store.query('SELECT sleep(3)');
  setTimeout(() => process.kill(enginePid, 'SIGKILL'), 100);
  await assert.rejects(lost, (error) => isTriplineError(error, 'store_unavailable'));
  assert.deepEqual(await store.query('SELECT version FROM class_mappings'), [{ version: 'v' }]);
  assert.notEqual(store.enginePid, enginePid);
});
