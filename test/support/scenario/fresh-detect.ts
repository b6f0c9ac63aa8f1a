/** Detection by a fresh group over a log that another deployment wrote: same records, offsets, append times. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { TOPICS } from '../../../schemas/topics.ts';
import type { EmbeddedBus } from '../../../services/platform/bus/embedded/bus.ts';
import type { Bus, BusRecord } from '../../../services/platform/bus/port.ts';
import { alertIds, configOf, openBus, PARTITIONS, runDetect } from '../../integration/detect/harness.ts';

/** All records of a topic, by partition. */
export async function recordsByPartition(bus: Bus, topic: string): Promise<BusRecord[][]> {
  const all: BusRecord[][] = [];
  for (let partition = 0; partition < bus.partitionCount(topic); partition++) {
    const records: BusRecord[] = [];
    for await (const part of bus.read({ topic, partition, from: 0 })) records.push(...part);
    all.push(records);
  }
  return all;
}

export interface FreshDetection {
  readonly ids: readonly string[];
  /** Records that detection itself appended to topic toolcalls (TICKs). */
  readonly appended: number;
}

const QUIET_MS = 15_000;

/** Runs detect over an import of the tool calls in `dir` until nothing moves any more. */
export async function detectAnew(
  dir: string,
  calls: readonly (readonly BusRecord[])[],
  withinMs: number,
  config: Record<string, unknown> = {},
): Promise<FreshDetection> {
  assert.equal(calls.length, PARTITIONS);
  const bus = await openBus(dir);
  try {
    for (const [partition, records] of calls.entries())
      await bus.importPartition(TOPICS.toolcalls.name, partition, records);
    await rest(bus, withinMs, config);
    const before = calls.reduce((sum, records) => sum + records.length, 0);
    const offsets = await bus.offsets(TOPICS.toolcalls.name);
    const after = offsets.reduce((sum, { latest }) => sum + latest, 0);
    return { ids: await alertIds(bus), appended: after - before };
  } finally {
    await bus.close();
  }
}

async function rest(bus: EmbeddedBus, withinMs: number, config: Record<string, unknown>): Promise<void> {
  const detect = await runDetect(bus, configOf(config));
  // All shipped rules run: on a busy machine they need their time.
  const endMs = Date.now() + 3 * withinMs;
  let seen = '';
  let sinceMs = Date.now();
  while (Date.now() - sinceMs < QUIET_MS) {
    assert.ok(Date.now() < endMs, 'detection did not come to rest');
    await sleep(200);
    const topics = [TOPICS.toolcalls.name, TOPICS.facts.name, TOPICS.alerts.name];
    const now = JSON.stringify(await Promise.all(topics.map((topic) => bus.offsets(topic))));
    if (now !== seen) sinceMs = Date.now();
    seen = now;
  }
  await detect.stop();
}
