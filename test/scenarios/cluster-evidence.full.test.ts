/**
 * Erasure, holds, keys of payloads and signatures of producers where sign, record and the door are processes of their own,
 * over Kafka and ClickHouse-HTTP.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { partitionFor, recordKey } from '../../schemas/bus/record.ts';
import { TOPICS } from '../../schemas/topics.ts';
import type { Bus, BusMessage } from '../../services/platform/bus/port.ts';
import type { Store } from '../../services/platform/store/port.ts';
import { filesHolding, filesHoldingBytes, linesOf, person } from '../support/erasure/people.ts';
import { brokerMissing, freePort } from '../support/kafka/broker.ts';
import { newKeyPair, SigningProducer } from '../support/producers/signing.ts';
import {
  openClusterBus,
  openClusterStore,
  startBackends,
  writeClusterConfig,
  type Backends,
} from '../support/scenario/cluster.ts';
import { getJson } from '../support/scenario/ledger.ts';
import { killAll, lastLines, tripline, up } from '../support/scenario/tripline.ts';

const ADMIN = 'admin-of-all';
const SIGNER_TOKEN = 'token-of-the-signer';
const TOPIC = TOPICS.toolcalls.name;
const WITHIN_MS = 120_000;
/** Two events, and the alert that tells of their unsigned stream. */
const ERASED = 3;
const KEYS = [
  { id: 'hosts', tenant: 'default', role: 'producer', token: 'producer-of-default' },
  { id: 'admin', tenant: '*', role: 'admin', token: ADMIN },
];

const missing = await brokerMissing();
const NAME = 'erasure, keys and signatures over processes of their own';
if (missing === undefined) describe(NAME, evidence);
else test(NAME, { skip: missing }, () => undefined);

interface Report {
  readonly verdict: string;
  readonly entries: number;
  readonly erased: number;
  readonly erasures: number;
  readonly firstFault: unknown;
  readonly producers: Readonly<Record<string, number>>;
}

function evidence(): void {
  const root = mkdtempSync(join(tmpdir(), 'tripline-evidence-'));
  const configFile = join(root, 'tripline.yaml');
  const logFile = join(root, 'services.log');
  let backends: Backends;
  let bus: Bus;
  let store: Store;
  let signerUrl: string;
  let url: string;

  before(async () => {
    backends = await startBackends(root);
    const port = await freePort();
    signerUrl = `http://127.0.0.1:${port}`;
    writeClusterConfig(configFile, backends, KEYS, {
      signer: { url: signerUrl, token: { value: SIGNER_TOKEN } },
      rules: { builtin: false },
      producers: { unsigned: 'alert' },
    });
    const start = (steps: string, at = 0) =>
      up({ dataDir: join(root, steps), configFile, logFile, steps, port: at }).url;
    await start('sign', port);
    [url] = await Promise.all([start('ingest,query,respond'), start('record')]);
    bus = await openClusterBus(backends);
    store = await openClusterStore(backends);
  });
  after(async () => {
    await bus?.close();
    await store?.close();
    await killAll();
    await backends.stop();
    rmSync(root, { recursive: true, force: true, maxRetries: 5 });
  });

  const at = (service: string) => ({ TRIPLINE_URL: service, TRIPLINE_TOKEN: ADMIN });
  const command = (...args: string[]) => tripline(args, at(url));
  const atSigner = (...args: string[]) => tripline(args, at(signerUrl));

  async function reported(holds: (report: Report) => boolean): Promise<Report> {
    const endMs = performance.now() + WITHIN_MS;
    for (;;) {
      const { items, stderr } = await command('verify');
      const report = items.at(-1) as Report | undefined;
      if (report !== undefined && holds(report)) return report;
      assert.ok(performance.now() < endMs, JSON.stringify(report) + stderr + lastLines(logFile));
      await sleep(200);
    }
  }

  async function say(lines: readonly string[]): Promise<void> {
    const response = await fetch(`${url}/v1/events`, {
      method: 'POST',
      headers: { authorization: 'Bearer producer-of-default', 'content-type': 'application/x-ndjson' },
      body: lines.join('\n'),
    });
    assert.equal(response.status, 202, await response.text());
  }

  const people = Array.from({ length: 4 }, (_, number) => person(number));
  const [first = person(0), second = person(1)] = people;

  it('payloads are sealed under keys that the process of step sign alone holds', async () => {
    await say(people.flatMap((one) => linesOf(one)));
    await reported(({ entries }) => entries >= 2 * people.length);
    const stored = await store.query<{ subject: string; bytes: string }>(
      `SELECT toString(subject) AS subject, bytes FROM payloads WHERE topic = '${TOPIC}'`,
    );
    assert.equal(stored.length, 2 * people.length);
    assert.ok(stored.every(({ subject, bytes }) => subject !== '0' && !bytes.includes('word-of-')));
    const numbers = [...new Set(stored.map(({ subject }) => Number(subject)))];
    const ask = (token: string) =>
      fetch(`${signerUrl}/v1/signer/keys/read`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ numbers }),
      });
    for (const token of ['', ADMIN, 'producer-of-default']) assert.equal((await ask(token)).status, 401);
    const { keys } = (await (await ask(SIGNER_TOKEN)).json()) as { keys: { key: string }[] };
    const raw = keys.map(({ key }) => Buffer.from(key, 'base64'));
    assert.equal(raw.length, people.length);
    // Of the files of deployment and parts only those of the signer hold a key.
    assert.deepEqual(
      filesHoldingBytes(root, raw).filter((file) => !file.startsWith(join(root, 'sign/subject-keys'))),
      [],
    );
  });

  it('erases nothing that is held', async () => {
    const held = await atSigner(
      'hold',
      'add',
      '--principal',
      second.principal,
      '--reason',
      'lawsuit',
      '--tenant',
      'default',
    );
    assert.equal(held.code, 0, held.stderr);
    const refused = await atSigner(
      'erase',
      '--session',
      second.session,
      '--reason',
      'request 1',
      '--tenant',
      'default',
    );
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /legal_hold/u);
    const id = String(held.items.at(-1)?.['id']);
    const released = await atSigner('hold', 'release', id, '--reason', 'settled');
    assert.equal(released.code, 0, released.stderr);
  });

  it('erases a principal: no table and no key is left; the bus says until when it holds the lines', async () => {
    const done = await atSigner(
      'erase',
      '--principal',
      first.principal,
      '--reason',
      'request 2',
      '--tenant',
      'default',
    );
    assert.equal(done.code, 0, done.stderr + lastLines(logFile));
    const busUntilMs =
      Date.parse(String(done.items.at(-1)?.['busUntil'])) || Number(done.items.at(-1)?.['busUntilMs']);
    assert.ok(busUntilMs > Date.now() + 6 * 86_400_000, JSON.stringify(done.items));
    const report = await reported(({ erased }) => erased === ERASED);
    assert.deepEqual([report.verdict, report.firstFault, report.erasures], ['verified', null, 1]);
    const left = await store.query(`SELECT 1 FROM events WHERE principal = '${first.principal}'`);
    assert.equal(left.length, 0);
    assert.deepEqual(filesHolding(join(root, 'clickhouse'), [first.said]), []);
    assert.equal((await command('session', second.session, '--tenant', 'default')).code, 0);
  });

  it('does not bring back what was erased, though the bus still holds it', async () => {
    const repaired = await command('ledger', 'repair', '--reason', 'check');
    assert.deepEqual(
      [repaired.code, repaired.items[0]?.['repaired'], repaired.items[0]?.['left']],
      [0, [], []],
      repaired.stderr,
    );
    assert.equal((await reported(() => true)).erased, ERASED);
  });

  it('counts what came straight to Kafka by its signature, and by who registered the key', async () => {
    const earlier = await reported(() => true);
    const [mine, stranger, foreign] = [newKeyPair(), newKeyPair(), newKeyPair()].map(
      (key) => new SigningProducer(key),
    );
    assert.ok(mine && stranger && foreign);
    for (const [producer, tenant] of [
      [mine, 'default'],
      [foreign, 'other'],
    ] as const) {
      const raw = producer.agent.raw.toString('base64');
      const registered = await command('keys', 'register', raw, '--name', 'host', '--tenant', tenant);
      assert.equal(registered.code, 0, registered.stderr);
    }
    const producer = await bus.producer();
    const send = async (session: string, message: BusMessage): Promise<void> => {
      const key = recordKey('default', session);
      await producer.send(TOPIC, partitionFor(key, bus.partitionCount(TOPIC)), [message]);
    };
    // A registration counts from its entry on.
    await reported(({ entries }) => entries >= earlier.entries + 2);
    const record = (by: SigningProducer, number: number) => {
      const { session } = person(number);
      const lines = linesOf(person(number));
      const { stream } = JSON.parse(lines[0] ?? '{}') as { stream: string };
      return { session, ...by.record({ tenant: 'default', session, stream }, 0, lines) };
    };
    const good = record(mine, 10);
    await send(good.session, good.message);
    const unknown = record(stranger, 11);
    await send(unknown.session, unknown.message);
    const others = record(foreign, 12);
    await send(others.session, others.message);
    const bare = record(mine, 13);
    const { 'batch-sig': _, ...headers } = bare.message.headers;
    await send(bare.session, { ...bare.message, headers });
    const forged = record(mine, 14);
    const moved = { ...forged.message.headers, 'batch-sig': good.message.headers['batch-sig'] ?? '' };
    await send(forged.session, { ...forged.message, headers: moved });
    const report = await reported(({ entries }) => entries >= earlier.entries + 12);
    const grown = (name: string): number => (report.producers[name] ?? 0) - (earlier.producers[name] ?? 0);
    assert.deepEqual(
      [grown('signed'), grown('unregistered'), grown('unsigned'), report.firstFault],
      [2, 4, 4, null],
      JSON.stringify(report.producers),
    );
    const key = mine.agent.keyId;
    assert.equal(key, createHash('sha256').update(mine.agent.raw).digest('hex'));
    const wanted = [
      'tripline.signature-invalid',
      'tripline.unregistered-producer',
      'tripline.unsigned-producer',
    ];
    const endMs = performance.now() + WITHIN_MS;
    for (;;) {
      const found = await getJson<{ items: { ruleId: string }[] }>(
        `${url}/v1/alerts?tenant=default&limit=500`,
        ADMIN,
      );
      const told = new Set(found?.items.map(({ ruleId }) => ruleId));
      if (wanted.every((rule) => told.has(rule))) break;
      assert.ok(performance.now() < endMs, JSON.stringify([...told]));
      await sleep(200);
    }
  });

  it('counts nothing under a key that was revoked by then', async () => {
    const mine = new SigningProducer(newKeyPair());
    const { raw, keyId } = mine.agent;
    const earlier = await reported(() => true);
    await command('keys', 'register', raw.toString('base64'), '--name', 'stolen', '--tenant', 'default');
    const revoked = async () =>
      (await command('keys', 'revoke', keyId, '--reason', 'stolen', '--tenant', 'default')).code === 0;
    const endMs = performance.now() + WITHIN_MS;
    while (!(await revoked())) {
      assert.ok(performance.now() < endMs);
      await sleep(200);
    }
    await reported(({ entries }) => entries >= earlier.entries + 2);
    const one = person(20);
    const lines = linesOf(one);
    const { stream } = JSON.parse(lines[0] ?? '{}') as { stream: string };
    const of = { tenant: 'default', session: one.session, stream };
    const producer = await bus.producer();
    const to = partitionFor(recordKey('default', one.session), bus.partitionCount(TOPIC));
    await producer.send(TOPIC, to, [mine.record(of, 0, lines).message]);
    const report = await reported(({ producers }) => (producers['revoked'] ?? 0) > 0);
    assert.equal(report.producers['revoked'], 2);
  });
}
