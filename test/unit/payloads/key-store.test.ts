import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openKeyStore, type KeyStore } from '../../../services/platform/payloads/key-store.ts';
import { filesHoldingBytes } from '../../support/erasure/people.ts';

const dir = mkdtempSync(join(tmpdir(), 'tripline-keys-'));
after(() => rmSync(dir, { recursive: true, force: true }));

async function withKeys<Result>(act: (keys: KeyStore) => Promise<Result>): Promise<Result> {
  const keys = openKeyStore(dir, randomBytes);
  try {
    return await act(keys);
  } finally {
    await keys.close();
  }
}

test('a name has one key, over restarts, until it is released or destroyed; none is in any file then', async () => {
  const first = await withKeys((keys) => keys.obtain(['a', 'b', 'a']));
  const [a, b] = [first.get('a'), first.get('b')];
  assert.ok(a !== undefined && b !== undefined);
  assert.notEqual(a.number, b.number);
  assert.equal(a.key.length, 32);
  const again = await withKeys((keys) => keys.obtain(['b', 'a']));
  assert.deepEqual(
    [again.get('a'), again.get('b')].map((one) => Buffer.from(one?.key ?? [])),
    [a, b].map((one) => Buffer.from(one.key)),
  );

  const released = await withKeys(async (keys) => {
    await keys.release([a.number]);
    return { fresh: (await keys.obtain(['a'])).get('a'), old: (await keys.read([a.number])).get(a.number) };
  });
  assert.notEqual(released.fresh?.number, a.number);
  assert.deepEqual(Buffer.from(released.old ?? []), Buffer.from(a.key));

  assert.notDeepEqual(filesHoldingBytes(dir, [a.key]), []);
  await withKeys((keys) => keys.destroy([a.number, 4711, -1]));
  assert.deepEqual(filesHoldingBytes(dir, [a.key]), []);
  const left = await withKeys((keys) => keys.read([a.number, b.number, 0, 4711]));
  assert.deepEqual([...left.keys()], [b.number]);

  // A name whose key was destroyed without a release gets another one, under a number that was never given.
  await withKeys((keys) => keys.destroy([b.number]));
  const next = (await withKeys((keys) => keys.obtain(['b']))).get('b');
  assert.ok(next !== undefined && ![a.number, b.number, released.fresh?.number].includes(next.number));
});
