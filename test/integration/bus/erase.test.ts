/** Lines out of the embedded log, for good: not a byte in its files, everything else where it was. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openEmbeddedBus, type EmbeddedBus } from '../../../services/platform/bus/embedded/bus.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { filesHolding } from '../../support/erasure/people.ts';
import { EVENTS, PARTITIONS, VIEW } from './contract.ts';

const dir = mkdtempSync(join(tmpdir(), 'tripline-bus-erase-'));
after(() => rmSync(dir, { recursive: true, force: true }));

async function openBus(): Promise<EmbeddedBus> {
  const bus = await openEmbeddedBus({ dir, clock: systemClock, maxQueuedBytes: 2 ** 26 });
  await bus.ensureTopics([EVENTS, VIEW], PARTITIONS);
  return bus;
}

async function values(bus: EmbeddedBus): Promise<string[]> {
  const found: string[] = [];
  for await (const records of bus.read({ topic: EVENTS.name, partition: 0, from: 0 }))
    for (const record of records)
      found.push(`${record.offset} ${Buffer.from(record.value ?? []).toString()}`);
  return found;
}

test('erased lines are empty ones, while others are sent; a start goes on with the new files', async () => {
  const bus = await openBus();
  const producer = await bus.producer();
  const send = (value: string) =>
    producer.send(EVENTS.name, 0, [{ key: null, value: Buffer.from(value), headers: {} }]);
  for (let n = 0; n < 200; n += 1) await send(`keep-${n}\nsecret-word-${n % 10}\nkeep too`);
  assert.notDeepEqual(filesHolding(dir, ['secret-word-3']), []);
  const erased = await bus.eraseLines(
    EVENTS.name,
    (_record, _line, bytes) => Buffer.from(bytes).toString() === 'secret-word-3',
  );
  assert.equal(erased, 20);
  const during = Array.from({ length: 50 }, (_, n) => send(`during-${n}`));
  await bus.renewFiles();
  await Promise.all(during);
  await send('after');
  const expected = [
    ...Array.from(
      { length: 200 },
      (_, n) => `${n} keep-${n}\n${n % 10 === 3 ? '' : `secret-word-${n % 10}`}\nkeep too`,
    ),
    ...Array.from({ length: 50 }, (_, n) => `${200 + n} during-${n}`),
    '250 after',
  ];
  assert.deepEqual(await values(bus), expected);
  assert.deepEqual(filesHolding(dir, ['secret-word-3']), []);
  await producer.close();
  await bus.close();

  // What a crash leaves of a copy that was not finished is nobody's.
  mkdirSync(join(dir, 'g7'));
  writeFileSync(join(dir, 'g7', 'data.mdb'), 'secret-word-3');
  const again = await openBus();
  assert.deepEqual(await values(again), expected);
  assert.deepEqual(readdirSync(dir).toSorted(), ['current', 'g1']);
  await again.dropRecords(EVENTS.name);
  assert.deepEqual(await again.offsets(EVENTS.name).then((all) => all[0]), {
    partition: 0,
    earliest: 251,
    latest: 251,
  });
  await again.close();
});
