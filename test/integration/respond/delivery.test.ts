import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, suite, test } from 'node:test';
import type { DestinationConfig } from '../../../schemas/config/v1.ts';
import type { Clock } from '../../../services/platform/clock.ts';
import type { RunningStep } from '../../../services/platform/step.ts';
import type { Store } from '../../../services/platform/store/port.ts';
import { startRespond } from '../../../services/respond/main.ts';
import {
  alertBody,
  eventually,
  fastClock,
  openHarness,
  openTestStore,
  publishAlert,
  temporaryDir,
  type Harness,
} from './harness.ts';
import { SECRET, startReceiver, type Receiver } from './receiver.ts';

const QUIET_MS = 400;
const quiet = () => new Promise((resolve) => setTimeout(resolve, QUIET_MS));

suite('alerts to webhooks', () => {
  let shared: Awaited<ReturnType<typeof temporaryDir>>;
  let store: Store;
  let place: Awaited<ReturnType<typeof temporaryDir>>;
  let receiver: Receiver;
  const running: { harness: Harness; step: RunningStep }[] = [];

  before(async () => {
    shared = await temporaryDir();
    store = await openTestStore(shared.dir);
  });
  after(async () => {
    await store.close();
    await shared.remove();
  });
  beforeEach(async () => {
    place = await temporaryDir();
    receiver = await startReceiver();
  });
  afterEach(async () => {
    for (const one of running.splice(0)) await stop(one);
    await receiver.close();
    await place.remove();
  });

  const destination = (change: Partial<DestinationConfig> = {}): unknown => ({
    name: 'soc',
    kind: 'webhook',
    url: `${receiver.url}/hook`,
    secret: { value: SECRET },
    allowPrivate: true,
    ...change,
  });
  async function start(destinations: readonly unknown[], clock?: Clock) {
    const harness = await openHarness({
      dir: place.dir,
      store,
      respond: { destinations },
      ...(clock === undefined ? {} : { clock }),
    });
    const one = { harness, step: await startRespond(harness.context) };
    running.push(one);
    return one;
  }
  async function stop(one: { harness: Harness; step: RunningStep }): Promise<void> {
    const at = running.indexOf(one);
    if (at >= 0) running.splice(at, 1);
    await one.step.stop();
    await one.harness.close();
  }
  const metric = async ({ harness }: { harness: Harness }, name: string) =>
    (await harness.context.metrics.getSingleMetricAsString(name))
      .split('\n')
      .filter((line) => !line.startsWith('#'));

  test('an alert arrives once, signed, with its chain; published again it does not come again', async () => {
    const { harness } = await start([destination()]);
    const alert = alertBody('one');
    await publishAlert(harness.context, alert);
    await publishAlert(harness.context, alert);
    const delivery = await eventually('delivery', () => receiver.deliveries[0]);
    await publishAlert(harness.context, alert);
    await quiet();
    assert.equal(receiver.deliveries.length, 1);
    assert.equal(delivery.isVerified, true);
    assert.doesNotMatch(delivery.id, /\./);
    assert.deepEqual(JSON.parse(delivery.body), {
      type: 'alert.fired',
      timestamp: '2026-01-31T12:00:00.000Z',
      data: alert,
    });
  });

  test('every destination of the tenant from its level on; nothing for rules in shadow', async () => {
    const { harness } = await start([
      destination({ name: 'all', url: `${receiver.url}/all` }),
      destination({ name: 'critical', url: `${receiver.url}/critical`, minLevel: 'critical' }),
      destination({ name: 'other', url: `${receiver.url}/other`, tenant: 'other' }),
    ]);
    await publishAlert(harness.context, alertBody('shadow', { mode: 'shadow' }));
    await publishAlert(harness.context, alertBody('high'));
    await publishAlert(harness.context, alertBody('critical', { level: 'critical' }));
    await publishAlert(harness.context, alertBody('theirs'), 'other');
    await eventually('four deliveries', () => receiver.deliveries.length >= 4);
    await quiet();
    const paths = receiver.deliveries.map(({ path, body }) => {
      const { data } = JSON.parse(body) as { data: { title: string } };
      return `${path} ${/\((.*)\)/.exec(data.title)?.[1]}`;
    });
    assert.deepEqual(paths.toSorted(), ['/all critical', '/all high', '/critical critical', '/other theirs']);
  });

  test('a receiver that fails gets the same message again, by the schedule, until it takes it', async () => {
    const { harness } = await start([destination()], fastClock(1000));
    receiver.answer = (_delivery, count) => ({ status: count < 3 ? 503 : 200 });
    await publishAlert(harness.context, alertBody('retry'));
    await eventually('third try', () => receiver.deliveries.length >= 3);
    await quiet();
    const [first, second, third, ...more] = receiver.deliveries;
    assert.ok(first !== undefined && second !== undefined && third !== undefined);
    assert.equal(more.length, 0);
    assert.equal(new Set(receiver.deliveries.map(({ id, body }) => `${id} ${body}`)).size, 1);
    assert.ok(receiver.deliveries.every(({ isVerified }) => isVerified));
    // 5 s and 5 min, each ±10 %, a thousand times as fast; the upper bound leaves room for a busy machine.
    assert.ok(third.atMs - second.atMs >= 260, `${third.atMs - second.atMs} ms`);
    assert.ok(second.atMs - first.atMs < 250, `${second.atMs - first.atMs} ms`);
  });

  test('an answer that was lost is asked for again under the same webhook-id', async () => {
    const { harness } = await start([destination()], fastClock(1000));
    receiver.answer = (_delivery, count) => (count === 1 ? 'lost' : { status: 204 });
    await publishAlert(harness.context, alertBody('lost'));
    await eventually('second try', () => receiver.deliveries.length >= 2);
    await quiet();
    assert.equal(receiver.deliveries.length, 2);
    assert.equal(receiver.deliveries[0]?.id, receiver.deliveries[1]?.id);
    assert.equal(receiver.deliveries[0]?.body, receiver.deliveries[1]?.body);
  });

  test('a receiver that hangs is left after its time, and holds up no other', async () => {
    const { harness } = await start([
      destination({ name: 'hanging', url: `${receiver.url}/hanging`, timeoutMs: 300 }),
      destination({ name: 'well', url: `${receiver.url}/well` }),
    ]);
    receiver.answer = ({ path }) => (path === '/hanging' ? 'hang' : { status: 204 });
    for (let index = 0; index < 10; index += 1)
      await publishAlert(harness.context, alertBody(`hang ${index}`));
    await eventually(
      'the other one',
      () => receiver.deliveries.filter(({ path }) => path === '/well').length === 10,
      1500,
    );
    await eventually('the time', async () => {
      const lines = await metric({ harness }, 'tripline_respond_delivery_attempts_total');
      return lines.some((line) => line.includes('hanging') && line.includes('timeout'));
    });
  });

  test('410 ends an endpoint: it is not called again, and what waits for it is dead', async () => {
    const one = await start([destination()], fastClock(1000));
    receiver.answer = () => ({ status: 410 });
    await publishAlert(one.harness.context, alertBody('gone 1'));
    await eventually('first', () => receiver.deliveries.length === 1);
    await eventually('gone', () => one.step.health().detail.includes('1 destinations gone'));
    await publishAlert(one.harness.context, alertBody('gone 2'));
    await eventually('both dead', async () =>
      (await metric(one, 'tripline_respond_dead_deliveries_total')).some((line) => line.endsWith(' 2')),
    );
    assert.equal(receiver.deliveries.length, 1);
  });

  test('a redirect is a failure and is not followed', async () => {
    const one = await start([destination()]);
    receiver.answer = () => ({ status: 302, headers: { location: `${receiver.url}/elsewhere` } });
    await publishAlert(one.harness.context, alertBody('redirect'));
    await eventually('first', () => receiver.deliveries.length === 1);
    await quiet();
    assert.deepEqual(
      receiver.deliveries.map(({ path }) => path),
      ['/hook'],
    );
    const lines = await metric(one, 'tripline_respond_delivery_attempts_total');
    assert.ok(lines.some((line) => line.includes('http_status')));
  });

  test('a private address is refused unless it is allowed', async () => {
    const one = await start([destination({ allowPrivate: false })]);
    await publishAlert(one.harness.context, alertBody('private'));
    await eventually('refusal', async () =>
      (await metric(one, 'tripline_respond_delivery_attempts_total')).some((line) =>
        line.includes('address_refused'),
      ),
    );
    assert.equal(receiver.deliveries.length, 0);
  });

  test('Retry-After holds for the destination', async () => {
    const one = await start([destination()], fastClock(1000));
    receiver.answer = (_delivery, count) =>
      count === 1 ? { status: 429, headers: { 'retry-after': '600' } } : { status: 204 };
    await publishAlert(one.harness.context, alertBody('slow down'));
    const [first] = await eventually('first', () => receiver.deliveries.length > 0 && receiver.deliveries);
    await publishAlert(one.harness.context, alertBody('slow down too'));
    await eventually('both', () => receiver.deliveries.length >= 3);
    for (const later of receiver.deliveries.slice(1)) assert.ok(later.atMs - (first?.atMs ?? 0) >= 590);
  });

  test('after ten tries a delivery is dead, counted, and tried no more', async () => {
    const one = await start([destination()], fastClock(2_000_000));
    receiver.answer = () => ({ status: 500 });
    await publishAlert(one.harness.context, alertBody('dead'));
    await eventually('dead', async () =>
      (await metric(one, 'tripline_respond_dead_deliveries_total')).some((line) =>
        line.includes('attempts_exhausted'),
      ),
    );
    await quiet();
    assert.equal(receiver.deliveries.length, 10);
  });

  test('what is pending goes on after a restart, what was delivered does not come again', async () => {
    const first = await start([destination()]);
    await publishAlert(first.harness.context, alertBody('before'));
    await eventually('delivered', () => receiver.deliveries.length === 1);
    receiver.answer = () => ({ status: 503 });
    await publishAlert(first.harness.context, alertBody('during'));
    await eventually('failed', () => receiver.deliveries.length === 2);
    await stop(first);
    receiver.answer = () => ({ status: 204 });
    const second = await start([destination()], fastClock(1000));
    await eventually('again', () => receiver.deliveries.length === 3);
    await stop(second);
    await start([destination()], fastClock(1000));
    await quiet();
    assert.equal(receiver.deliveries.length, 3);
    assert.equal(receiver.deliveries[1]?.id, receiver.deliveries[2]?.id);
  });

  test('a record that is no alert is stepped over', async () => {
    const { harness } = await start([destination()]);
    const { producer } = harness.context;
    const headers = { format: 'events/1', tenant: 'default' };
    for (const value of ['{"v":1', '{}', '\xff\n\n'])
      for (const partition of [0, 1, 2, 3])
        await producer.send('tripline.alerts.v1', partition, [
          { key: null, value: Buffer.from(value, 'latin1'), headers },
        ]);
    await publishAlert(harness.context, alertBody('after junk'));
    await eventually('delivery', () => receiver.deliveries.length === 1);
  });

  test('a secret that cannot be read stops the start', async () => {
    const harness = await openHarness({
      dir: place.dir,
      store,
      respond: { destinations: [destination({ secret: { file: '/nonexistent/secret' } })] },
    });
    await assert.rejects(startRespond(harness.context), { code: 'config_invalid' });
    await harness.close();
  });
});
