/** A detect step over a real embedded bus, and events to feed it. */
import { createHash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { zConfig, type Config } from '../../../schemas/config/v1.ts';
import { zAlertLine, type AlertLine } from '../../../schemas/alert/v1.ts';
import { encodeEventRecord, partitionFor, recordKey, splitLines } from '../../../schemas/bus/record.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { openEmbeddedBus, type EmbeddedBus } from '../../../services/platform/bus/embedded/bus.ts';
import type { BusProducer, BusRecord } from '../../../services/platform/bus/port.ts';
import type { StepContext } from '../../../services/platform/step.ts';
import type { Store } from '../../../services/platform/store/port.ts';
import type { AuditBody } from '../../../schemas/audit/v1.ts';
import { startDetect, type RunningDetect } from '../../../services/detect/main.ts';

export const PARTITIONS = 4;

/** Ports that detect has no use for: any touch is a fault of the test. */
const untouched = (name: string): object => new Proxy({}, { get: () => assertNever(name) });
function assertNever(name: string): never {
  throw new Error(`detect used ${name}`);
}

export async function openBus(dir: string): Promise<EmbeddedBus> {
  const bus = await openEmbeddedBus({ dir, clock: systemClock, maxQueuedBytes: 64 * 1024 * 1024 });
  await bus.ensureTopics(Object.values(TOPICS), PARTITIONS);
  return bus;
}

export function configOf(overrides: Record<string, unknown> = {}): Config {
  return zConfig.parse(overrides);
}

export async function runDetect(
  bus: EmbeddedBus,
  config: Config,
  more: { readonly readRules?: () => Config['rules']; readonly audited?: AuditBody[] } = {},
): Promise<RunningDetect & { readonly metrics: Registry }> {
  const metrics = new Registry();
  const context: StepContext = {
    config,
    dataDir: '/nonexistent',
    clock: systemClock,
    randomBytes: () => assertNever('randomBytes'),
    log: pino({ level: 'silent' }),
    metrics,
    bus,
    producer: await bus.producer(),
    store: untouched('store') as Store,
    audit: {
      record: async (_tenant, body) => void (more.audited ?? assertNever('audit')).push(body),
    },
    http: untouched('http') as FastifyInstance,
  };
  const { readRules } = more;
  return Object.assign(await startDetect(context, readRules === undefined ? {} : { readRules }), { metrics });
}

export const hashHex = (text: string): string => createHash('sha256').update(text).digest('hex');

export interface CallSpec {
  readonly session: string;
  readonly seq: number;
  readonly tool: string;
  readonly server?: string;
  readonly args?: unknown;
  readonly timeMs?: number;
  readonly agent?: string;
  readonly tenant?: string;
  readonly kind?: string;
  readonly more?: Record<string, unknown>;
}

export function eventLine(spec: CallSpec): { readonly stream: string; readonly line: Uint8Array } {
  const stream = hashHex(`stream ${spec.session}`).slice(0, 32);
  const event = {
    v: 1,
    kind: spec.kind ?? 'call.intent',
    stream,
    seq: spec.seq,
    nonce: hashHex(`${stream}${spec.seq}`).slice(0, 32),
    time: new Date(spec.timeMs ?? Date.now()).toISOString(),
    session: spec.session,
    agent: spec.agent ?? 'agent-1',
    callId: `${spec.session}-${spec.seq}`,
    ...(spec.server === undefined ? {} : { server: spec.server }),
    tool: spec.tool,
    args: spec.args ?? {},
    ...spec.more,
  };
  return { stream, line: new TextEncoder().encode(JSON.stringify(event)) };
}

/** Sends one event as a record of its own; resolves when durable. */
export async function sendCall(producer: BusProducer, spec: CallSpec): Promise<void> {
  const { stream, line } = eventLine(spec);
  const tenant = spec.tenant ?? 'default';
  const message = encodeEventRecord({
    tenant,
    session: spec.session,
    stream,
    firstSeq: spec.seq,
    lines: [line],
  });
  const partition = partitionFor(recordKey(tenant, spec.session), PARTITIONS);
  await producer.send(TOPICS.toolcalls.name, partition, [message]);
}

export async function recordsOf(bus: EmbeddedBus, topic: string): Promise<BusRecord[]> {
  const all: BusRecord[] = [];
  for (let partition = 0; partition < bus.partitionCount(topic); partition++) {
    for await (const records of bus.read({ topic, partition, from: 0 })) all.push(...records);
  }
  return all;
}

/** Alerts on the topic, every publication; each is checked against its schema. */
export async function alertsOf(bus: EmbeddedBus): Promise<(AlertLine & { readonly tenant: string })[]> {
  const records = await recordsOf(bus, TOPICS.alerts.name);
  return records.flatMap((record) =>
    splitLines(record.value ?? new Uint8Array(0)).map((line) => ({
      ...zAlertLine.parse(JSON.parse(new TextDecoder().decode(line))),
      tenant: record.headers['tenant'] ?? '',
    })),
  );
}

export const alertIds = async (bus: EmbeddedBus): Promise<string[]> =>
  [...new Set((await alertsOf(bus)).map((line) => line.alert.id))].toSorted();

/** Waits until `check` holds; fails after `timeoutMs`. */
export async function until(check: () => Promise<boolean>, timeoutMs: number, what: string): Promise<void> {
  const endMs = Date.now() + timeoutMs;
  while (!(await check())) {
    if (Date.now() > endMs) throw new Error(`timed out: ${what}`);
    await systemClock.sleep(20);
  }
}
