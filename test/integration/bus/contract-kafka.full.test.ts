/** The contract over a real broker, and what a broker's faults do to concurrent sends. */
import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openKafkaBus } from '../../../services/platform/bus/kafka/bus.ts';
import type { Bus } from '../../../services/platform/bus/port.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { brokerMissing, freePort, startBroker } from '../../support/kafka/broker.ts';
import { startProxy } from '../../support/kafka/proxy.ts';
import {
  collector,
  contractSuite,
  EVENTS,
  message,
  PARTITIONS,
  readAll,
  textOf,
  until,
  VIEW,
} from './contract.ts';
import type { BusRecord } from '../../../services/platform/bus/port.ts';

const missing = await brokerMissing();

if (missing !== undefined) {
  test('bus over Kafka', { skip: missing }, () => undefined);
} else {
  const dir = await mkdtemp(join(tmpdir(), 'tripline-kafka-'));
  const proxyPort = await freePort();
  const broker = await startBroker({ dir, advertisedPort: proxyPort });
  const proxy = await startProxy(proxyPort, broker.port);
  let opened = 0;
  const openBus = (namePrefix: string): Promise<Bus> =>
    openKafkaBus({
      brokers: [`127.0.0.1:${proxyPort}`],
      clientId: 'contract',
      namePrefix,
      replicationFactor: 1,
      maxQueuedBytes: 64 * 1024 * 1024,
      sessionTimeoutMs: 6000,
      clock: systemClock,
    });
  after(async () => {
    await proxy.close();
    await broker.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  contractSuite('Kafka bus', async () => {
    const namePrefix = `t${opened++}.`;
    const open = () => openBus(namePrefix);
    return { open, reopen: open, patienceMs: 20_000 };
  });

  suite('Kafka bus under faults', () => {
    /** Sends to every partition from eight callers while `disturb` runs, then compares what was acknowledged with what is stored. */
    async function acknowledgedIsStored(disturb: () => Promise<void>): Promise<void> {
      const bus = await openBus(`t${opened++}.`);
      try {
        await bus.ensureTopics([EVENTS, VIEW], PARTITIONS);
        const producer = await bus.producer();
        const seen: BusRecord[] = [];
        const consumer = await bus.consume(collector('g', seen));
        const acknowledged: Map<number, string>[] = Array.from({ length: PARTITIONS }, () => new Map());
        const order: string[][] = Array.from({ length: PARTITIONS }, () => []);
        const sending = new AbortController();
        let sent = 0;
        const caller = async (): Promise<void> => {
          while (!sending.signal.aborted) {
            const partition = sent % PARTITIONS;
            const texts = Array.from({ length: 1 + (sent % 5) }, () => String(sent++));
            order[partition]?.push(...texts);
            const { baseOffset } = await producer.send(
              EVENTS.name,
              partition,
              texts.map((text) => message(text)),
            );
            texts.forEach((text, index) => acknowledged[partition]?.set(baseOffset + index, text));
            await sleep(1);
          }
        };
        const callers = Array.from({ length: 8 }, caller);
        await sleep(500);
        await disturb();
        await sleep(500);
        sending.abort();
        await Promise.all(callers);
        let total = 0;
        for (let partition = 0; partition < PARTITIONS; partition++) {
          const stored = await readAll(bus, { topic: EVENTS.name, partition, from: 0 });
          // Everything acknowledged, in call order, once, at the offsets that were named.
          assert.deepEqual(stored.map(textOf), order[partition]);
          assert.deepEqual(
            stored.map((record) => [record.offset, textOf(record)]),
            [...(acknowledged[partition] ?? [])].toSorted(([a], [b]) => a - b),
          );
          assert.ok(stored.every((record, index) => record.offset === index));
          total += stored.length;
        }
        assert.ok(total > 500, `only ${total} records were sent`);
        await until(() => new Set(seen.map(textOf)).size === total, 60_000, `${total} records consumed`);
        for (let partition = 0; partition < PARTITIONS; partition++) {
          // Redelivery may repeat records, but a record never comes before one below it came.
          let highest = -1;
          for (const record of seen.filter((one) => one.partition === partition)) {
            assert.ok(record.offset <= highest + 1, `jump to ${record.offset} after ${highest}`);
            highest = Math.max(highest, record.offset);
          }
        }
        await consumer.stop();
      } finally {
        await bus.close();
      }
    }

    test('connections reset 20 times', { timeout: 240_000 }, () =>
      acknowledgedIsStored(async () => {
        for (let n = 0; n < 20; n++) {
          proxy.reset();
          await sleep(150 + ((n * 37) % 200));
        }
      }),
    );

    test('connections that end in the midst of an answer, 20 times', { timeout: 240_000 }, () =>
      acknowledgedIsStored(async () => {
        for (let n = 0; n < 20; n++) {
          const spare = proxy.tear();
          await sleep(150 + ((n * 37) % 200));
          spare();
        }
      }),
    );

    test('clean restart of the broker', { timeout: 240_000 }, () =>
      acknowledgedIsStored(async () => {
        await broker.stop();
        await broker.start();
        await sleep(3000);
      }),
    );

    test('kill -9 of the broker, 5 times', { timeout: 480_000 }, () =>
      acknowledgedIsStored(async () => {
        for (let n = 0; n < 5; n++) {
          await broker.kill();
          await broker.start();
          await sleep(4000 + n * 300);
        }
      }),
    );
  });
}
