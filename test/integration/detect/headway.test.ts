/** A process that is killed again and again, long before a snapshot would be due, reads on from where it was. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { TOPICS } from '../../../schemas/topics.ts';
import { busSnapshots } from '../../../services/detect/snapshots.ts';
import { runStage, type StageState } from '../../../services/detect/worker.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { openBus } from './harness.ts';

const RECORDS = 1_000;
const LIFE_MS = 1_600;

test('lives shorter than the interval of snapshots make headway', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'tripline-headway-'));
  const bus = await openBus(dir);
  const producer = await bus.producer();
  const message = { key: null, value: new Uint8Array(1), headers: {} };
  await producer.send(
    TOPICS.toolcalls.name,
    0,
    Array.from({ length: RECORDS }, () => message),
  );
  /** First record that each life has read. */
  const begun: number[] = [];
  for (let life = 0; life < 3; life++) {
    let first: number | undefined;
    const state: StageState = {
      process: ({ offset }) => {
        if (first === undefined) begun.push((first = offset));
      },
      // So slow that no life comes to the end.
      publish: () => sleep(200),
      snapshot: () => ({ life }),
      renew: () => undefined,
      wantsTicks: () => [],
    };
    const stage = await runStage({
      group: `headway-${life}`,
      topic: TOPICS.toolcalls.name,
      bus,
      clock: systemClock,
      log: pino({ level: 'silent' }),
      snapshots: busSnapshots(bus, producer, () => 'same'),
      snapshotEveryEvents: 1_000_000,
      snapshotEveryMs: 3_600_000,
      create: () => state,
      tick: async () => undefined,
      onError: (error) => {
        throw error;
      },
    });
    await sleep(LIFE_MS);
    // Nothing is saved at the end of a life.
    await stage.stop();
  }
  await bus.close();
  rmSync(dir, { recursive: true, force: true });
  assert.equal(begun.length, 3);
  assert.equal(begun[0], 0);
  assert.ok((begun[1] ?? 0) > 0 && (begun[2] ?? 0) > (begun[1] ?? 0), `began at ${begun.join()}`);
});
