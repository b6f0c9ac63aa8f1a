/**
 * From the bus to durable, chained, signed rows; beside a plain consumer that parses the same records and writes them as
 * JSONEachRow with the same fsync settings, in turn with ours over the same bus and store.
 */
import { TOPICS } from '../../schemas/topics.ts';
import { classMappingVersion } from '../../services/evidence/projection.ts';
import type { BusBatch, ConsumeOptions } from '../../services/platform/bus/port.ts';
import { systemClock } from '../../services/platform/clock.ts';
import { ed25519Verify, sha256 } from '../../services/platform/ledger/crypto.ts';
import { PartitionWriter, type WriterPorts, type WriterSettings } from '../../services/record/loop.ts';
import { Turns } from '../../services/record/turns.ts';
import { median, result, type Bench, type BenchResult } from './bench.ts';
import { benchRecords, LINES_PER_RECORD } from './events.ts';
import { clusterPlace, embeddedPlace, PARTITIONS, type Place } from './place.ts';

const RECORDS = 1000;
const ROUNDS = 4;
const EVENTS = RECORDS * LINES_PER_RECORD;
const TOPIC = TOPICS.toolcalls.name;
const MAX_BATCH_BYTES = 8 * 1024 * 1024;
const TIME_LIMIT_MS = 180_000;
const SETTINGS: WriterSettings = {
  deployment: 'bench',
  mapping: classMappingVersion({ mappings: [], internalHosts: ['localhost'] }, sha256),
  sha256,
  ed25519Verify,
  maxBatchEvents: 8192,
  maxBatchBytes: MAX_BATCH_BYTES,
};

async function append(place: Place, round: number): Promise<void> {
  const producer = await place.bus.producer();
  const records = benchRecords({ tenant: 'acme', run: round }, RECORDS, PARTITIONS);
  for (let from = 0; from < records.length; from += 100) {
    const some = records.slice(from, from + 100);
    await Promise.all(
      Array.from({ length: PARTITIONS }, async (_, partition) => {
        const messages = some.filter((record) => record.partition === partition);
        if (messages.length === 0) return;
        await producer.send(
          TOPIC,
          partition,
          messages.map(({ message }) => message),
        );
      }),
    );
  }
  await producer.close();
}

/** Events a second of wall-clock time until `EVENTS` more are durable and their offsets committed. */
async function consumeAll(
  place: Place,
  consumer: Pick<ConsumeOptions, 'group' | 'onAssigned' | 'onBatch'>,
  durable: () => number,
): Promise<number> {
  const goal = durable() + EVENTS;
  const startedMs = performance.now();
  let fault: unknown;
  const running = await place.bus.consume({
    ...consumer,
    topics: [TOPIC],
    maxBatchBytes: MAX_BATCH_BYTES,
    onError: (error) => (fault = error),
  });
  while (durable() < goal) {
    if (performance.now() - startedMs > TIME_LIMIT_MS)
      throw new Error('not durable in time', { cause: fault });
    await systemClock.sleep(5);
  }
  const perSecond = EVENTS / ((performance.now() - startedMs) / 1000);
  await running.stop();
  return perSecond;
}

function recordConsumer(place: Place) {
  const { bus, store, signer } = place;
  let entries = 0;
  const ports: WriterPorts = {
    bus,
    store,
    signer,
    clock: systemClock,
    turns: new Turns(),
    onBatch: (counts) => (entries += counts.entries),
  };
  const writers = Array.from(
    { length: PARTITIONS },
    (_, partition) => new PartitionWriter({ topic: TOPIC, partition }, ports, SETTINGS),
  );
  const of = (partition: number): PartitionWriter => writers[partition] as PartitionWriter;
  const options: Pick<ConsumeOptions, 'group' | 'onAssigned' | 'onBatch'> = {
    group: 'bench-record',
    onAssigned: ({ partition }) => of(partition).start(),
    onBatch: (batch, context) => of(batch.partition).onBatch(batch, context),
  };
  return { options, durable: () => entries };
}

const PLAIN_TABLE = `CREATE TABLE IF NOT EXISTS tripline.bench_plain
  (tenant LowCardinality(String), session String, agent LowCardinality(String), kind LowCardinality(String),
   stream String, seq UInt64, time String, server LowCardinality(String), tool LowCardinality(String),
   callId String, body String CODEC(ZSTD(1)))
  ENGINE = MergeTree ORDER BY (tenant, session, seq)
  SETTINGS fsync_after_insert = 1, fsync_part_directory = 1`;

async function plainConsumer(place: Place) {
  await place.store.command(PLAIN_TABLE);
  let rows = 0;
  const options: Pick<ConsumeOptions, 'group' | 'onBatch'> = {
    group: 'bench-plain',
    onBatch: async (batch, context) => {
      const made = rowsOf(batch);
      await place.store.insertRows('bench_plain', made);
      await context.commit((batch.records.at(-1)?.offset ?? 0) + 1);
      rows += made.length;
    },
  };
  return { options, durable: () => rows };
}

function rowsOf(batch: BusBatch): Record<string, unknown>[] {
  return batch.records.flatMap(({ value, headers }) =>
    Buffer.from(value ?? [])
      .toString()
      .split('\n')
      .map((body) => {
        const { session, agent, kind, stream, seq, time, server, tool, callId } = JSON.parse(body) as Record<
          string,
          unknown
        >;
        const tenant = headers['tenant'];
        return { tenant, session, agent, kind, stream, seq, time, server, tool, callId, body };
      }),
  );
}

async function measure(place: Place, name: string): Promise<readonly BenchResult[]> {
  const ours: number[] = [];
  const plain: number[] = [];
  try {
    const record = recordConsumer(place);
    const other = await plainConsumer(place);
    for (let round = 0; round < ROUNDS; round += 1) {
      await append(place, round);
      ours.push(await consumeAll(place, record.options, record.durable));
      plain.push(await consumeAll(place, other.options, other.durable));
    }
  } finally {
    await place.close();
  }
  const measured = { value: median(ours.slice(1)), baseline: median(plain.slice(1)), unit: 'events/s' };
  return [
    result(
      name,
      measured,
      'wall clock; baseline: plain consumer, JSON.parse and JSONEachRow, one table, no hash',
    ),
  ];
}

export const durableEmbedded: Bench = {
  name: 'bus_to_durable_row_embedded',
  about: 'embedded bus to signed rows in chdb',
  run: async () => measure(await embeddedPlace(), 'bus_to_durable_row_embedded'),
};

export const durableCluster: Bench = {
  name: 'bus_to_durable_row_cluster',
  about: 'Kafka to signed rows over ClickHouse-HTTP',
  run: async () => measure(await clusterPlace(), 'bus_to_durable_row_cluster'),
};
