/** kill -9 of the service over Kafka and ClickHouse-HTTP at random moments under load, and of the broker. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { TOPICS } from '../../schemas/topics.ts';
import { brokerMissing } from '../support/kafka/broker.ts';
import {
  openClusterBus,
  openClusterStore,
  startBackends,
  writeClusterConfig,
  type Backends,
} from '../support/scenario/cluster.ts';
import { detectAnew, recordsByPartition } from '../support/scenario/fresh-detect.ts';
import { STORY_RULES } from '../support/scenario/rules.ts';
import { assertStored, settled, storedAlertIds } from '../support/scenario/ledger.ts';
import { startLoad, type Load } from '../support/scenario/load.ts';
import { seededRandom } from '../support/scenario/random.ts';
import { killAll, lastLines, tripline, up, type Tripline } from '../support/scenario/tripline.ts';

const KILLS = Number(process.env['SCENARIO_KILLS'] ?? 50);
const BROKER_KILLS = Math.min(5, Math.floor(KILLS / 2));
const PRODUCER_TOKEN = 'producer-under-kill';

const missing = await brokerMissing();
if (missing === undefined) describe('kill -9 over Kafka and ClickHouse-HTTP', killed);
else test('kill -9 over Kafka and ClickHouse-HTTP', { skip: missing }, () => undefined);

function killed(): void {
  const root = mkdtempSync(join(tmpdir(), 'tripline-kill-kafka-'));
  const dataDir = join(root, 'data');
  const configFile = join(root, 'tripline.yaml');
  const logFile = join(root, 'service.log');
  let backends: Backends;
  let load: Load | undefined;
  let url: string | undefined;

  before(async () => {
    backends = await startBackends(root);
    const keys = [{ id: 'load', tenant: 'default', role: 'producer', token: PRODUCER_TOKEN }];
    writeClusterConfig(configFile, backends, keys, {
      rules: STORY_RULES,
      detect: { snapshotEveryEvents: 200, snapshotEveryMs: 500 },
    });
  });
  after(async () => {
    load?.abandon();
    await killAll();
    await backends.stop();
    rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  });

  function start(): Tripline {
    const service = up({ dataDir, configFile, logFile });
    service.url.then(
      (known) => (url = known),
      () => undefined,
    );
    return service;
  }

  /** The broker dies under load and comes back; the same processes go on by themselves. */
  async function killBroker(running: Load): Promise<void> {
    await backends.broker.kill();
    await backends.broker.start();
    const taken = running.acknowledged.length;
    const endMs = Date.now() + 60_000;
    while (running.acknowledged.length < taken + 50) {
      assert.ok(Date.now() < endMs, `nothing is taken after the broker came back:\n${lastLines(logFile)}`);
      await sleep(100);
    }
  }

  it(`loses nothing, stores nothing twice, tells the same alerts: ${KILLS} times, broker ${BROKER_KILLS} times`, async () => {
    const random = seededRandom('kill-kafka');
    const running = startLoad({
      random,
      tenants: [{ name: 'default', token: PRODUCER_TOKEN }],
      url: () => url,
      producersPerTenant: 3,
      pauseMs: 40,
    });
    load = running;
    const every = Math.floor(KILLS / BROKER_KILLS);
    for (let kill = 0; kill < KILLS; kill++) {
      const service = start();
      // Every fifth life ends while it starts; the others at any moment of their work.
      if (kill % 5 === 4) await Promise.race([sleep(random.between(500, 4000)), service.exited]);
      else {
        await service.url;
        await sleep(random.between(0, 2000));
        if (kill % every === 1) await killBroker(running);
      }
      assert.ok(service.running(), `life ${kill} ended by itself:\n${lastLines(logFile)}`);
      await service.kill();
      url = undefined;
    }
    const last = start();
    const lastUrl = await last.url;
    await running.stop();
    const admin = readFileSync(join(dataDir, 'admin.token'), 'utf8').trim();
    await settled(() => lastUrl, admin, 90_000);
    assert.equal(await last.stop(), 0);

    const store = await openClusterStore(backends);
    await assertStored(store, running.acknowledged, dataDir);
    const stored = await storedAlertIds(store);
    await store.close();

    const verified = await tripline(['verify'], { TRIPLINE_DATA_DIR: dataDir, TRIPLINE_CONFIG: configFile });
    assert.equal(verified.code, 10, JSON.stringify(verified.items) + verified.stderr);

    const bus = await openClusterBus(backends);
    const calls = await recordsByPartition(bus, TOPICS.toolcalls.name);
    await bus.close();
    const fresh = await detectAnew(join(root, 'fresh'), calls, 90_000, { rules: STORY_RULES });
    assert.deepEqual(stored, fresh.ids);
    assert.ok(stored.length >= KILLS, `only ${stored.length} alerts`);
    console.log(
      `${KILLS} kills, ${running.acknowledged.length} events acknowledged, ${running.repeats()} requests repeated, ${stored.length} alerts`,
    );
  });
}
