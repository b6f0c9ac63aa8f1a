/** Two tenants, several record and detect processes in one group over Kafka; one joins, one leaves, one is killed in mid-chain. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { TOPICS } from '../../schemas/topics.ts';
import { brokerMissing, freePort } from '../support/kafka/broker.ts';
import {
  openClusterBus,
  openClusterStore,
  startBackends,
  writeClusterConfig,
  type Backends,
} from '../support/scenario/cluster.ts';
import { detectAnew, recordsByPartition } from '../support/scenario/fresh-detect.ts';
import { assertStored, getJson, settled, storedAlertIds } from '../support/scenario/ledger.ts';
import { startLoad, type Load } from '../support/scenario/load.ts';
import { seededRandom } from '../support/scenario/random.ts';
import { killAll, lastLines, tripline, up, type Tripline } from '../support/scenario/tripline.ts';

const KEYS = [
  { id: 'load-a', tenant: 'a', role: 'producer', token: 'producer-of-a' },
  { id: 'load-b', tenant: 'b', role: 'producer', token: 'producer-of-b' },
  { id: 'analyst-a', tenant: 'a', role: 'analyst', token: 'analyst-of-a' },
  { id: 'analyst-b', tenant: 'b', role: 'analyst', token: 'analyst-of-b' },
  { id: 'admin', tenant: '*', role: 'admin', token: 'admin-of-all' },
];
const TENANTS = ['a', 'b'].map((name) => ({ name, token: `producer-of-${name}` }));
const SIGNER_TOKEN = 'token-of-the-signer';
const PHASE_MS = 6_000;

interface Item {
  readonly tenant?: string;
  readonly session?: string;
  readonly id?: string;
}

const missing = await brokerMissing();
if (missing === undefined) describe('rebalance in mid-chain', rebalanced);
else test('rebalance in mid-chain', { skip: missing }, () => undefined);

function rebalanced(): void {
  const root = mkdtempSync(join(tmpdir(), 'tripline-rebalance-'));
  const configFile = join(root, 'tripline.yaml');
  const logFile = join(root, 'service.log');
  let backends: Backends;
  let port: number;
  let door: Tripline;
  let url: string;
  let load: Load | undefined;
  let made = 0;

  before(async () => {
    backends = await startBackends(root);
    port = await freePort();
    writeClusterConfig(configFile, backends, KEYS, {
      signer: { url: `http://127.0.0.1:${port}`, token: { value: SIGNER_TOKEN } },
      detect: { snapshotEveryEvents: 200, snapshotEveryMs: 500 },
    });
  });
  after(async () => {
    load?.abandon();
    await killAll();
    await backends.stop();
    rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  });

  /** A process of these steps alone, when it is ready. */
  async function worker(steps: string): Promise<Tripline> {
    const service = up({ dataDir: join(root, `${steps}-${made++}`), configFile, logFile, steps });
    await service.url;
    return service;
  }

  it('misses and doubles nothing', async () => {
    const random = seededRandom('cluster-rebalance');
    door = up({ dataDir: join(root, 'door'), port, configFile, logFile, steps: 'ingest,query,respond,sign' });
    url = await door.url;
    const [record, detect] = await Promise.all([worker('record'), worker('detect')]);
    const running = startLoad({
      random,
      tenants: TENANTS,
      url: () => url,
      producersPerTenant: 2,
      pauseMs: 30,
    });
    load = running;
    await sleep(PHASE_MS);
    const second = { record: await worker('record'), detect: await worker('detect') };
    await sleep(PHASE_MS);
    await Promise.all([record.kill(), detect.kill()]);
    await sleep(PHASE_MS);
    const third = await Promise.all([worker('record'), worker('detect')]);
    await sleep(PHASE_MS);
    const codes = await Promise.all([second.record.stop(), second.detect.stop()]);
    assert.deepEqual(codes, [0, 0], lastLines(logFile));
    await sleep(PHASE_MS);
    await running.stop();
    await settled(() => url, 'admin-of-all', 120_000);
    for (const left of [...third, door]) assert.ok(left.running(), lastLines(logFile));

    const store = await openClusterStore(backends);
    await assertStored(store, running.acknowledged, join(root, 'door'));
    const stored = await storedAlertIds(store);
    await store.close();
    const bus = await openClusterBus(backends);
    const calls = await recordsByPartition(bus, TOPICS.toolcalls.name);
    await bus.close();
    const fresh = await detectAnew(join(root, 'fresh'), calls, 240_000);
    assert.deepEqual(stored, fresh.ids);
    console.log(`${running.acknowledged.length} events, ${stored.length} alerts`);
  });

  it('shows nothing of one tenant to the other', async () => {
    for (const tenant of ['a', 'b']) {
      for (const route of ['events', 'sessions', 'alerts']) {
        const answer = await getJson<{ items: Item[] }>(
          `${url}/v1/${route}?limit=500`,
          `analyst-of-${tenant}`,
        );
        const items = answer?.items ?? [];
        assert.ok(items.length > 0, `${route} of ${tenant}`);
        const text = JSON.stringify(items);
        // Sessions are named after their tenant: tenant, producer, number.
        const other = tenant === 'a' ? 'b' : 'a';
        assert.doesNotMatch(text, new RegExp(`"${other}-\\d+-\\d+"`), `${route} of ${tenant}`);
        assert.match(text, new RegExp(`"${tenant}-\\d+-\\d+"`), `${route} of ${tenant}`);
      }
    }
  });

  it('verifies', async () => {
    const env = { TRIPLINE_URL: url, TRIPLINE_TOKEN: 'admin-of-all' };
    const { code, items, stderr } = await tripline(['verify'], env);
    assert.equal(code, 10, JSON.stringify(items) + stderr);
    assert.equal(await door.stop(), 0);
  });
}
