/** A context over the real embedded bus, chdb, HTTP door and audit trail. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import type { AlertBody, AlertLine } from '../../../schemas/alert/v1.ts';
import type { AuditBody } from '../../../schemas/audit/v1.ts';
import { encodeEventRecord, partitionFor } from '../../../schemas/bus/record.ts';
import { zConfig, type Config, type Role } from '../../../schemas/config/v1.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import { createAuditTrail } from '../../../services/platform/audit/trail.ts';
import { openEmbeddedBus } from '../../../services/platform/bus/embedded/bus.ts';
import { systemClock, type Clock } from '../../../services/platform/clock.ts';
import { buildHttp } from '../../../services/platform/http/build.ts';
import type { StepContext } from '../../../services/platform/step.ts';
import { openChdbStore } from '../../../services/platform/store/chdb/open.ts';
import { migrate } from '../../../services/platform/store/migrate.ts';
import type { Store } from '../../../services/platform/store/port.ts';

export interface Audited extends AuditBody {
  readonly tenant: string;
}

export interface Harness {
  readonly context: StepContext;
  readonly audited: Audited[];
  /** Closes the bus and HTTP; the directory stays for a restart. */
  close(): Promise<void>;
}

export interface HarnessOptions {
  readonly dir: string;
  readonly store: Store;
  readonly respond?: unknown;
  readonly clock?: Clock;
}

/** Time that runs `factor` times as fast, so that a schedule of seconds is seen in a test. */
export function fastClock(factor: number): Clock {
  const startMs = Date.now();
  const startMonotonicMs = performance.now();
  return {
    nowMs: () => Math.round(startMs + (performance.now() - startMonotonicMs) * factor),
    monotonicMs: () => (performance.now() - startMonotonicMs) * factor,
    sleep: (ms, signal) => systemClock.sleep(ms / factor, signal),
  };
}

export async function temporaryDir(): Promise<{ readonly dir: string; remove(): Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'tripline-respond-'));
  return { dir, remove: () => rm(dir, { recursive: true, force: true }) };
}

export async function openTestStore(dir: string): Promise<Store> {
  const store = await openChdbStore({
    dir: join(dir, 'clickhouse'),
    maxMemoryBytes: 1024 ** 3,
    queryTimeoutMs: 30_000,
    log: pino({ level: 'silent' }),
  });
  await migrate(store, 'tripline');
  return store;
}

export interface TestPrincipal {
  readonly id: string;
  readonly tenant: string;
  readonly role: Role;
}
export const ADMIN: TestPrincipal = { id: 'root', tenant: '*', role: 'admin' };
export const ALICE: TestPrincipal = { id: 'alice', tenant: 'acme', role: 'responder' };
export const HOST: TestPrincipal = { id: 'tap', tenant: 'acme', role: 'producer' };
export const OTHER_HOST: TestPrincipal = { id: 'tap-2', tenant: 'other', role: 'producer' };
export const MALLORY: TestPrincipal = { id: 'mallory', tenant: 'other', role: 'responder' };
export const DEFAULT_HOST: TestPrincipal = { id: 'tap-0', tenant: 'default', role: 'producer' };
const KEYS = [ADMIN, ALICE, HOST, OTHER_HOST, MALLORY, DEFAULT_HOST].map((principal) => ({
  ...principal,
  token: { value: tokenOf(principal) },
}));

export function bearer(principal: TestPrincipal): Readonly<Record<string, string>> {
  return { authorization: `Bearer ${tokenOf(principal)}` };
}

function tokenOf({ id }: TestPrincipal): string {
  return `token-of-${id}-0123456789abcdef`;
}

/** Log lines of warnings and faults go to standard error when a test is looked into. */
const level = process.env['TEST_LOG'] ?? 'silent';

export async function openHarness(options: HarnessOptions): Promise<Harness> {
  const config: Config = zConfig.parse({ respond: options.respond ?? {}, auth: { keys: KEYS } });
  const log = pino({ level }, pino.destination(2));
  const bus = await openEmbeddedBus({
    dir: join(options.dir, 'bus'),
    clock: systemClock,
    maxQueuedBytes: 64 * 1024 * 1024,
  });
  await bus.ensureTopics(Object.values(TOPICS), 4);
  const producer = await bus.producer();
  const audited: Audited[] = [];
  const metrics = new Registry();
  const http = await buildHttp({
    config,
    dataDir: options.dir,
    randomBytes,
    log,
    metrics,
    steps: () => [],
  });
  const trail = createAuditTrail({ bus, producer, clock: systemClock, randomBytes });
  const context: StepContext = {
    config,
    dataDir: options.dir,
    clock: options.clock ?? systemClock,
    randomBytes,
    log,
    metrics,
    bus,
    producer,
    store: options.store,
    audit: {
      record: async (tenant, body) => {
        await trail.record(tenant, body);
        audited.push({ tenant, ...body });
      },
    },
    http,
  };
  return {
    context,
    audited,
    close: async () => {
      await http.close();
      await producer.close();
      await bus.close();
    },
  };
}

export function alertBody(name: string, change: Partial<AlertBody> = {}): AlertBody {
  return {
    id: createHash('sha256').update(name).digest('hex'),
    ruleId: 'search-vault-post',
    ruleHash: 'cd'.repeat(32),
    title: `search → vault → post (${name})`,
    level: 'high',
    mode: 'enforce',
    tags: ['exfiltration'],
    scope: 'session',
    key: { session: 's1' },
    timeBasis: 'event',
    calls: [
      {
        step: 'post',
        eventId: `${'11'.repeat(16)}-4`,
        topic: TOPICS.toolcalls.name,
        partition: 1,
        offset: 7,
        line: 0,
        time: '2026-01-31T12:00:00.000Z',
        session: 's1',
        agent: 'planner',
      },
    ],
    summary: '<script>alert(1)</script>',
    ...change,
  };
}

/** Publishes an alert as detect does. */
export async function publishAlert(
  { bus, producer }: Pick<StepContext, 'bus' | 'producer'>,
  alert: AlertBody,
  tenant = 'default',
): Promise<void> {
  const line: AlertLine = {
    v: 1,
    kind: 'alert',
    stream: alert.id.slice(0, 32),
    seq: 0,
    nonce: alert.id.slice(32),
    time: '2026-01-31T12:00:00.000Z',
    session: 's1',
    agent: 'planner',
    alert,
  };
  const message = encodeEventRecord({
    tenant,
    session: 's1',
    stream: line.stream,
    firstSeq: 0,
    prev: '0'.repeat(64),
    lines: [Buffer.from(JSON.stringify(line))],
  });
  const partition = partitionFor(message.key ?? new Uint8Array(), bus.partitionCount(TOPICS.alerts.name));
  await producer.send(TOPICS.alerts.name, partition, [message]);
}

/** Waits until `check` answers something other than undefined and false; throws after `withinMs`. */
export async function eventually<Result>(
  what: string,
  check: () => Result | undefined | false | Promise<Result | undefined | false>,
  withinMs = 10_000,
): Promise<Result> {
  const endMs = performance.now() + withinMs;
  while (performance.now() < endMs) {
    const found = await check();
    if (found !== undefined && found !== false) return found;
    await systemClock.sleep(10);
  }
  throw new Error(`${what}: not within ${withinMs} ms`);
}
