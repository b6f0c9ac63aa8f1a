/** The control channel and the spool at their limits: lost after it was up, a stranger who talks much, no room to record. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectThroughTap, workplace, type Host } from '../../support/mcp/host.ts';
import { Receiver } from '../../support/mcp/receiver.ts';

const SEEN_WITHIN_MS = 60_000;
const REFUSED = -32090;

async function setup(context: TestContext, env: Readonly<Record<string, string>>) {
  const place = workplace();
  const receiver = new Receiver();
  await receiver.start();
  const keys = { TRIPLINE_CONTROL_KEYS: receiver.publicKey };
  const host = await connectThroughTap({ place, url: receiver.url, env: { ...keys, ...env } });
  context.after(async () => {
    await host.close();
    await receiver.stop();
    place.remove();
  });
  return { place, receiver, host };
}

const echo = (host: Host, text = 'a'): Promise<'answered' | 'refused'> =>
  host.client.callTool({ name: 'echo', arguments: { text } }).then(
    () => 'answered',
    (error: unknown) => {
      assert.equal((error as { code: number }).code, REFUSED);
      return 'refused';
    },
  );

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = Date.now() + SEEN_WITHIN_MS;
  while (!(await condition())) {
    assert.ok(Date.now() < deadlineMs, 'not seen in time');
    await sleep(50);
  }
}

const channelStates = (receiver: Receiver): readonly (string | undefined)[] =>
  receiver
    .of('control.ack')
    .filter((event) => event.controlId === 'channel')
    .map((event) => event.ack?.state);

describe('a channel that was up and is lost', () => {
  it('open: calls go on under the controls that are held; loss and return are on record', async (context) => {
    const { receiver, host } = await setup(context, {});
    receiver.push(receiver.sign({ id: 'k', target: 'slow' }), 'k');
    await receiver.until(() => receiver.of('control.ack').length === 1, SEEN_WITHIN_MS);
    const { port } = receiver;
    await receiver.stop();
    await until(() => host.stderr().includes('"event":"control_channel_lost"'));
    assert.equal(await echo(host), 'answered');
    await assert.rejects(host.client.callTool({ name: 'slow', arguments: { ms: 1 } }), { code: REFUSED });
    const back = new Receiver();
    await back.start(port);
    context.after(() => back.stop());
    await back.until(() => channelStates(back).length === 2, SEEN_WITHIN_MS);
    assert.deepEqual(channelStates(back), ['channel_lost', 'channel_restored']);
  });

  it('closed: calls are refused until the channel is back', async (context) => {
    const { place, receiver, host } = await setup(context, { TRIPLINE_ON_CHANNEL_LOST: 'closed' });
    await until(async () => (await echo(host)) === 'answered');
    const { port } = receiver;
    await receiver.stop();
    await until(async () => (await echo(host)) === 'refused');
    const reached = place.reached().length;
    assert.equal(await echo(host), 'refused');
    assert.equal(place.reached().length, reached);
    const back = new Receiver();
    await back.start(port);
    context.after(() => back.stop());
    await until(async () => (await echo(host)) === 'answered');
  });
});

describe('limits of the record', () => {
  it('a stranger who sends hundreds of controls gets 20 lines on record, and the true ones still count', async (context) => {
    const { receiver, host } = await setup(context, {});
    await receiver.until(() => receiver.hosts === 1, SEEN_WITHIN_MS);
    for (let n = 0; n < 300; n++) receiver.push(receiver.sign({ id: 'k', version: 1000 - n }), 'k');
    receiver.push(receiver.sign({ id: 'last', target: 'fail' }), 'last');
    await receiver.until(
      () => receiver.of('control.ack').some((event) => event.controlId === 'last'),
      SEEN_WITHIN_MS,
    );
    const states = receiver.of('control.ack').map((event) => event.ack?.state);
    assert.equal(states.filter((state) => state === 'rejected').length, 20);
    assert.equal(states.filter((state) => state === 'applied').length, 2);
    assert.equal(await echo(host), 'refused');
  });

  it('onSpoolFull=block: calls wait for room, none is given up and none leaves unrecorded', async (context) => {
    const env = { TRIPLINE_ON_SPOOL_FULL: 'block', TRIPLINE_SPOOL_MAX_BYTES: '65536' };
    const { place, receiver, host } = await setup(context, env);
    receiver.away = true;
    const text = 'x'.repeat(4_000);
    const CALLS = 20;
    const calls = Promise.all(Array.from({ length: CALLS }, () => echo(host, text)));
    await until(() => place.reached().length > 0);
    await sleep(1_000);
    assert.ok(place.reached().length < CALLS, 'more left than the spool can hold');
    receiver.away = false;
    assert.deepEqual(new Set(await calls), new Set(['answered']));
    await receiver.until(() => receiver.of('call.result').length === CALLS, SEEN_WITHIN_MS);
    assert.equal(receiver.of('call.intent').length, CALLS);
    assert.deepEqual(receiver.of('stream.gap'), []);
  });

  it('with fsync of each event calls are answered and on record', async (context) => {
    const { receiver, host } = await setup(context, { TRIPLINE_SPOOL_FSYNC: '1' });
    for (let n = 0; n < 5; n++) await echo(host, String(n));
    await receiver.until(() => receiver.of('call.result').length === 5, SEEN_WITHIN_MS);
  });
});
