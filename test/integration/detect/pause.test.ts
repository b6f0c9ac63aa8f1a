/** A stage that has much to work through lets others work, and tells what it has found before it is through. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { TOPICS } from '../../../schemas/topics.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { runStage, type StageState } from '../../../services/detect/worker.ts';
import { openBus } from './harness.ts';

const RECORDS = 40;
const RECORD_MS = 15;

function burn(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

test('a long batch is worked through in slices', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tripline-pause-'));
  const bus = await openBus(dir);
  const offsets: number[] = [];
  const toldAt: number[] = [];
  const state: StageState = {
    process: ({ offset }) => {
      burn(RECORD_MS);
      offsets.push(offset);
    },
    publish: async () => void toldAt.push(offsets.length),
    snapshot: () => null,
    renew: () => undefined,
    wantsTicks: () => [],
  };
  const producer = await bus.producer();
  const messages = Array.from({ length: RECORDS }, (_, n) => ({
    key: null,
    value: new Uint8Array([n]),
    headers: {},
  }));
  await producer.send(TOPICS.toolcalls.name, 0, messages);
  const seen = new Set<number>();
  const watch = setInterval(() => seen.add(offsets.length), 1);
  const stage = await runStage({
    group: 'pause',
    topic: TOPICS.toolcalls.name,
    bus,
    clock: systemClock,
    log: pino({ level: 'silent' }),
    snapshots: { load: async () => undefined, save: async () => undefined },
    snapshotEveryEvents: 1_000_000,
    snapshotEveryMs: 1_000_000,
    create: () => state,
    tick: async () => undefined,
    onError: (error) => {
      throw error;
    },
  });
  try {
    while (offsets.length < RECORDS) await sleep(5);
    await sleep(20);
    assert.deepEqual(
      offsets,
      Array.from({ length: RECORDS }, (_, n) => n),
    );
    seen.delete(0);
    seen.delete(RECORDS);
    assert.ok(seen.size >= 5, `others ran after ${[...seen].join()} records`);
    assert.ok(toldAt[0] !== undefined && toldAt[0] < RECORDS, `first told after ${toldAt[0]} records`);
    assert.equal(toldAt.at(-1), RECORDS);
  } finally {
    clearInterval(watch);
    await stage.stop();
    await bus.close();
    rmSync(dir, { recursive: true, force: true });
  }
});
