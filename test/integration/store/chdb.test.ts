import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { pino } from 'pino';
import { isTriplineError } from '../../../schemas/errors.ts';
import { openChdbStore, type ChdbStore } from '../../../services/platform/store/chdb/open.ts';
import { storeContract } from './contract.ts';

const log = pino({ level: 'silent' });
const dir = mkdtempSync(join(tmpdir(), 'tripline-chdb-'));
const openAt = (at: string): Promise<ChdbStore> =>
  openChdbStore({ dir: at, maxMemoryBytes: 1_000_000_000, queryTimeoutMs: 20_000, log });

/** Pid 0 would be this whole process group. */
function killEngine({ enginePid }: ChdbStore): void {
  if (enginePid !== undefined) process.kill(enginePid, 'SIGKILL');
}

storeContract(
  'chdb',
  () => openAt(dir),
  async () => rmSync(dir, { recursive: true }),
);

test('chdb: an engine killed during inserts leaves each of them whole or absent, and what was acknowledged is there', async () => {
  const at = mkdtempSync(join(tmpdir(), 'tripline-chdb-kill-'));
  const store = await openAt(at);
  await store.command(
    'CREATE TABLE tripline.t (batch UInt32, n UInt32) ENGINE = MergeTree ORDER BY batch SETTINGS fsync_after_insert = 1',
  );
  const rowsPerBatch = 2000;
  const acknowledged: number[] = [];
  const unknown: number[] = [];
  for (let batch = 0; batch < 12; batch += 1) {
    const insert = store.insertRows(
      't',
      Array.from({ length: rowsPerBatch }, (_, n) => ({ batch, n })),
    );
    const killed = batch % 4 === 3 ? setTimeout(batch).then(() => killEngine(store)) : Promise.resolve();
    try {
      await insert;
      acknowledged.push(batch);
    } catch (error) {
      assert.ok(isTriplineError(error, 'store_unavailable'));
      unknown.push(batch);
    }
    await killed;
  }
  // The last kill may have come after its insert was acknowledged: the first call then finds the engine gone.
  await store
    .query('SELECT 1')
    .catch((error: unknown) => assert.ok(isTriplineError(error, 'store_unavailable')));
  const rows = await store.query<{ batch: number; n: string }>(
    'SELECT batch, count() n FROM t GROUP BY batch ORDER BY batch',
  );
  const found = new Map(rows.map(({ batch, n }) => [batch, Number(n)]));
  assert.ok(acknowledged.length >= 9, 'the engine was started anew');
  for (const batch of acknowledged) assert.equal(found.get(batch), rowsPerBatch);
  for (const batch of unknown) assert.ok([undefined, rowsPerBatch].includes(found.get(batch)));
  await store.close();
  rmSync(at, { recursive: true });
});
