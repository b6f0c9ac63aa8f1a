/** Where a benchmark runs: a bus, a store with its tables and a signer, in a temporary directory that goes with them. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { TOPICS } from '../../schemas/topics.ts';
import { openEmbeddedBus } from '../../services/platform/bus/embedded/bus.ts';
import { openKafkaBus } from '../../services/platform/bus/kafka/bus.ts';
import type { Bus } from '../../services/platform/bus/port.ts';
import { systemClock } from '../../services/platform/clock.ts';
import { openChdbStore } from '../../services/platform/store/chdb/open.ts';
import { openClickHouseStore } from '../../services/platform/store/clickhouse/open.ts';
import { migrate } from '../../services/platform/store/migrate.ts';
import type { Store } from '../../services/platform/store/port.ts';
import { openLocalSigner, type LocalSigner } from '../../services/sign/main.ts';
import { startClickHouseHttp } from '../support/clickhouse-http/start.ts';
import { brokerMissing, startBroker } from '../support/kafka/broker.ts';
import { Skipped } from './bench.ts';

export const PARTITIONS = 4;
const DATABASE = 'tripline';
const MAX_QUEUED_BYTES = 256 * 1024 * 1024;
const QUERY_TIMEOUT_MS = 60_000;

export interface Place {
  readonly bus: Bus;
  readonly store: Store;
  readonly signer: LocalSigner;
  close(): Promise<void>;
}

type Closer = () => Promise<void> | void;

export function temporaryDir(): { readonly dir: string; readonly remove: () => void } {
  const dir = mkdtempSync(join(tmpdir(), 'tripline-bench-'));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true }) };
}

async function placeOf(dir: string, parts: { bus: Bus; store: Store }, closers: Closer[]): Promise<Place> {
  await parts.bus.ensureTopics(Object.values(TOPICS), PARTITIONS);
  await migrate(parts.store, DATABASE);
  const signer = await openLocalSigner({ dir, clock: systemClock });
  closers.push(() => signer.close());
  const close = async (): Promise<void> => {
    for (const closer of closers.toReversed()) await closer();
  };
  return { ...parts, signer, close };
}

/** Embedded: lmdb and chdb. */
export async function embeddedPlace(): Promise<Place> {
  const { dir, remove } = temporaryDir();
  const closers: Closer[] = [remove];
  const bus = await openEmbeddedBus({
    dir: join(dir, 'bus'),
    clock: systemClock,
    maxQueuedBytes: MAX_QUEUED_BYTES,
  });
  closers.push(() => bus.close());
  const store = await openChdbStore({
    dir: join(dir, 'store'),
    maxMemoryBytes: 1024 ** 3,
    queryTimeoutMs: QUERY_TIMEOUT_MS,
    log: pino({ level: 'silent' }),
  });
  closers.push(() => store.close());
  return placeOf(dir, { bus, store }, closers);
}

/** A real Kafka broker, and ClickHouse's HTTP interface in front of chdb. Throws Skipped where no broker can be had. */
export async function clusterPlace(): Promise<Place> {
  const missing = await brokerMissing();
  if (missing !== undefined) throw new Skipped(`no Kafka broker: ${missing}`);
  const { dir, remove } = temporaryDir();
  const closers: Closer[] = [remove];
  const broker = await startBroker({ dir: join(dir, 'kafka') });
  closers.push(() => broker.stop());
  const storeDir = join(dir, 'store');
  mkdirSync(storeDir);
  const server = await startClickHouseHttp({ dir: storeDir });
  closers.push(() => server.stop());
  const bus = await openKafkaBus({
    brokers: [`127.0.0.1:${broker.port}`],
    clientId: 'bench',
    namePrefix: 'bench.',
    replicationFactor: 1,
    maxQueuedBytes: MAX_QUEUED_BYTES,
    sessionTimeoutMs: 10_000,
    clock: systemClock,
  });
  closers.push(() => bus.close());
  const store = await openClickHouseStore({
    url: server.url,
    username: 'default',
    password: undefined,
    database: DATABASE,
    queryTimeoutMs: QUERY_TIMEOUT_MS,
  });
  closers.push(() => store.close());
  return placeOf(dir, { bus, store }, closers);
}
