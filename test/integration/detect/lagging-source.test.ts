import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { alertsOf, configOf, openBus, runDetect, sendCall } from './harness.ts';

test('a chain over sessions is told although one partition is silent and the others never are', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'tripline-lagging-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const bus = await openBus(dir);
  const producer = await bus.producer();
  const detect = await runDetect(bus, configOf());
  let seq = 0;
  const stopping = new AbortController();
  // Facts of one partition all the time, so that the facts topic is never silent; the other partitions say nothing.
  const load = (async () => {
    while (!stopping.signal.aborted) {
      await sendCall(producer, { session: 'busy', seq: seq++, tool: 'fetch_url', agent: 'A' });
      await sleep(50);
    }
  })();
  const relay = { tool: 'write_file', args: { path: 'n/1' } };
  await sendCall(producer, { session: 'alpha', seq: 0, tool: 'fetch_url', agent: 'A' });
  await sendCall(producer, { session: 'alpha', seq: 1, ...relay, agent: 'A' });
  await sendCall(producer, { session: 'beta', seq: 0, ...relay, tool: 'read_file', agent: 'B' });
  await sendCall(producer, { session: 'beta', seq: 1, tool: 'http_post', agent: 'B' });
  const endMs = Date.now() + 10_000;
  while ((await alertsOf(bus)).length === 0 && Date.now() < endMs) await sleep(100);
  const told = (await alertsOf(bus)).map(({ alert }) => alert.ruleId);
  stopping.abort();
  await load;
  await detect.stop();
  await bus.close();
  assert.deepEqual(told, ['cross.agent-relay']);
});
