/** Configuration of a deployment on Kafka and ClickHouse-HTTP, and the parts that it runs on. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TOPICS } from '../../../schemas/topics.ts';
import { openKafkaBus } from '../../../services/platform/bus/kafka/bus.ts';
import type { Bus } from '../../../services/platform/bus/port.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { openClickHouseStore } from '../../../services/platform/store/clickhouse/open.ts';
import type { Store } from '../../../services/platform/store/port.ts';
import { freePort, startBroker, type Broker } from '../kafka/broker.ts';
import { startClickHouseHttp, type ClickHouseHttp } from '../clickhouse-http/start.ts';

export const PARTITIONS = 4;
const SESSION_TIMEOUT_MS = 3_000;

export interface Backends {
  readonly broker: Broker;
  readonly clickhouse: ClickHouseHttp;
  readonly clickhousePort: number;
  stop(): Promise<void>;
}

/** A broker and a ClickHouse front below `root`. */
export async function startBackends(root: string): Promise<Backends> {
  const [brokerDir, clickhouseDir] = [join(root, 'kafka'), join(root, 'clickhouse')];
  for (const dir of [brokerDir, clickhouseDir]) mkdirSync(dir, { recursive: true });
  const broker = await startBroker({ dir: brokerDir });
  const clickhousePort = await freePort();
  const clickhouse = await startClickHouseHttp({ dir: clickhouseDir, port: clickhousePort });
  return {
    broker,
    clickhouse,
    clickhousePort,
    stop: async () => {
      await clickhouse.kill();
      await broker.kill();
    },
  };
}

export interface Key {
  readonly id: string;
  readonly tenant: string;
  readonly role: string;
  readonly token: string;
}

/** Writes a configuration of this deployment; `more` overrides and adds sections. */
export function writeClusterConfig(
  file: string,
  { broker, clickhouse }: Backends,
  keys: readonly Key[],
  more: Readonly<Record<string, unknown>> = {},
): void {
  const config = {
    deployment: 'local',
    log: { level: 'warn' },
    bus: {
      kind: 'kafka',
      brokers: [`127.0.0.1:${broker.port}`],
      partitions: PARTITIONS,
      replicationFactor: 1,
      sessionTimeoutMs: SESSION_TIMEOUT_MS,
    },
    store: { kind: 'clickhouse', url: clickhouse.url },
    auth: { keys: keys.map(({ token, ...key }) => ({ ...key, token: { value: token } })) },
    ...more,
  };
  // JSON is YAML.
  writeFileSync(file, JSON.stringify(config));
}

export async function openClusterBus({ broker }: Backends): Promise<Bus> {
  const bus = await openKafkaBus({
    brokers: [`127.0.0.1:${broker.port}`],
    clientId: 'scenario',
    namePrefix: '',
    replicationFactor: 1,
    maxQueuedBytes: 1024 * 1024,
    sessionTimeoutMs: SESSION_TIMEOUT_MS,
    clock: systemClock,
  });
  await bus.ensureTopics(Object.values(TOPICS), PARTITIONS);
  return bus;
}

export function openClusterStore({ clickhouse }: Backends): Promise<Store> {
  return openClickHouseStore({
    url: clickhouse.url,
    username: 'default',
    database: 'tripline',
    queryTimeoutMs: 60_000,
    password: undefined,
  });
}
