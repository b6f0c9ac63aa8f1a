/** The contract of services/platform/bus/port.ts as one suite over both adapters. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isTriplineError } from '../../../schemas/errors.ts';
import type { TopicSpec } from '../../../schemas/topics.ts';
import type {
  Bus,
  BusConsumer,
  BusMessage,
  BusRecord,
  ConsumeOptions,
  TopicPartition,
} from '../../../services/platform/bus/port.ts';

export const EVENTS: TopicSpec = {
  name: 'contract.events.v1',
  cleanup: 'delete',
  retentionMs: 3_600_000,
  partitioning: 'data',
};
export const VIEW: TopicSpec = {
  name: 'contract.view.v1',
  cleanup: 'compact',
  retentionMs: undefined,
  partitioning: 'single',
};
export const PARTITIONS = 4;

export interface Subject {
  /** A bus of its own: no topic of another test is in it. */
  open(): Promise<Bus>;
  /** Opens again what `open` gave, after it was closed. */
  reopen(): Promise<Bus>;
  /** Takes longest for one thing to come through. */
  readonly patienceMs: number;
}

export const message = (text: string, key: string | null = 'k'): BusMessage => ({
  key: key === null ? null : Buffer.from(key),
  value: Buffer.from(text),
  headers: { format: 'events/1', n: text },
});
export const textOf = (record: BusRecord): string => Buffer.from(record.value ?? []).toString('utf8');

export async function readAll(
  bus: Bus,
  at: TopicPartition & { from: number; to?: number },
): Promise<BusRecord[]> {
  const records: BusRecord[] = [];
  for await (const piece of bus.read(at)) records.push(...piece);
  return records;
}

export async function until(condition: () => boolean, patienceMs: number, what: string): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!condition()) {
    if (performance.now() > deadline) assert.fail(`not seen within ${patienceMs} ms: ${what}`);
    await sleep(5);
  }
}

/** A member that keeps what it saw and commits each batch. */
export function collector(group: string, seen: BusRecord[]): ConsumeOptions {
  return {
    group,
    topics: [EVENTS.name],
    onBatch: async (batch, context) => {
      await context.heartbeat();
      seen.push(...batch.records);
      await context.commit((batch.records.at(-1)?.offset ?? 0) + 1);
    },
  };
}

const at = (partition: number, topic = EVENTS.name): TopicPartition => ({ topic, partition });

export function contractSuite(name: string, subject: () => Promise<Subject>): void {
  const withBus = (title: string, run: (bus: Bus, subject: Subject) => Promise<void>): void => {
    test(title, async () => {
      const made = await subject();
      const bus = await made.open();
      try {
        await bus.ensureTopics([EVENTS, VIEW], PARTITIONS);
        await run(bus, made);
      } finally {
        await bus.close();
      }
    });
  };

  suite(name, () => {
    withBus('offsets are dense from 0 and bytes come back as they went in', async (bus) => {
      const producer = await bus.producer();
      const before = Date.now();
      const value = Buffer.from([0, 255, 10, 13, 0xc3, 0x28]);
      const first = await producer.send(EVENTS.name, 1, [
        { key: Buffer.from([0, 1]), value, headers: { a: 'é', __proto__x: '1' } },
        { key: null, value: Buffer.alloc(0), headers: {} },
      ]);
      const second = await producer.send(EVENTS.name, 1, [message('third')]);
      assert.equal(first.baseOffset, 0);
      assert.equal(second.baseOffset, 2);
      const records = await readAll(bus, { ...at(1), from: 0 });
      assert.deepEqual(
        records.slice(0, 2).map(({ offset, key, value: bytes, headers }) => ({
          offset,
          key: key === null ? null : [...key],
          value: [...(bytes ?? [])],
          headers: { ...headers },
        })),
        [
          { offset: 0, key: [0, 1], value: [...value], headers: { a: 'é', __proto__x: '1' } },
          { offset: 1, key: null, value: [], headers: {} },
        ],
      );
      assert.deepEqual(
        records.map(({ offset }) => offset),
        [0, 1, 2],
      );
      assert.equal(records[0]?.appendMs, first.appendMs);
      for (const { appendMs } of records) assert.ok(Math.abs(appendMs - before) < 60_000, String(appendMs));
    });

    withBus('offsets of a topic name each partition', async (bus) => {
      const producer = await bus.producer();
      await producer.send(
        EVENTS.name,
        1,
        ['a', 'b', 'c'].map((text) => message(text)),
      );
      assert.deepEqual(await bus.offsets(EVENTS.name), [
        { partition: 0, earliest: 0, latest: 0 },
        { partition: 1, earliest: 0, latest: 3 },
        { partition: 2, earliest: 0, latest: 0 },
        { partition: 3, earliest: 0, latest: 0 },
      ]);
    });

    withBus('concurrent sends of a partition keep their call order', async (bus) => {
      const producer = await bus.producer();
      const sends = Array.from({ length: 400 }, (_, n) =>
        producer.send(EVENTS.name, n % 2, [message(`${n}a`), message(`${n}b`)]),
      );
      const results = await Promise.all(sends);
      for (const partition of [0, 1]) {
        const records = await readAll(bus, { ...at(partition), from: 0 });
        const expected = Array.from({ length: 400 }, (_, n) => n)
          .filter((n) => n % 2 === partition)
          .flatMap((n) => [`${n}a`, `${n}b`]);
        assert.deepEqual(records.map(textOf), expected);
      }
      assert.deepEqual(
        results.map((result) => result.baseOffset),
        Array.from({ length: 400 }, (_, n) => Math.floor(n / 2) * 2),
      );
      assert.equal(producer.oldestPendingMs(), 0);
    });

    withBus('a range is read from within, and below the earliest is an error of its own', async (bus) => {
      const producer = await bus.producer();
      await producer.send(
        EVENTS.name,
        0,
        Array.from({ length: 50 }, (_, n) => message(String(n))),
      );
      const middle = await readAll(bus, { ...at(0), from: 17, to: 20 });
      assert.deepEqual(middle.map(textOf), ['17', '18', '19']);
      assert.deepEqual(await readAll(bus, { ...at(0), from: 50 }), []);
      assert.deepEqual(await readAll(bus, { ...at(3), from: 0 }), []);
      await assert.rejects(readAll(bus, { ...at(0), from: -1 }), (error) =>
        isTriplineError(error, 'bus_offset_lost'),
      );
    });

    withBus('a record over the limit is refused and its neighbours are not', async (bus) => {
      const producer = await bus.producer();
      const large = producer.send(EVENTS.name, 0, [
        { key: null, value: Buffer.alloc(1_100_000), headers: {} },
      ]);
      const small = producer.send(EVENTS.name, 0, [message('small')]);
      await assert.rejects(large, (error) => isTriplineError(error, 'bus_record_too_large'));
      assert.equal((await small).baseOffset, 0);
      const manyLarge = Array.from({ length: 6 }, () => ({
        key: null,
        value: Buffer.alloc(786_432, 7),
        headers: {},
      }));
      assert.equal((await producer.send(EVENTS.name, 0, manyLarge)).baseOffset, 1);
      assert.equal((await readAll(bus, { ...at(0), from: 0 })).length, 7);
    });

    withBus('another partition count refuses to start', async (bus) => {
      await assert.rejects(bus.ensureTopics([EVENTS], PARTITIONS + 1), (error) =>
        isTriplineError(error, 'bus_partition_mismatch'),
      );
      await bus.ensureTopics([EVENTS, VIEW], PARTITIONS);
      assert.equal(bus.partitionCount(EVENTS.name), PARTITIONS);
      assert.equal(bus.partitionCount(VIEW.name), 1);
    });

    withBus('a group goes on where it committed', async (bus, { patienceMs }) => {
      const producer = await bus.producer();
      for (let n = 0; n < 20; n++) await producer.send(EVENTS.name, n % PARTITIONS, [message(String(n))]);
      const first: BusRecord[] = [];
      const one = await bus.consume(collector('g', first));
      await until(() => first.length === 20, patienceMs, '20 records');
      await one.stop();
      assert.equal(await bus.committed('g', at(0)), 5);
      assert.equal(await bus.committed('other', at(0)), undefined);
      await producer.send(EVENTS.name, 0, [message('after')]);
      const second: BusRecord[] = [];
      const two = await bus.consume(collector('g', second));
      await until(() => second.length > 0, patienceMs, 'the record after the commit');
      await sleep(50);
      assert.deepEqual(second.map(textOf), ['after']);
      await two.stop();
    });

    withBus('onAssigned says where to start', async (bus, { patienceMs }) => {
      const producer = await bus.producer();
      await producer.send(
        EVENTS.name,
        2,
        ['0', '1', '2', '3'].map((text) => message(text)),
      );
      const seen: BusRecord[] = [];
      const assigned: TopicPartition[] = [];
      const consumer = await bus.consume({
        ...collector('g', seen),
        onAssigned: async (partition) => {
          assigned.push(partition);
          return partition.partition === 2 ? 2 : undefined;
        },
      });
      await until(() => seen.length === 2, patienceMs, 'two records');
      assert.deepEqual(seen.map(textOf), ['2', '3']);
      assert.deepEqual(
        assigned.map(({ partition }) => partition).toSorted((a, b) => a - b),
        Array.from({ length: PARTITIONS }, (_, n) => n),
      );
      assert.equal(consumer.assignment().length, PARTITIONS);
      await consumer.stop();
    });

    withBus('a batch that fails is delivered again, nothing is skipped', async (bus, { patienceMs }) => {
      const producer = await bus.producer();
      for (let n = 0; n < 30; n++) await producer.send(EVENTS.name, 0, [message(String(n))]);
      const done: string[] = [];
      const errors: unknown[] = [];
      let starts = 0;
      const consumer = await bus.consume({
        group: 'g',
        topics: [EVENTS.name],
        maxBatchRecords: 7,
        onAssigned: async ({ partition }) => {
          if (partition === 0) starts++;
          return undefined;
        },
        onError: (error) => errors.push(error),
        onBatch: async (batch, context) => {
          const last = batch.records.at(-1)?.offset ?? 0;
          if (errors.length < 3 && last >= errors.length * 9) {
            // The three kinds that end a kafkajs consumer for good.
            throw errors.length === 0 ? new TypeError('a') : new RangeError('b');
          }
          done.push(...batch.records.map(textOf));
          await context.commit(last + 1);
        },
      });
      await until(() => done.length >= 30, patienceMs, '30 records');
      assert.deepEqual(
        done,
        Array.from({ length: 30 }, (_, n) => String(n)),
      );
      assert.equal(errors.length, 3);
      assert.equal(starts, 4);
      await consumer.stop();
    });

    withBus(
      'members share the partitions; one that leaves hands its own over',
      async (bus, { patienceMs }) => {
        const producer = await bus.producer();
        const seenBy: BusRecord[][] = [[], []];
        const revoked: TopicPartition[] = [];
        const members: BusConsumer[] = [];
        for (const seen of seenBy)
          members.push(
            await bus.consume({
              ...collector('g', seen),
              onRevoked: async (partition) => {
                revoked.push(partition);
              },
            }),
          );
        const held = (): number[] => members.map((member) => member.assignment().length);
        await until(() => held().every((count) => count === 2), patienceMs, 'two partitions each');
        const names = members.flatMap((member) => member.assignment().map(({ partition }) => partition));
        assert.equal(new Set(names).size, PARTITIONS);
        for (let n = 0; n < 40; n++) await producer.send(EVENTS.name, n % PARTITIONS, [message(String(n))]);
        await until(() => seenBy.flat().length >= 40, patienceMs, '40 records');
        await members[0]?.stop();
        await until(() => members[1]?.assignment().length === PARTITIONS, patienceMs, 'all partitions');
        for (let n = 40; n < 60; n++) await producer.send(EVENTS.name, n % PARTITIONS, [message(String(n))]);
        await until(() => new Set(seenBy.flat().map(textOf)).size === 60, patienceMs, '60 records');
        assert.ok(revoked.length >= 2);
        await members[1]?.stop();
      },
    );

    withBus('a context is stale after its partition was taken', async (bus, { patienceMs }) => {
      const producer = await bus.producer();
      await producer.send(EVENTS.name, 0, [message('x')]);
      let late: (() => Promise<void>) | undefined;
      let isStale: (() => boolean) | undefined;
      const consumer = await bus.consume({
        group: 'g',
        topics: [EVENTS.name],
        onBatch: async (_batch, context) => {
          late = () => context.commit(1);
          isStale = () => context.isStale();
        },
      });
      await until(() => late !== undefined, patienceMs, 'a batch');
      await consumer.stop();
      assert.equal(isStale?.(), true);
      await assert.rejects(late?.() ?? Promise.resolve(), (error) => isTriplineError(error, 'bus_stale'));
      assert.equal(await bus.committed('g', at(0)), undefined);
    });

    withBus('every tail sees every record', async (bus, { patienceMs }) => {
      const producer = await bus.producer();
      await producer.send(EVENTS.name, 0, [message('old')]);
      const seen: string[][] = [[], [], []];
      const tails: BusConsumer[] = [];
      for (const [index, from] of (['earliest', 'earliest', 'latest'] as const).entries())
        tails.push(
          await bus.tail({
            topics: [EVENTS.name],
            from,
            onRecords: async (records) => {
              seen[index]?.push(...records.map(textOf));
            },
          }),
        );
      await producer.send(EVENTS.name, 1, [message('new')]);
      await until(() => seen.flat().length === 5, patienceMs, 'all records in all tails');
      assert.deepEqual(
        seen.map((texts) => texts.toSorted()),
        [['new', 'old'], ['new', 'old'], ['new']],
      );
      for (const tail of tails) await tail.stop();
    });

    withBus('what was acknowledged and committed is there after a restart', async (bus, subjectOf) => {
      const producer = await bus.producer();
      for (let n = 0; n < 10; n++) await producer.send(EVENTS.name, 3, [message(String(n))]);
      const seen: BusRecord[] = [];
      const consumer = await bus.consume(collector('g', seen));
      await until(() => seen.length === 10, subjectOf.patienceMs, 'ten records');
      const before = await readAll(bus, { ...at(3), from: 0 });
      await consumer.stop();
      await bus.close();
      await assert.rejects(producer.send(EVENTS.name, 3, [message('x')]), (error) =>
        isTriplineError(error, 'bus_closed'),
      );
      const again = await subjectOf.reopen();
      try {
        await again.ensureTopics([EVENTS, VIEW], PARTITIONS);
        const after = await readAll(again, { ...at(3), from: 0 });
        assert.deepEqual(
          after.map(({ offset, appendMs }) => [offset, appendMs]),
          before.map(({ offset, appendMs }) => [offset, appendMs]),
        );
        assert.equal(await again.committed('g', at(3)), 10);
        const next = await (await again.producer()).send(EVENTS.name, 3, [message('10')]);
        assert.equal(next.baseOffset, 10);
      } finally {
        await again.close();
      }
    });

    withBus('a record reaches a waiting consumer at once', async (bus, { patienceMs }) => {
      const producer = await bus.producer();
      const delays: number[] = [];
      const consumer = await bus.consume({
        group: 'g',
        topics: [EVENTS.name],
        onBatch: async (batch) => {
          for (const record of batch.records) delays.push(performance.now() - Number(textOf(record)));
        },
      });
      await producer.send(EVENTS.name, 0, [message(String(performance.now()))]);
      await until(() => delays.length === 1, patienceMs, 'the first record');
      for (let n = 0; n < 50; n++) {
        await producer.send(EVENTS.name, n % PARTITIONS, [message(String(performance.now()))]);
        await sleep(4);
      }
      await until(() => delays.length === 51, patienceMs, '51 records');
      const sorted = delays.slice(1).toSorted((a, b) => a - b);
      const median = sorted[25] ?? Number.NaN;
      assert.ok(median < 50, `median ${median} ms`);
      await consumer.stop();
    });
  });
}
