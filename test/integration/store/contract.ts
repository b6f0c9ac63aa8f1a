/** What every store driver must do; run over chdb and over HTTP. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isTriplineError } from '../../../schemas/errors.ts';
import { migrate, shippedMigrations } from '../../../services/platform/store/migrate.ts';
import type { Store } from '../../../services/platform/store/port.ts';

const HOSTILE = [
  "x'; DROP TABLE tripline.contract; --",
  'a\n\ndrop table contract\n',
  '\u0000\t\\N',
  '\n\n',
  'é😀‮',
  '{database}',
];

/** RowBinary of (UInt64, String) by hand: little-endian number, LEB128 length, bytes. */
function rowBinary(rows: readonly (readonly [number, Uint8Array])[]): Uint8Array {
  return Buffer.concat(
    rows.flatMap(([id, bytes]) => {
      const number = Buffer.alloc(8);
      number.writeBigUInt64LE(BigInt(id));
      const length: number[] = [];
      let left = bytes.length;
      do {
        length.push((left & 0x7f) | (left > 0x7f ? 0x80 : 0));
        left >>>= 7;
      } while (left > 0);
      return [number, Buffer.from(length), Buffer.from(bytes)];
    }),
  );
}

export function storeContract(name: string, open: () => Promise<Store>, close: () => Promise<void>): void {
  let store: Store;
  const count = async (): Promise<string | undefined> =>
    (await store.query<{ n: string }>('SELECT count() n FROM contract'))[0]?.n;

  test(`${name}: opens and migrates, a second time does nothing`, async () => {
    store = await open();
    assert.deepEqual(
      (await migrate(store, 'tripline')).applied,
      shippedMigrations().map(({ name: file }) => file),
    );
    assert.deepEqual((await migrate(store, 'tripline')).applied, []);
    await store.command(
      'CREATE TABLE tripline.contract (id UInt64, text String) ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100',
    );
  });

  test(`${name}: a migration that changed after it ran is refused`, async () => {
    const changed = shippedMigrations().map((migration) => ({
      ...migration,
      sql: `${migration.sql}\n-- changed`,
    }));
    await assert.rejects(migrate(store, 'tripline', changed), (error) =>
      isTriplineError(error, 'store_migration_changed'),
    );
  });

  test(`${name}: binary rows come back byte for byte, also blank lines, SQL and invalid UTF-8`, async () => {
    const bytes = [
      ...HOSTILE.map((text) => Buffer.from(text)),
      Buffer.from([0xff, 0x0a, 0x0a, 0xfe]),
      Buffer.alloc(0),
      Buffer.alloc(300, 0x0a),
    ];
    const data = rowBinary(bytes.map((value, id) => [id, value]));
    await store.insertBinary({
      table: 'contract',
      columns: ['id', 'text'],
      data,
      rows: bytes.length,
      token: 'contract-1',
    });
    const rows = await store.query<{ text: string }>('SELECT hex(text) text FROM contract ORDER BY id');
    assert.deepEqual(
      rows.map(({ text }) => text.toLowerCase()),
      bytes.map((value) => value.toString('hex')),
    );
  });

  test(`${name}: the same token within the window adds nothing`, async () => {
    const before = await count();
    await store.insertBinary({
      table: 'contract',
      columns: ['id', 'text'],
      data: rowBinary([[500, Buffer.from('a')]]),
      rows: 1,
      token: 'contract-2',
    });
    await store.insertBinary({
      table: 'contract',
      columns: ['id', 'text'],
      data: rowBinary([[500, Buffer.from('a')]]),
      rows: 1,
      token: 'contract-2',
    });
    assert.equal(Number(await count()), Number(before) + 1);
    await store.command('ALTER TABLE tripline.contract DELETE WHERE id = 500 SETTINGS mutations_sync = 1');
  });

  test(`${name}: rows as objects and parameters are data, whatever they say`, async () => {
    await store.insertRows(
      'contract',
      HOSTILE.map((text, index) => ({ id: 1000 + index, text })),
    );
    for (const [index, text] of HOSTILE.entries()) {
      const rows = await store.query<{ id: string }>(
        'SELECT id FROM contract WHERE text = {text:String} AND id >= 1000',
        { params: { text } },
      );
      assert.deepEqual(rows, [{ id: String(1000 + index) }]);
    }
  });

  test(`${name}: parameters of every type; 64-bit numbers come back as text`, async () => {
    const params = {
      s: HOSTILE[0] ?? '',
      n: 9_007_199_254_740_993n,
      a: HOSTILE,
      u: [1, 2],
      b: true,
      z: null,
    };
    const [row] = await store.query(
      'SELECT {s:String} s, {n:UInt64} n, {a:Array(String)} a, {u:Array(UInt64)} u, {b:Bool} b, {z:Nullable(String)} z',
      { params },
    );
    assert.deepEqual(row, {
      s: HOSTILE[0],
      n: '9007199254740993',
      a: HOSTILE,
      u: ['1', '2'],
      b: true,
      z: null,
    });
  });

  test(`${name}: reading cannot write, and files, URLs and a second statement are refused`, async () => {
    const before = await count();
    const attempts = [
      "INSERT INTO contract VALUES (1, 'x')",
      'DROP TABLE contract',
      "SELECT 1 INTO OUTFILE '/tmp/tripline-contract' TRUNCATE",
      "SELECT * FROM file('/etc/passwd', 'LineAsString')",
      'SELECT 1; DROP TABLE contract',
    ];
    for (const sql of attempts)
      await assert.rejects(store.query(sql), (error) => isTriplineError(error, 'store_query_failed'), sql);
    assert.equal(await count(), before);
  });

  test(`${name}: a statement over its time ends with store_timeout, and the engine goes on`, async () => {
    await assert.rejects(
      store.query('SELECT sum(cityHash64(number)) FROM numbers(100000000000)', { timeoutMs: 1000 }),
      (error) => isTriplineError(error, 'store_timeout'),
    );
    assert.deepEqual(await store.query('SELECT 1 AS one'), [{ one: 1 }]);
  });

  test(`${name}: a long result streams, and leaving it early cancels it`, async () => {
    let rows = 0;
    for await (const batch of store.queryStream<{ n: string }>(
      'SELECT number AS n FROM numbers({n:UInt64})',
      { params: { n: 200_000 } },
    ))
      rows += batch.length;
    assert.equal(rows, 200_000);
    for await (const batch of store.queryStream('SELECT number AS n FROM numbers(1000000000)')) {
      assert.ok(batch.length > 0);
      break;
    }
    assert.deepEqual(await Promise.all([store.query('SELECT 1 AS one'), store.query('SELECT 2 AS one')]), [
      [{ one: 1 }],
      [{ one: 2 }],
    ]);
  });

  test(`${name}: a result streams as bytes, row after row, with parameters`, async () => {
    const pieces: Uint8Array[] = [];
    const rows = store.queryBinary(
      `SELECT number, toUInt16(number % 7), {text:String} FROM numbers({n:UInt64}) ORDER BY number`,
      { params: { n: 100_000, text: HOSTILE[1] ?? '' } },
    );
    for await (const piece of rows) pieces.push(piece);
    const bytes = Buffer.concat(pieces);
    const whole = await store.queryBlock(
      `SELECT number, toUInt16(number % 7), {text:String} FROM numbers({n:UInt64}) ORDER BY number`,
      { params: { n: 100_000, text: HOSTILE[1] ?? '' } },
    );
    assert.ok(bytes.equals(whole));
    assert.equal((await store.queryBlock('SELECT number FROM numbers(0)')).length, 0);
    const text = Buffer.from(HOSTILE[1] ?? '');
    const row = 8 + 2 + 1 + text.length;
    assert.equal(bytes.length, 100_000 * row);
    for (const number of [0, 1, 65_535, 99_999]) {
      const at = number * row;
      assert.equal(bytes.readBigUInt64LE(at), BigInt(number));
      assert.equal(bytes.readUInt16LE(at + 8), number % 7);
      assert.equal(bytes[at + 10], text.length);
      assert.deepEqual(bytes.subarray(at + 11, at + row), text);
    }
    await assert.rejects(
      async () => {
        for await (const _ of store.queryBinary('SELECT no_such_column FROM contract')) continue;
      },
      (error) => isTriplineError(error, 'store_query_failed'),
    );
    await assert.rejects(store.queryBlock('SELECT no_such_column FROM contract'), (error) =>
      isTriplineError(error, 'store_query_failed'),
    );
  });

  test(`${name}: names that are no identifiers are refused before the engine`, async () => {
    await assert.rejects(store.insertRows('contract; DROP TABLE contract', [{ id: 1 }]), (error) =>
      isTriplineError(error),
    );
    await assert.rejects(
      store.insertBinary({
        table: 'contract',
        columns: ['id', 'text'],
        data: Buffer.alloc(1),
        rows: 1,
        token: "x' , y",
      }),
      (error) => isTriplineError(error),
    );
  });

  test(`${name}: closes`, async () => {
    await store.close();
    await close();
  });
}
