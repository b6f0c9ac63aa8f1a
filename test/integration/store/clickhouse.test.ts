import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isTriplineError } from '../../../schemas/errors.ts';
import {
  openClickHouseStore,
  type ClickHouseStore,
} from '../../../services/platform/store/clickhouse/open.ts';
import { startClickHouseHttp, type ClickHouseHttp } from '../../support/clickhouse-http/start.ts';
import { storeContract } from './contract.ts';

const dir = mkdtempSync(join(tmpdir(), 'tripline-http-'));
let front: ClickHouseHttp;
const openStore = (url: string): Promise<ClickHouseStore> =>
  openClickHouseStore({ url, username: 'default', database: 'tripline', queryTimeoutMs: 20_000 });

before(async () => {
  front = await startClickHouseHttp({ dir });
});
after(async () => {
  await front.kill();
  rmSync(dir, { recursive: true, force: true });
});

storeContract(
  'clickhouse',
  () => openStore(front.url),
  async () => undefined,
);

const row = (id: number): Uint8Array => {
  const bytes = Buffer.alloc(10);
  bytes.writeBigUInt64LE(BigInt(id));
  bytes[8] = 1;
  bytes[9] = 97;
  return bytes;
};

for (const when of ['before', 'after'] as const)
  test(`clickhouse: a connection reset ${when} an insert ran is store_unavailable, and the repeat stores it once`, async () => {
    const store = await openStore(front.url);
    const table = `reset_${when}`;
    await store.command(
      `CREATE TABLE tripline.${table} (id UInt64, text String) ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100`,
    );
    const insert = { table, columns: ['id', 'text'], data: row(7), rows: 1, token: `${table}-1` };
    await front.fault(when);
    await assert.rejects(store.insertBinary(insert), (error) => isTriplineError(error, 'store_unavailable'));
    const count = async (): Promise<unknown> => (await store.query(`SELECT count() n FROM ${table}`))[0];
    assert.deepEqual(await count(), { n: when === 'before' ? '0' : '1' });
    await store.insertBinary(insert);
    assert.deepEqual(await count(), { n: '1' });
    await store.close();
  });

test('clickhouse: a server killed during inserts keeps what it acknowledged, and each insert whole or absent', async () => {
  const at = mkdtempSync(join(tmpdir(), 'tripline-http-kill-'));
  let server = await startClickHouseHttp({ dir: at });
  const setup = await openStore(server.url);
  await setup.command(
    'CREATE TABLE tripline.t (batch UInt32, n UInt32) ENGINE = MergeTree ORDER BY batch SETTINGS fsync_after_insert = 1',
  );
  await setup.close();
  const rowsPerBatch = 2000;
  const acknowledged: number[] = [];
  const unknown: number[] = [];
  for (let round = 0; round < 3; round += 1) {
    const store = await openStore(server.url);
    const killAt = setTimeout(() => process.kill(server.pid, 'SIGKILL'), 60 + round * 25);
    for (let batch = round * 100; ; batch += 1) {
      const rows = Array.from({ length: rowsPerBatch }, (_, n) => ({ batch, n }));
      try {
        await store.insertRows('t', rows);
        acknowledged.push(batch);
      } catch (error) {
        assert.ok(isTriplineError(error, 'store_unavailable'));
        unknown.push(batch);
        break;
      }
    }
    clearTimeout(killAt);
    await store.close();
    await server.kill();
    server = await startClickHouseHttp({ dir: at });
  }
  const store = await openStore(server.url);
  const rows = await store.query<{ batch: number; n: string }>(
    'SELECT batch, count() n FROM t GROUP BY batch',
  );
  const found = new Map(rows.map(({ batch, n }) => [batch, Number(n)]));
  assert.ok(acknowledged.length > 0 && unknown.length === 3);
  for (const batch of acknowledged) assert.equal(found.get(batch), rowsPerBatch);
  for (const batch of unknown) assert.ok([undefined, rowsPerBatch].includes(found.get(batch)));
  await store.close();
  await server.kill();
  rmSync(at, { recursive: true });
});

test('clickhouse: a server that is not there is store_unavailable', async () => {
  await assert.rejects(openStore('http://127.0.0.1:9'), (error) =>
    isTriplineError(error, 'store_unavailable'),
  );
});
