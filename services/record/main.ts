/** Step record: consumes the ledger topics, chains every line, stores it, has it signed. */
import { Counter, Gauge } from 'prom-client';
import { isTriplineError } from '../../schemas/errors.ts';
import { LEDGER_TOPICS, RECORD_GROUP } from '../../schemas/topics.ts';
import { classMappingVersion, type ClassMappingVersion } from '../evidence/projection.ts';
import type { BusConsumer, TopicPartition } from '../platform/bus/port.ts';
import { ed25519Verify, sha256 } from '../platform/ledger/crypto.ts';
import type { RunningStep, StepContext } from '../platform/step.ts';
import { PartitionWriter, type WriterPorts, type WriterSettings } from './loop.ts';
import { ProducerWatch } from './producer-watch.ts';
import { Turns } from './turns.ts';
import type { Signer } from './ports.ts';
import type { BatchCounts } from './outcome.ts';

export { httpSigner, type HttpSignerOptions } from './http-signer.ts';
export type { Signer } from './ports.ts';
export { registerRepairRoute } from './repair/route.ts';

/** Batches of fewer records are written at most once in config.record.maxBatchWaitMs a partition. */
const SMALL_BATCH_RECORDS = 64;

/** Faults that only a person can explain; the partition stays unsigned until then. */
const ALARMS = ['ledger_behind_head', 'ledger_diverges', 'bus_offset_lost', 'signer_refused'] as const;

/** Starts the step; `signer` is the one in this process, or an httpSigner. */
export async function startRecord(context: StepContext, signer: Signer): Promise<RunningStep> {
  const mapping = classMappingVersion(context.config.classify, sha256);
  await storeMapping(context, mapping);
  const alarms = new Map<string, string>();
  const watch = new ProducerWatch(context);
  const ports: WriterPorts = {
    bus: context.bus,
    store: context.store,
    signer,
    clock: context.clock,
    keys: context.keys,
    turns: new Turns(),
    onFindings: (findings) => watch.tell(findings),
    onBatch: recordMetrics(context),
  };
  const { maxBatchBytes, maxBatchEvents } = context.config.record;
  const { deployment } = context.config;
  const settings: WriterSettings = {
    deployment,
    mapping,
    sha256,
    ed25519Verify,
    maxBatchBytes,
    maxBatchEvents,
  };
  const consumer = await consume(context, { ports, settings, alarms });
  return {
    name: 'record',
    health: () => healthOf(alarms, consumer),
    stop: async () => {
      await consumer.stop();
      await watch.stop();
    },
  };
}

interface Wiring {
  readonly ports: WriterPorts;
  readonly settings: WriterSettings;
  /** By partition: code of the fault that keeps it from being signed. */
  readonly alarms: Map<string, string>;
}

const nameOf = (at: TopicPartition): string => `${at.topic}/${at.partition}`;

async function consume(context: StepContext, wiring: Wiring): Promise<BusConsumer> {
  const writers = new Map<string, PartitionWriter>();
  const guarded = async <Result>(at: TopicPartition, act: () => Promise<Result>): Promise<Result> => {
    try {
      const result = await act();
      wiring.alarms.delete(nameOf(at));
      return result;
    } catch (error) {
      const alarm = ALARMS.find((code) => isTriplineError(error, code));
      if (alarm !== undefined) {
        if (wiring.alarms.get(nameOf(at)) !== alarm)
          reportAlarm(context, wiring.ports.signer, { alarm, at, error });
        wiring.alarms.set(nameOf(at), alarm);
        context.log.error(
          { err: error, topic: at.topic, partition: at.partition },
          'partition is not signed',
        );
      }
      throw error;
    }
  };
  const writerOf = (at: TopicPartition): PartitionWriter => {
    const known = writers.get(nameOf(at));
    if (known !== undefined) return known;
    const writer = new PartitionWriter(at, wiring.ports, wiring.settings);
    writers.set(nameOf(at), writer);
    return writer;
  };
  return context.bus.consume({
    group: RECORD_GROUP,
    topics: LEDGER_TOPICS,
    maxBatchBytes: wiring.settings.maxBatchBytes,
    onAssigned: (assigned) => guarded(assigned, () => writerOf(assigned).start()),
    onRevoked: async (revoked) => {
      writers.delete(nameOf(revoked));
      wiring.alarms.delete(nameOf(revoked));
    },
    onBatch: async (batch, batchContext) => {
      const startedMs = context.clock.monotonicMs();
      await guarded(batch, () => writerOf(batch).onBatch(batch, batchContext));
      // Nearly all of a small batch is the fsyncs of its tables: the next one waits, grows, and leaves the machine to
      // detection meanwhile.
      const waitMs = context.config.record.maxBatchWaitMs - (context.clock.monotonicMs() - startedMs);
      if (batch.records.length < SMALL_BATCH_RECORDS && waitMs > 0) await context.clock.sleep(waitMs);
    },
    onError: (error) => context.log.warn({ err: error }, 'record goes on after a fault'),
  });
}

/** Beside what goes on: a signer that is away must not hide the fault itself. */
function reportAlarm(
  context: StepContext,
  signer: Signer,
  what: { readonly alarm: string; readonly at: TopicPartition; readonly error: unknown },
): void {
  const { topic, partition } = what.at;
  const detail = what.error instanceof Error ? what.error.message.slice(0, 512) : '';
  signer
    .report?.({ code: what.alarm, topic, partition, detail })
    .catch((error: unknown) => context.log.warn({ err: error }, 'the finding is not on record'));
}

function healthOf(alarms: ReadonlyMap<string, string>, consumer: BusConsumer) {
  if (alarms.size > 0) {
    const detail = [...alarms].map(([at, code]) => `${at}: ${code}`).join(', ');
    return { ready: false, detail: detail.slice(0, 256) };
  }
  return { ready: true, detail: `${consumer.assignment().length} partitions` };
}

/** Keeps the mapping in the store once a version, so that whoever verifies can derive the classes again. */
async function storeMapping(context: StepContext, mapping: ClassMappingVersion): Promise<void> {
  const { version, body } = mapping;
  const [found] = await context.store.query<{ rows: string }>(
    'SELECT toString(count()) AS rows FROM class_mappings WHERE version = {version:String}',
    { params: { version } },
  );
  if (found !== undefined && found.rows !== '0') return;
  const firstUsed = new Date(context.clock.nowMs()).toISOString().replace('T', ' ').replace('Z', '');
  await context.store.insertRows(
    'class_mappings',
    [{ version, body, first_used: firstUsed }],
    `class_mappings:${version}`,
  );
}

function recordMetrics(context: StepContext): NonNullable<WriterPorts['onBatch']> {
  const registers = [context.metrics];
  const counted = new Counter({
    name: 'tripline_record_lines_total',
    help: 'Lines and findings that record entered or skipped, by what became of them.',
    labelNames: ['topic', 'what'],
    registers,
  });
  const batches = new Counter({
    name: 'tripline_record_batches_total',
    help: 'Batches that were written and signed.',
    labelNames: ['topic'],
    registers,
  });
  const last = new Gauge({
    name: 'tripline_record_last_commit_seconds',
    help: 'Unix time of the last signed batch.',
    labelNames: ['topic', 'partition'],
    registers,
  });
  return (counts, at) => {
    batches.inc({ topic: at.topic });
    last.set({ topic: at.topic, partition: at.partition }, context.clock.nowMs() / 1000);
    for (const what of Object.keys(counts) as (keyof BatchCounts)[]) {
      if (counts[what] > 0) counted.inc({ topic: at.topic, what }, counts[what]);
    }
  };
}
