/** Real embedded bus, real chdb, real signer in a temporary directory, and records as producers make them. */
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { encodeEventRecord } from '../../../schemas/bus/record.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import { classMappingVersion } from '../../../services/evidence/projection.ts';
import type { VerifyOptions } from '../../../services/evidence/verify.ts';
import { verifyBundle } from '../../../services/evidence/verify.ts';
import { openEmbeddedBus } from '../../../services/platform/bus/embedded/bus.ts';
import type { BatchContext, Bus, BusMessage, BusRecord } from '../../../services/platform/bus/port.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { ed25519Verify, nodeCrypto, sha256 } from '../../../services/platform/ledger/crypto.ts';
import { exportLedger, type ExportOptions } from '../../../services/platform/ledger/export.ts';
import { openChdbStore } from '../../../services/platform/store/chdb/open.ts';
import { migrate } from '../../../services/platform/store/migrate.ts';
import type { Store } from '../../../services/platform/store/port.ts';
import { PartitionWriter, type WriterSettings } from '../../../services/record/loop.ts';
import type { Signer } from '../../../services/record/ports.ts';
import { openLocalSigner, type LocalSigner } from '../../../services/sign/local-signer.ts';

export const DEPLOYMENT = 'test';
/** Enough for a case each. */
export const PARTITIONS = 16;
export const TOPIC = TOPICS.toolcalls.name;
export const SETTINGS: WriterSettings = {
  deployment: DEPLOYMENT,
  mapping: classMappingVersion({ mappings: [], internalHosts: ['localhost'] }, sha256),
  sha256,
  ed25519Verify,
  maxBatchEvents: 8192,
  maxBatchBytes: 8 * 1024 * 1024,
};

export interface Bench {
  readonly dir: string;
  readonly bus: Bus;
  readonly store: Store;
  readonly signer: LocalSigner;
  close(): Promise<void>;
}

export async function openBench(): Promise<Bench> {
  const dir = await mkdtemp(path.join(tmpdir(), 'tripline-record-'));
  const log = pino({ level: 'silent' });
  const bus = await openEmbeddedBus({
    dir: path.join(dir, 'bus'),
    clock: systemClock,
    maxQueuedBytes: 64 * 1024 * 1024,
  });
  await bus.ensureTopics(Object.values(TOPICS), PARTITIONS);
  const store = await openChdbStore({
    dir: path.join(dir, 'store'),
    maxMemoryBytes: 1024 ** 3,
    queryTimeoutMs: 30_000,
    log,
  });
  await migrate(store, 'tripline');
  const { mapping } = SETTINGS;
  await store.insertRows('class_mappings', [
    { version: mapping.version, body: mapping.body, first_used: '2026-01-01 00:00:00.000' },
  ]);
  const signer = await openLocalSigner({ dir, clock: systemClock });
  const close = async (): Promise<void> => {
    await signer.close();
    await store.close();
    await bus.close();
    await rm(dir, { recursive: true, force: true });
  };
  return { dir, bus, store, signer, close };
}

export const streamOf = (name: string): string =>
  createHash('sha256').update(name).digest('hex').slice(0, 32);

/** The line of one call; everything follows from its arguments. */
export function callLine(stream: string, seq: number, more: Record<string, unknown> = {}): string {
  const id = streamOf(stream);
  const nonce = streamOf(`${stream}/${seq}/${JSON.stringify(more)}`);
  return JSON.stringify({
    v: 1,
    kind: 'call.intent',
    stream: id,
    seq,
    nonce,
    time: '2026-11-23T12:00:00.000Z',
    session: `session ${stream}`,
    agent: 'agent ü',
    callId: `call-${seq}`,
    server: 'web',
    tool: 'fetch',
    args: { url: `https://example.org/${seq}` },
    ...more,
  });
}

export interface LinesOptions {
  readonly tenant?: string;
  readonly prev?: string;
}

/** A record of consecutive lines of one stream. */
export function recordOf(
  stream: string,
  firstSeq: number,
  lines: readonly string[],
  options: LinesOptions = {},
) {
  return encodeEventRecord({
    tenant: options.tenant ?? 'acme',
    session: `session ${stream}`,
    stream: streamOf(stream),
    firstSeq,
    lines: lines.map((line) => Buffer.from(line)),
    ...(options.prev === undefined ? {} : { prev: options.prev }),
  });
}

export async function append(
  bench: Bench,
  messages: readonly BusMessage[],
  partition = 0,
  topic: string = TOPIC,
) {
  const producer = await bench.bus.producer();
  await producer.send(topic, partition, messages);
}

export async function readAll(
  bus: Bus,
  partition = 0,
  from = 0,
  topic: string = TOPIC,
): Promise<BusRecord[]> {
  const records: BusRecord[] = [];
  for await (const part of bus.read({ topic, partition, from })) records.push(...part);
  return records;
}

export const OWNED: BatchContext = {
  heartbeat: async () => undefined,
  isStale: () => false,
  commit: async () => undefined,
};

/** A new life of the writer: recovers, then takes everything that the bus holds. */
export async function runWriter(
  bench: Pick<Bench, 'bus'>,
  ports: { readonly store: Store; readonly signer: Signer },
  at: { readonly topic: string; readonly partition: number } = { topic: TOPIC, partition: 0 },
): Promise<void> {
  const writer = new PartitionWriter(at, { bus: bench.bus, clock: systemClock, ...ports }, SETTINGS);
  const from = await writer.start();
  const records = await readAll(bench.bus, at.partition, from, at.topic);
  if (records.length > 0) await writer.onBatch({ records }, OWNED);
}

export function exported(bench: Bench, more: Partial<ExportOptions> = {}) {
  return exportLedger(bench.store, {
    deployment: DEPLOYMENT,
    nowMs: 1_764_000_000_000,
    heads: bench.signer,
    ...more,
  });
}

export function verified(bench: Bench, more: Partial<ExportOptions> = {}, options: VerifyOptions = {}) {
  return verifyBundle(exported(bench, more), nodeCrypto, options);
}
