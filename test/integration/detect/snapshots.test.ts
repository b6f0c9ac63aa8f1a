import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TOPICS } from '../../../schemas/topics.ts';
import { busSnapshots } from '../../../services/detect/snapshots.ts';
import { openBus, recordsOf } from './harness.ts';

test('a snapshot of several chunks comes back whole; one that was cut off leaves the one before', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tripline-snapshots-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const bus = await openBus(dir);
  const producer = await bus.producer();
  const at = { topic: TOPICS.toolcalls.name, partition: 2 };
  const store = busSnapshots(bus, producer, () => 'settings');
  // Random text does not shrink: 1.5 MB stay more than two chunks.
  const states = [0, 1, 2].map((n) => ({ n, text: randomBytes(1_500_000).toString('base64') }));
  await store.save(at, { state: states[0], nextOffset: 10, generation: 0 });
  await store.save(at, { state: states[1], nextOffset: 20, generation: 1 });
  assert.deepEqual(await store.load(at), { state: states[1], nextOffset: 20, generation: 1 });
  assert.equal(await store.load({ ...at, partition: 1 }), undefined);
  assert.equal(await busSnapshots(bus, producer, () => 'other settings').load(at), undefined);
  const { name } = TOPICS.detectState;
  const written = await recordsOf(bus, name);
  const chunks = written.filter(
    (record) => !new TextDecoder().decode(record.key ?? undefined).endsWith('manifest'),
  );
  assert.ok(chunks.length >= 6, `${chunks.length} chunks`);
  assert.ok(chunks.every((record) => (record.value?.length ?? 0) <= 512 * 1024));
  // Killed while generation 2 was written into the slot of generation 0: one chunk is new, its manifest is old.
  const first = chunks[0];
  assert.ok(first?.key);
  await producer.send(name, 0, [{ key: first.key, value: randomBytes(1000), headers: {} }]);
  assert.equal((await store.load(at))?.generation, 1);
  await bus.close();
});
