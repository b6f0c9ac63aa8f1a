import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';
import { WebSocket } from 'ws';
import type { AlertBody } from '../../../schemas/alert/v1.ts';
import type { ControlStreamMessage } from '../../../schemas/control/v1.ts';
import { openControls, type Controls } from '../../../services/platform/controls/open.ts';
import type { RunningStep } from '../../../services/platform/step.ts';
import type { Store } from '../../../services/platform/store/port.ts';
import { startRespond } from '../../../services/respond/main.ts';
import {
  bearer,
  DEFAULT_HOST,
  alertBody,
  eventually,
  openHarness,
  openTestStore,
  publishAlert,
  temporaryDir,
  type Harness,
} from './harness.ts';

const action = { type: 'kill', scope: 'session', target: 's1', mode: 'enforce', ttlMs: 60_000 } as const;
const ADMIN = { id: 'root', tenant: '*', role: 'admin' } as const;
const quiet = () => new Promise((resolve) => setTimeout(resolve, 300));

suite('kills of rules', () => {
  let shared: Awaited<ReturnType<typeof temporaryDir>>;
  let store: Store;
  let place: Awaited<ReturnType<typeof temporaryDir>>;
  let harness: Harness;
  let step: RunningStep;
  let controls: Controls;

  before(async () => {
    shared = await temporaryDir();
    store = await openTestStore(shared.dir);
  });
  after(async () => {
    await store.close();
    await shared.remove();
  });
  async function start(respond: unknown = {}): Promise<void> {
    harness = await openHarness({ dir: place.dir, store, respond });
    step = await startRespond(harness.context);
    controls = await openControls(harness.context);
  }
  async function stop(): Promise<void> {
    await step.stop();
    await controls.close();
    await harness.close();
  }
  beforeEach(async () => {
    place = await temporaryDir();
    await start();
  });
  afterEach(async () => {
    await stop();
    await place.remove();
  });
  const idOf = (alert: AlertBody) => `rule-${alert.id}`;
  const auditOf = (target: string, name: string) =>
    harness.audited.filter((entry) => entry.target === target && entry.action === name);

  test('an enforced alert sets one signed control, however often it is read, and audits it once', async () => {
    const alert = alertBody('kill', { action });
    for (let count = 0; count < 3; count += 1) await publishAlert(harness.context, alert, 'acme');
    const held = await eventually('control', () => controls.board.get(idOf(alert)));
    await quiet();
    const { control } = held;
    assert.deepEqual(
      [control.tenant, control.scope, control.target, control.mode, control.alertId, control.issuedBy],
      ['acme', 'session', 's1', 'enforce', alert.id, 'system:respond'],
    );
    assert.deepEqual(controls.board.get(idOf(alert)), held);
    assert.equal(auditOf(idOf(alert), 'control.set').length, 1);
  });

  test('a kill that a person lifted stays lifted when the alert is read again', async () => {
    const alert = alertBody('lifted', { action });
    await publishAlert(harness.context, alert, 'acme');
    await eventually('control', () => controls.board.get(idOf(alert)));
    await controls.issuer.lift(idOf(alert), 'false alarm', ADMIN);
    await publishAlert(harness.context, alert, 'acme');
    await quiet();
    assert.equal(controls.board.get(idOf(alert))?.control.state, 'lifted');
  });

  const without: readonly (readonly [string, Partial<AlertBody>])[] = [
    ['a rule that only alerts', { mode: 'alert' }],
    ['a rule in shadow', { mode: 'shadow' }],
    ['an alert by append time', { timeBasis: 'append' }],
    ['a rule that wants everything', { action: { ...action, scope: 'global', target: '*' } }],
  ];
  for (const [name, change] of without)
    test(`${name} sets nothing`, async () => {
      const alert = alertBody(name, { action, ...change });
      await publishAlert(harness.context, alert);
      const next = alertBody(`after ${name}`, { action });
      await publishAlert(harness.context, next);
      await eventually('the next one', () => controls.board.get(idOf(next)));
      assert.equal(controls.board.get(idOf(alert)), undefined);
    });

  test('an action in shadow sets a shadow control', async () => {
    const alert = alertBody('shadow action', { action: { ...action, mode: 'shadow' } });
    await publishAlert(harness.context, alert);
    const { control } = await eventually('control', () => controls.board.get(idOf(alert)));
    assert.equal(control.mode, 'shadow');
  });

  test('kills of rules can be switched off', async () => {
    await stop();
    await start({ allowRuleKills: false });
    const alert = alertBody('not allowed', { action });
    await publishAlert(harness.context, alert);
    await eventually('count', async () =>
      (await harness.context.metrics.getSingleMetricAsString('tripline_respond_rule_kills_total')).includes(
        'not_allowed',
      ),
    );
    assert.equal(controls.board.get(idOf(alert)), undefined);
  });

  test('a kill that cannot be is on record and does not hold up the next', async () => {
    const alert = alertBody('bad class', { action: { ...action, scope: 'class', target: 'no-such-class' } });
    const next = alertBody('good', { action });
    await publishAlert(harness.context, alert);
    await publishAlert(harness.context, next);
    await eventually('the next one', () => controls.board.get(idOf(next)));
    const [failed, ...others] = auditOf(idOf(alert), 'control.set');
    assert.equal(failed?.outcome, 'failed');
    assert.equal(others.length, 0);
  });

  test('each alert on the bus that asks for a kill becomes one control at the host', async () => {
    await harness.context.http.listen({ host: '127.0.0.1', port: 0 });
    const { port } = harness.context.http.server.address() as AddressInfo;
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/controls/stream`, {
      headers: bearer(DEFAULT_HOST),
    });
    const received: ControlStreamMessage[] = [];
    socket.on('message', (data: Buffer) =>
      received.push(JSON.parse(data.toString('utf8')) as ControlStreamMessage),
    );
    await eventually('snapshot', () => received.length === 1);
    for (let round = 0; round < 5; round += 1) {
      await publishAlert(harness.context, alertBody(`latency ${round}`, { action }));
      await eventually('control', () => received.length === round + 2);
    }
    socket.close();
    assert.deepEqual(
      received.slice(1).map(({ type }) => type),
      Array.from({ length: 5 }, () => 'control'),
    );
  });

  test('the expiry of a control is audited once, also over a restart', async () => {
    const request = { scope: 'agent', target: 'a', mode: 'enforce', reason: 'r', tenant: 'acme' } as const;
    const { control } = await controls.issuer.set({ ...request, ttlMs: 1000 }, ADMIN);
    const lifted = await controls.issuer.set({ ...request, ttlMs: 1000 }, ADMIN);
    await controls.issuer.lift(lifted.control.id, 'over', ADMIN);
    await eventually('audit', () => auditOf(control.id, 'control.expire').length === 1);
    const [entry] = auditOf(control.id, 'control.expire');
    assert.deepEqual(
      [entry?.tenant, entry?.actor, entry?.details?.['version']],
      ['acme', 'system:respond', control.version],
    );
    await stop();
    await start();
    await quiet();
    assert.equal(harness.audited.filter((one) => one.action === 'control.expire').length, 0);
  });

  test('a control that runs out while nothing runs is audited at the next start', async () => {
    const request = { scope: 'agent', target: 'a', mode: 'enforce', reason: 'r', ttlMs: 1000 } as const;
    const { control } = await controls.issuer.set(request, ADMIN);
    await stop();
    await new Promise((resolve) => setTimeout(resolve, Date.parse(control.expiresAt) - Date.now() + 20));
    await start();
    await eventually('audit', () => auditOf(control.id, 'control.expire').length === 1);
  });
});
