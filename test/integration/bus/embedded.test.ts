/** What only the embedded bus promises: crash of the process, exclusive directory, retention, compaction, import. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isTriplineError } from '../../../schemas/errors.ts';
import { EmbeddedBus, openEmbeddedBus } from '../../../services/platform/bus/embedded/bus.ts';
import type { BusRecord } from '../../../services/platform/bus/port.ts';
import { systemClock, type Clock } from '../../../services/platform/clock.ts';
import { collector, EVENTS, message, PARTITIONS, readAll, textOf, until, VIEW } from './contract.ts';
import { LOADER } from '../../support/sources/words.ts';

const directories: string[] = [];
after(() => {
  for (const dir of directories) rmSync(dir, { recursive: true, force: true });
});

function directory(): string {
  const dir = mkdtempSync(join(tmpdir(), 'tripline-bus-'));
  directories.push(dir);
  return dir;
}

async function openBus(
  dir: string,
  clock: Clock = systemClock,
  maxQueuedBytes = 2 ** 26,
): Promise<EmbeddedBus> {
  const bus = await openEmbeddedBus({ dir, clock, maxQueuedBytes });
  await bus.ensureTopics([EVENTS, VIEW], PARTITIONS);
  return bus;
}

/** A wall clock that a test sets; timers are real. */
function settableClock(startMs: number): Clock & { set(ms: number): void } {
  let nowMs = startMs;
  return { ...systemClock, nowMs: () => nowMs, set: (ms) => void (nowMs = ms) };
}

async function runSender(dir: string, life: number, lifeMs: number): Promise<string[]> {
  const script = join(dirname(fileURLToPath(import.meta.url)), 'sender.ts');
  const child = spawn(process.execPath, [...LOADER, script, dir, String(life)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(child.stdout, 'data');
  await sleep(lifeMs);
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  await closed;
  return Buffer.concat(chunks).toString('utf8').split('\n').slice(0, -1);
}

test('kill -9 during sends, 4 times: every acknowledged record is there, offsets are dense', async () => {
  const dir = directory();
  const acknowledged: string[] = [];
  for (let life = 0; life < 4; life++) acknowledged.push(...(await runSender(dir, life, 150 + life * 90)));
  const bus = await openBus(dir);
  const stored = new Set<string>();
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const records = await readAll(bus, { topic: EVENTS.name, partition, from: 0 });
    records.forEach((record, index) => assert.equal(record.offset, index));
    for (const record of records) stored.add(`${partition} ${record.offset} ${textOf(record)}`);
    assert.equal(new Set(records.map(textOf)).size, records.length, 'nothing twice');
  }
  await bus.close();
  assert.ok(acknowledged.length > 1000, `only ${acknowledged.length} sends were acknowledged`);
  assert.deepEqual(
    acknowledged.filter((line) => !stored.has(line)),
    [],
  );
});

test('a second opener is refused while the first lives, in this process and in another', async () => {
  const dir = directory();
  const locked = (error: unknown): boolean => isTriplineError(error, 'data_dir_locked');
  const bus = await openBus(dir);
  await assert.rejects(openBus(dir), locked);
  // The refused one left the first in working order.
  await (await bus.producer()).send(EVENTS.name, 0, [message('x')]);
  await bus.close();
  const again = await openBus(dir);
  await again.close();

  const script = join(dirname(fileURLToPath(import.meta.url)), 'sender.ts');
  const child = spawn(process.execPath, [...LOADER, script, dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  await assert.rejects(openBus(dir), locked);
  const closed = once(child, 'close');
  child.kill('SIGKILL');
  child.stdout.resume();
  await closed;
  await (await openBus(dir)).close();
});

test('retention takes what is older from the front; offsets go on; a late reader hears of the loss', async () => {
  const dir = directory();
  const clock = settableClock(1_000_000_000_000);
  let bus = await openBus(dir, clock);
  const producer = await bus.producer();
  for (const text of ['a', 'b', 'c']) await producer.send(EVENTS.name, 0, [message(text)]);
  // The retention of the topic is one hour: these three are older by one ms, the next is not.
  clock.set(1_000_000_000_000 + 1);
  await producer.send(EVENTS.name, 0, [message('d')]);
  clock.set(1_000_000_000_000 + 3_600_000 + 1);
  await bus.maintain();
  assert.deepEqual((await bus.offsets(EVENTS.name))[0], { partition: 0, earliest: 3, latest: 4 });
  await assert.rejects(readAll(bus, { topic: EVENTS.name, partition: 0, from: 2 }), (error) =>
    isTriplineError(error, 'bus_offset_lost'),
  );
  clock.set(1_000_000_000_000 + 3 * 3_600_000);
  await bus.maintain();
  assert.deepEqual((await bus.offsets(EVENTS.name))[0], { partition: 0, earliest: 4, latest: 4 });
  await bus.close();

  bus = await openBus(dir, clock);
  assert.deepEqual((await bus.offsets(EVENTS.name))[0], { partition: 0, earliest: 4, latest: 4 });
  const { baseOffset } = await (await bus.producer()).send(EVENTS.name, 0, [message('e')]);
  assert.equal(baseOffset, 4);
  const errors: unknown[] = [];
  const seen: BusRecord[] = [];
  const consumer = await bus.consume({
    ...collector('g', seen),
    onAssigned: async ({ partition }) => (partition === 0 ? 1 : undefined),
    onError: (error) => errors.push(error),
  });
  await until(() => seen.length === 1, 5000, 'the record that is left');
  assert.equal(seen[0]?.offset, 4);
  assert.equal(errors.length, 1);
  assert.ok(isTriplineError(errors[0], 'bus_offset_lost'));
  await consumer.stop();
  await bus.close();
});

test('compaction keeps the newest of each key, and offsets', async () => {
  const dir = directory();
  const clock = settableClock(1_000_000_000_000);
  let bus = await openBus(dir, clock);
  const producer = await bus.producer();
  await Promise.all(
    Array.from({ length: 1500 }, (_, n) => producer.send(VIEW.name, 0, [message(String(n), `key${n % 7}`)])),
  );
  await producer.send(VIEW.name, 0, [{ key: Buffer.from('key3'), value: null, headers: {} }]);
  await bus.maintain();
  const left = await readAll(bus, { topic: VIEW.name, partition: 0, from: 0 });
  // 1499 = 7 * 214 + 1: keys 0 and 1 end at 1498 and 1499, keys 2 to 6 at 1493 to 1497; key 3 is a tombstone now.
  assert.deepEqual(
    left.map(({ offset }) => offset),
    [1493, 1495, 1496, 1497, 1498, 1499, 1500],
  );
  assert.equal(left.at(-1)?.value, null);
  assert.deepEqual(await bus.offsets(VIEW.name), [{ partition: 0, earliest: 0, latest: 1501 }]);
  // A day later the tombstone goes as well.
  clock.set(1_000_000_000_000 + 86_400_001);
  await producer.send(
    VIEW.name,
    0,
    Array.from({ length: 1000 }, () => message('x', 'key0')),
  );
  await bus.maintain();
  await bus.close();
  bus = await openBus(dir, clock);
  const after1 = await readAll(bus, { topic: VIEW.name, partition: 0, from: 0 });
  assert.deepEqual(
    after1.map((record) => [Buffer.from(record.key ?? []).toString(), record.offset]),
    [
      ['key2', 1493],
      ['key4', 1495],
      ['key5', 1496],
      ['key6', 1497],
      ['key1', 1499],
      ['key0', 2500],
    ],
  );
  // A consumer crosses the holes.
  const seen: BusRecord[] = [];
  const consumer = await bus.consume({ ...collector('g', seen), topics: [VIEW.name] });
  await until(() => seen.length === 6, 5000, 'six records');
  await (await bus.producer()).send(VIEW.name, 0, [message('y', 'key9')]);
  await until(() => seen.length === 7, 5000, 'the next record');
  assert.equal(seen[6]?.offset, 2501);
  await consumer.stop();
  await bus.close();
});

test('a full queue refuses, takes nothing, and takes again once it is flushed', async () => {
  const bus = await openBus(directory(), systemClock, 400_000);
  const producer = await bus.producer();
  const big = { key: null, value: Buffer.alloc(150_000), headers: {} };
  const results = await Promise.allSettled([0, 1, 2].map(() => producer.send(EVENTS.name, 0, [big])));
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected'],
  );
  for (const result of results)
    if (result.status === 'rejected') assert.ok(isTriplineError(result.reason, 'bus_backpressure'));
  assert.equal((await producer.send(EVENTS.name, 0, [big])).baseOffset, 1);
  await bus.close();
});

test('an imported partition keeps offsets and append times', async () => {
  const bus = await openBus(directory());
  const record = (offset: number, appendMs: number): BusRecord => ({
    topic: 'elsewhere',
    partition: 9,
    offset,
    appendMs,
    ...message(`n${offset}`),
  });
  await bus.importPartition(EVENTS.name, 2, [record(0, 500), record(1, 400), record(5, 900)]);
  await assert.rejects(bus.importPartition(EVENTS.name, 2, [record(3, 1)]), (error) =>
    isTriplineError(error, 'bus_failed'),
  );
  const read = await readAll(bus, { topic: EVENTS.name, partition: 2, from: 0 });
  assert.deepEqual(
    read.map(({ offset, appendMs, topic, partition }) => [offset, appendMs, topic, partition]),
    [
      [0, 500, EVENTS.name, 2],
      [1, 400, EVENTS.name, 2],
      [5, 900, EVENTS.name, 2],
    ],
  );
  assert.deepEqual(read.map(textOf), ['n0', 'n1', 'n5']);
  assert.equal((await (await bus.producer()).send(EVENTS.name, 2, [message('next')])).baseOffset, 6);
  await bus.close();
});

test('records of any size and number come back whole through any batch limit', async () => {
  const bus = await openBus(directory());
  const producer = await bus.producer();
  const sizes = Array.from({ length: 700 }, (_, n) => (n % 97 === 0 ? 300_000 : (n * 31) % 2000));
  await Promise.all(
    sizes.map((size, n) =>
      producer.send(EVENTS.name, 0, [{ key: null, value: Buffer.alloc(size, n % 256), headers: {} }]),
    ),
  );
  const seen: BusRecord[] = [];
  const consumer = await bus.consume({ ...collector('g', seen), maxBatchRecords: 13, maxBatchBytes: 10_000 });
  await until(() => seen.length === sizes.length, 10_000, 'all records');
  seen.forEach((record, n) => {
    assert.equal(record.offset, n);
    assert.deepEqual(Buffer.from(record.value ?? []), Buffer.alloc(sizes[n] ?? 0, n % 256));
  });
  await consumer.stop();
  await bus.close();
});
