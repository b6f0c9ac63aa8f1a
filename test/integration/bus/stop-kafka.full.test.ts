/** Members and producers end within seconds, whatever their broker and their group do. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { isTriplineError } from '../../../schemas/errors.ts';
import { openKafkaBus } from '../../../services/platform/bus/kafka/bus.ts';
import type { Bus, BusRecord } from '../../../services/platform/bus/port.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { brokerMissing, startBroker } from '../../support/kafka/broker.ts';
import { collector, EVENTS, message, PARTITIONS, until, VIEW } from './contract.ts';

/** Twice what a part waits for its broker before it cuts its connections. */
const WITHIN_MS = 15_000;

const missing = await brokerMissing();
if (missing === undefined) suite('stop over Kafka', stopped);
else test('stop over Kafka', { skip: missing }, () => undefined);

async function endsInTime(work: Promise<unknown>, what: string): Promise<void> {
  const waiting = new AbortController();
  const late = systemClock.sleep(WITHIN_MS, waiting.signal).then(() => 'late');
  const first = await Promise.race([work.then(() => 'ended'), late]);
  waiting.abort();
  assert.equal(first, 'ended', what);
}

async function stopped(): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'tripline-stop-'));
  const broker = await startBroker({ dir });
  const open = async (): Promise<Bus> => {
    const bus = await openKafkaBus({
      brokers: [`127.0.0.1:${broker.port}`],
      clientId: 'stop',
      namePrefix: '',
      replicationFactor: 1,
      maxQueuedBytes: 1024 * 1024,
      sessionTimeoutMs: 6000,
      clock: systemClock,
    });
    await bus.ensureTopics([EVENTS, VIEW], PARTITIONS);
    return bus;
  };
  after(async () => {
    await broker.kill();
    rmSync(dir, { recursive: true, force: true });
  });

  test('a member whose group waits for a busy one', { timeout: 120_000 }, async () => {
    const [busyBus, bus] = [await open(), await open()];
    const producer = await busyBus.producer();
    const free = new AbortController();
    let busy = 0;
    const holder = await busyBus.consume({
      group: 'held',
      topics: [EVENTS.name],
      onBatch: async () => {
        busy++;
        await systemClock.sleep(110_000, free.signal);
      },
    });
    const member = await bus.consume(collector('held', []));
    for (let partition = 0; partition < PARTITIONS; partition++)
      await producer.send(EVENTS.name, partition, [message('held')]);
    await until(() => busy > 0, 60_000, 'a handler that holds its group');
    const third = await open();
    // Its join makes the others join again, which the busy one does not.
    const joining = third.consume(collector('held', []));
    await systemClock.sleep(1000);
    await endsInTime(member.stop(), 'the member that joins again');
    free.abort();
    await (await joining).stop();
    await holder.stop();
    await Promise.all([busyBus.close(), bus.close(), third.close()]);
  });

  test('members and a producer whose broker was killed', { timeout: 120_000 }, async () => {
    const bus = await open();
    const producer = await bus.producer();
    const seen: BusRecord[] = [];
    const members = [await bus.consume(collector('one', seen)), await bus.consume(collector('two', seen))];
    await producer.send(EVENTS.name, 0, [message('before')]);
    await until(() => seen.length > 0, 60_000, 'the first record');
    await broker.kill();
    const unknown = producer.send(EVENTS.name, 0, [message('unknown')]).then(
      () => 'acknowledged',
      (error: unknown) => (isTriplineError(error) ? error.code : error),
    );
    await systemClock.sleep(1000);
    await endsInTime(Promise.all(members.map((member) => member.stop())), 'the members');
    await endsInTime(producer.close(), 'the producer');
    assert.equal(await unknown, 'bus_unavailable');
    await endsInTime(bus.close(), 'the bus');
  });
}
