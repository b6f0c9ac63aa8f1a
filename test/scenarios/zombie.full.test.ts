/**
 * A process that is stopped (SIGSTOP) in the middle of a write, while another takes its work over, and that then goes on as
 * if nothing had been: nothing is lost, nothing is doubled, there is one history.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { TOPICS } from '../../schemas/topics.ts';
import type { PartitionState } from '../../services/record/ports.ts';
import { httpSigner } from '../../services/record/http-signer.ts';
import { brokerMissing, freePort } from '../support/kafka/broker.ts';
import {
  openClusterStore,
  PARTITIONS,
  startBackends,
  writeClusterConfig,
  type Backends,
} from '../support/scenario/cluster.ts';
import { assertStored, settled } from '../support/scenario/ledger.ts';
import { startLoad, type Load } from '../support/scenario/load.ts';
import { seededRandom } from '../support/scenario/random.ts';
import { killAll, lastLines, tripline, up, type Tripline } from '../support/scenario/tripline.ts';

const KEYS = [
  { id: 'load', tenant: 'default', role: 'producer', token: 'producer-of-zombies' },
  { id: 'admin', tenant: '*', role: 'admin', token: 'admin-of-all' },
];
const SIGNER_TOKEN = 'token-of-the-signer';
const WITHIN_MS = 90_000;
/** Longer than a reservation counts (10 s), and than Kafka's session (3 s). */
const ASLEEP_MS = 11_000;

const missing = await brokerMissing();
if (missing === undefined) describe('a zombie', zombies);
else test('a zombie', { skip: missing }, () => undefined);

function zombies(): void {
  const root = mkdtempSync(join(tmpdir(), 'tripline-zombie-'));
  const configFile = join(root, 'tripline.yaml');
  const logOf = (name: string): string => join(root, `${name}.log`);
  /** Nothing is written as long as all goes well. */
  const textOf = (name: string): string => (existsSync(logOf(name)) ? readFileSync(logOf(name), 'utf8') : '');
  let backends: Backends;
  let port: number;
  let signing: Tripline;
  let door: Tripline;
  let first: Tripline;
  let load: Load;

  before(async () => {
    backends = await startBackends(root);
    port = await freePort();
    writeClusterConfig(configFile, backends, KEYS, {
      signer: { url: `http://127.0.0.1:${port}`, token: { value: SIGNER_TOKEN } },
      rules: { builtin: false },
      record: { maxBatchWaitMs: 0 },
    });
  });
  after(async () => {
    load?.abandon();
    await killAll();
    await backends.stop();
    rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  });

  const signer = () => httpSigner({ url: `http://127.0.0.1:${port}`, token: SIGNER_TOKEN, timeoutMs: 5_000 });
  const start = (name: string, steps: string, at?: number): Tripline =>
    up({
      dataDir: join(root, name),
      configFile,
      logFile: logOf(name),
      steps,
      ...(at === undefined ? {} : { port: at }),
    });

  async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
    const endMs = performance.now() + WITHIN_MS;
    while (!(await holds())) {
      assert.ok(
        performance.now() < endMs,
        `${what}\n${lastLines(logOf('first'))}\n${lastLines(logOf('door'))}`,
      );
      await sleep(20);
    }
  }

  /** A partition of which a batch is reserved and not signed. */
  async function underWay(): Promise<PartitionState | undefined> {
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const state = await signer().state(TOPICS.toolcalls.name, partition);
      if (state.outstanding !== null) return state;
    }
    return undefined;
  }

  /** Ends in the middle of a write: asked again while it is stopped, the batch is still not signed. */
  async function stopInMidWrite(process_: Tripline): Promise<PartitionState> {
    let caught: PartitionState | undefined;
    await until('no batch was caught', async () => {
      if ((await underWay()) === undefined) return false;
      process.kill(process_.pid, 'SIGSTOP');
      caught = await underWay();
      if (caught !== undefined) return true;
      process.kill(process_.pid, 'SIGCONT');
      return false;
    });
    assert.ok(caught);
    return caught;
  }

  /** What is sent from now on is signed. */
  async function goesOn(): Promise<void> {
    const offsets = async (): Promise<number> => {
      const heads = await signer()
        .heads()
        .catch(() => []);
      return heads.reduce(
        (sum, { topic, nextOffset }) => sum + (topic === TOPICS.toolcalls.name ? nextOffset : 0),
        0,
      );
    };
    let signed = 0;
    await until('the signer does not answer', async () => (signed = await offsets()) > 0);
    await until('nothing is signed any more', async () => (await offsets()) > signed + 20);
  }

  it('of record is superseded, says so, and writes nothing twice', async () => {
    signing = start('signer', 'sign', port);
    await signing.url;
    door = start('door', 'ingest,query,respond');
    const url = await door.url;
    first = start('first', 'record');
    await first.url;
    load = startLoad({
      random: seededRandom('zombie'),
      tenants: [{ name: 'default', token: 'producer-of-zombies' }],
      url: () => url,
      producersPerTenant: 3,
      pauseMs: 10,
    });
    const caught = await stopInMidWrite(first);
    const asleepSinceMs = performance.now();
    const second = start('second', 'record');
    await second.url;
    await until('nobody took the batch over', async () => {
      const { nextOffset } = await signer().state(caught.topic, caught.partition);
      return nextOffset > (caught.outstanding?.nextOffset ?? Infinity);
    });
    await sleep(Math.max(0, ASLEEP_MS - (performance.now() - asleepSinceMs)));
    process.kill(first.pid, 'SIGCONT');
    // Or its write meets a connection that its store has closed while it slept: then it begins anew, as the others do.
    await until('the zombie did not say that it was superseded', async () =>
      /"code":"(ledger_reserved|bus_stale|store_unavailable)"/u.test(textOf('first')),
    );
    await goesOn();
    // It lives, and takes its part again as a new member.
    assert.ok(first.running() && second.running());
  });

  it('of sign holds everything up, lets nobody in beside it, and goes on where it was', async () => {
    await until('no batch is under way', async () => (await underWay()) !== undefined);
    process.kill(signing.pid, 'SIGSTOP');
    const beside = start('signer', 'sign', 0);
    await assert.rejects(beside.url);
    assert.equal(await beside.exited, 1);
    assert.match(textOf('signer'), /"code":"data_dir_locked"/u);
    process.kill(signing.pid, 'SIGCONT');
    await goesOn();
    // The next one does not wake up again: its place is taken, and its state with it.
    await until('no batch is under way', async () => (await underWay()) !== undefined);
    process.kill(signing.pid, 'SIGSTOP');
    await signing.kill();
    signing = start('signer', 'sign', port);
    await signing.url;
    await goesOn();
  });

  it('left one history, with everything in it once', async () => {
    await load.stop();
    const url = await door.url;
    await settled(() => url, 'admin-of-all', WITHIN_MS);
    const store = await openClusterStore(backends);
    await assertStored(store, load.acknowledged, join(root, 'signer'));
    await store.close();
    const verified = await tripline(['verify'], { TRIPLINE_URL: url, TRIPLINE_TOKEN: 'admin-of-all' });
    assert.equal(verified.code, 10, JSON.stringify(verified.items) + verified.stderr);
    console.log(`${load.acknowledged.length} events`);
  });
}
