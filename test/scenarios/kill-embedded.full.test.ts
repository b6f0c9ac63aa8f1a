/** kill -9 of the whole embedded process at random moments under load. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { TOPICS } from '../../schemas/topics.ts';
import { openChdbStore } from '../../services/platform/store/chdb/open.ts';
import { openBus } from '../integration/detect/harness.ts';
import { detectAnew, recordsByPartition } from '../support/scenario/fresh-detect.ts';
import { assertStored, settled, storedAlertIds } from '../support/scenario/ledger.ts';
import { startLoad, type Load } from '../support/scenario/load.ts';
import { seededRandom } from '../support/scenario/random.ts';
import { killAll, lastLines, tripline, up, type Tripline } from '../support/scenario/tripline.ts';

const KILLS = Number(process.env['SCENARIO_KILLS'] ?? 50);
const PRODUCER_TOKEN = 'producer-under-kill';

describe('kill -9 of the embedded service', () => {
  const root = mkdtempSync(join(tmpdir(), 'tripline-kill-embedded-'));
  const dataDir = join(root, 'data');
  const configFile = join(root, 'tripline.yaml');
  const logFile = join(root, 'service.log');
  let load: Load | undefined;
  after(async () => {
    load?.abandon();
    await killAll();
    rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  });

  it(`loses nothing, stores nothing twice, tells the same alerts: ${KILLS} times`, async () => {
    const random = seededRandom('kill-embedded');
    writeFileSync(
      configFile,
      JSON.stringify({
        log: { level: 'warn' },
        detect: { snapshotEveryEvents: 200, snapshotEveryMs: 500 },
        auth: {
          keys: [{ id: 'load', tenant: 'default', role: 'producer', token: { value: PRODUCER_TOKEN } }],
        },
      }),
    );
    let url: string | undefined;
    const start = (): Tripline => {
      const service = up({ dataDir, configFile, logFile });
      void service.url.then(
        (known) => (url = known),
        () => undefined,
      );
      return service;
    };
    load = startLoad({
      random,
      tenants: [{ name: 'default', token: PRODUCER_TOKEN }],
      url: () => url,
      producersPerTenant: 3,
      pauseMs: 30,
    });
    for (let kill = 0; kill < KILLS; kill++) {
      const service = start();
      // Every fifth life ends while it starts; the others at any moment of their work.
      if (kill % 5 === 4) await Promise.race([sleep(random.between(100, 2500)), service.exited]);
      else {
        await service.url;
        await sleep(random.between(0, 2500));
      }
      assert.ok(service.running(), `life ${kill} ended by itself:\n${lastLines(logFile)}`);
      await service.kill();
      url = undefined;
    }
    const last = start();
    const lastUrl = await last.url;
    await load.stop();
    const admin = readFileSync(join(dataDir, 'admin.token'), 'utf8').trim();
    await settled(() => lastUrl, admin, 90_000);
    assert.equal(await last.stop(), 0);

    const store = await openChdbStore({
      dir: join(dataDir, 'clickhouse'),
      maxMemoryBytes: 1024 ** 3,
      queryTimeoutMs: 60_000,
      log: pino({ level: 'silent' }),
    });
    await assertStored(store, load.acknowledged, dataDir);
    const stored = await storedAlertIds(store);
    await store.close();

    const verified = await tripline(['verify'], { TRIPLINE_DATA_DIR: dataDir });
    assert.equal(verified.code, 10, JSON.stringify(verified.items) + verified.stderr);

    const bus = await openBus(join(dataDir, 'bus'));
    const calls = await recordsByPartition(bus, TOPICS.toolcalls.name);
    await bus.close();
    const fresh = await detectAnew(join(root, 'fresh'), calls, 90_000);
    assert.deepEqual(stored, fresh.ids);
    assert.ok(stored.length > 20, `only ${stored.length} alerts`);
    console.log(
      `${KILLS} kills, ${load.acknowledged.length} events acknowledged, ${load.repeats()} requests repeated, ${stored.length} alerts`,
    );
  });
});
