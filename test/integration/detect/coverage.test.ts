import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { TOPICS } from '../../../schemas/topics.ts';
import { alertsOf, configOf, openBus, recordsOf, runDetect, sendCall, until } from './harness.ts';

test('more sessions than the budget holds become a coverage alert; an idle partition is snapshotted', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tripline-coverage-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const bus = await openBus(dir);
  const producer = await bus.producer();
  const detectConfig = {
    maxStates: 8,
    maxStatesPerTenant: 8,
    snapshotEveryEvents: 1_000_000,
    snapshotEveryMs: 300,
  };
  const detect = await runDetect(bus, configOf({ detect: detectConfig }));
  // Sent at once: the snapshots come after the last batch, when nothing moves any more.
  await Promise.all(
    Array.from({ length: 60 }, (_, n) =>
      sendCall(producer, { session: `s${n}`, seq: 0, tool: 'web_search' }),
    ),
  );
  const coverage = async (): Promise<number> =>
    (await alertsOf(bus)).filter((line) => line.alert.ruleId === 'tripline.coverage-degraded').length;
  await until(async () => (await coverage()) > 0, 60_000, 'coverage alert');
  const manifests = async (): Promise<number> => {
    const newest = new Map<string, number>();
    for (const record of await recordsOf(bus, TOPICS.detectState.name)) {
      const [topic, partition, , part] = new TextDecoder().decode(record.key ?? undefined).split('\0');
      if (topic !== TOPICS.toolcalls.name || part !== 'manifest') continue;
      const manifest = JSON.parse(new TextDecoder().decode(record.value ?? undefined)) as {
        nextOffset: number;
      };
      newest.set(partition ?? '', manifest.nextOffset);
    }
    return [...newest.values()].reduce((sum, offset) => sum + offset, 0);
  };
  await until(async () => (await manifests()) === 60, 60_000, 'snapshots that hold every record');
  await detect.stop();
  const alert = (await alertsOf(bus)).find(
    (line) => line.alert.ruleId === 'tripline.coverage-degraded',
  )?.alert;
  assert.equal(alert?.key['reason'], 'states_evicted');
  assert.equal(alert?.action, undefined);
  await bus.close();
});
