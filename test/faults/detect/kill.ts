/** kill -9 of a process that runs detect, at random points, and the comparison with an uninterrupted reader. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { TOPICS } from '../../../schemas/topics.ts';
import type { EmbeddedBus } from '../../../services/platform/bus/embedded/bus.ts';
import {
  alertIds,
  alertsOf,
  configOf,
  openBus,
  recordsOf,
  runDetect,
} from '../../integration/detect/harness.ts';
import { LOADER } from '../../support/sources/words.ts';

const READY = 'ready\n';
const MAX_TURNS = 60;
const MAX_MOMENT_MS = 30;
const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url));

/** Ends a life after so many turns of its load, and a moment more: anywhere in the work that they began. */
async function runAndKill(dir: string, turns: number): Promise<void> {
  const child = spawn(process.execPath, [...LOADER, CHILD, dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const worked = new Promise<void>((resolve) => {
    let bytes = 0;
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes >= READY.length + turns) resolve();
    });
  });
  await Promise.race([worked, exited]);
  assert.equal(child.exitCode, null, 'the child ended by itself');
  await sleep(Math.random() * MAX_MOMENT_MS);
  child.kill('SIGKILL');
  await exited;
}

/** Runs detect until nothing moves any more: all absences decided, no TICK wanted. */
async function settle(bus: EmbeddedBus, timeoutMs: number): Promise<void> {
  const detect = await runDetect(bus, configOf());
  const endMs = Date.now() + timeoutMs;
  let seen = '';
  let sinceMs = Date.now();
  while (Date.now() - sinceMs < 3_000) {
    assert.ok(Date.now() < endMs, 'detect did not come to rest');
    await sleep(100);
    const topics = [TOPICS.toolcalls.name, TOPICS.facts.name, TOPICS.alerts.name];
    const now = JSON.stringify(await Promise.all(topics.map((topic) => bus.offsets(topic))));
    if (now !== seen) sinceMs = Date.now();
    seen = now;
  }
  await detect.stop();
}

export async function killRounds(
  rounds: number,
): Promise<{ readonly alerts: number; readonly calls: number }> {
  const root = mkdtempSync(join(tmpdir(), 'tripline-detect-kill-'));
  try {
    const dir = join(root, 'live');
    for (let round = 0; round < rounds; round++) await runAndKill(dir, Math.floor(Math.random() * MAX_TURNS));
    const live = await openBus(dir);
    await settle(live, 60_000);
    const told = await alertsOf(live);
    const byId = new Map<string, string>();
    for (const line of told) {
      const text = JSON.stringify(line);
      assert.equal(byId.get(line.alert.id) ?? text, text, 'a second publication is the same bytes');
      byId.set(line.alert.id, text);
    }
    const fresh = await openBus(join(root, 'fresh'));
    const calls = await recordsOf(live, TOPICS.toolcalls.name);
    for (let partition = 0; partition < live.partitionCount(TOPICS.toolcalls.name); partition++) {
      const own = calls.filter((record) => record.partition === partition);
      await fresh.importPartition(TOPICS.toolcalls.name, partition, own);
    }
    await settle(fresh, 60_000);
    const expected = await alertIds(fresh);
    assert.deepEqual(await alertIds(live), expected);
    await live.close();
    await fresh.close();
    return { alerts: expected.length, calls: calls.length };
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}
