/** Tap and decorator against the real service: recorded, refused, let through again, and nothing lost when it dies. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { InMemoryTransport } from '@modelcontextprotocol/sdk/inMemory.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { recordTransport } from '../../../services/capture/decorator.ts';
import { readSettings } from '../../../services/capture/settings.ts';
import { connectThroughTap, workplace, type Host } from '../../support/mcp/host.ts';
import { ofKind, Service, type EventItem } from '../../support/mcp/service.ts';
import { tripline } from '../../support/scenario/tripline.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const REFUSED = { code: -32090 };

describe('hosts against the running service', () => {
  const place = workplace();
  const service = new Service(place.dataDir);
  let early: Host;

  const connect = (session: string): Promise<Host> =>
    connectThroughTap({ place, env: { TRIPLINE_SESSION_ID: session } });
  const echo = (host: Host, text = 'x'): Promise<unknown> =>
    host.client.callTool({ name: 'echo', arguments: { text } });

  before(async () => {
    early = await connect('early');
    await echo(early, 'before');
    await service.start();
  });
  after(async () => {
    await early.close();
    await service.stop();
    place.remove();
  });

  it('a tap that was there before the service finds it by the data directory; its first call is a row', async () => {
    const events = await service.eventsOnce('early', (found) => ofKind(found, 'call.result').length === 1);
    const [intent] = ofKind(events, 'call.intent');
    assert.equal(intent?.argsHash, sha256('{"text":"before"}'));
    assert.equal(intent.server, 'calls');
    assert.equal(ofKind(events, 'call.result')[0]?.traceId, intent.traceId);
  });

  /** Calls until the answer is as wanted: a control takes effect when the host has it. */
  async function until(host: Host, wanted: 'answered' | 'refused'): Promise<void> {
    const deadlineMs = Date.now() + 60_000;
    for (;;) {
      const got = await echo(host).then(
        () => 'answered',
        (error: unknown) => {
          assert.equal((error as { code: number }).code, REFUSED.code);
          return 'refused';
        },
      );
      if (got === wanted) return;
      assert.ok(Date.now() < deadlineMs, `still ${got}`);
      await sleep(20);
    }
  }

  const acknowledged =
    (controlId: string, count: number) =>
    (events: readonly EventItem[]): boolean =>
      ofKind(events, 'control.ack').filter((event) => event.controlId === controlId).length === count;

  it('a control set over HTTP refuses calls before they reach the server; lifted, they go again; both acknowledged', async () => {
    const control = await service.setControl({ scope: 'tool', target: 'calls/echo', reason: 'because' });
    await service.eventsOnce('early', acknowledged(control.id, 1));
    const reachedBefore = place.reached().length;
    await assert.rejects(echo(early), (error: unknown) => {
      const { code, data } = error as { code: number; data: unknown };
      const { expiresAt } = control;
      assert.equal(code, REFUSED.code);
      const said = { controlId: control.id, scope: 'tool', mode: 'enforce', expiresAt, reason: 'because' };
      assert.deepEqual(data, said);
      return true;
    });
    assert.equal(place.reached().length, reachedBefore);
    await service.liftControl(control.id);
    await until(early, 'answered');
    const events = await service.eventsOnce('early', acknowledged(control.id, 2));
    const refused = ofKind(events, 'call.result').filter((event) => event.outcome === 'refused');
    assert.deepEqual(
      refused.map((event) => [event.controlId, event.verdict]),
      [[control.id, 'refuse']],
    );
  });

  it('in shadow mode calls go out, and that they would have been refused is a row', async () => {
    const control = await service.setControl({ scope: 'server', target: 'calls', mode: 'shadow' });
    await service.eventsOnce('early', acknowledged(control.id, 1));
    const reachedBefore = place.reached().length;
    await echo(early, 'shadowed');
    assert.equal(place.reached().length, reachedBefore + 1);
    const isShadowed = (event: EventItem): boolean => event.controlId === control.id;
    const events = await service.eventsOnce('early', (found) =>
      ofKind(found, 'call.result').some(isShadowed),
    );
    const pair = events.filter((event) => isShadowed(event) && event.kind !== 'control.ack');
    assert.deepEqual(
      pair.map((event) => [event.kind, event.verdict, event.outcome]),
      [
        ['call.intent', 'shadow_refuse', undefined],
        ['call.result', 'shadow_refuse', 'ok'],
      ],
    );
    await service.liftControl(control.id);
  });

  it('a decorated transport of this process: rows, and refused under a control of its session alone', async (context) => {
    const settings = readSettings({ TRIPLINE_DATA_DIR: place.dataDir, TRIPLINE_SESSION_ID: 'decorated' });
    const server = new McpServer({ name: 'one', version: '1.0.0' });
    let calls = 0;
    server.registerTool('count', {}, () => ({ content: [{ type: 'text', text: String(++calls) }] }));
    const [near, far] = InMemoryTransport.createLinkedPair();
    const client = new Client({ name: 'host', version: '1.0.0' });
    await server.connect(far);
    await client.connect(recordTransport(near, { settings, server: 'one', transport: 'in_memory' }));
    context.after(() => client.close());
    const call = (): Promise<unknown> => client.callTool({ name: 'count', arguments: {} });
    await call();
    const control = await service.setControl({ scope: 'session', target: 'decorated' });
    await service.eventsOnce('decorated', acknowledged(control.id, 1));
    await assert.rejects(call(), REFUSED);
    assert.equal(calls, 1);
    await echo(early);
    await client.close();
    const events = await service.eventsOnce(
      'decorated',
      (found) => ofKind(found, 'stream.close').length === 1,
    );
    assert.deepEqual(
      ofKind(events, 'call.result').map((event) => event.outcome),
      ['ok', 'refused'],
    );
  });

  it('service killed with -9 and started again while calls go on: all calls are rows, once, in order, verified', async (context) => {
    const host = await connect('endures');
    context.after(() => host.close());
    const CALLS = 150;
    const progress = { calls: 0 };
    const calling = (async () => {
      for (; progress.calls < CALLS; progress.calls++) {
        await echo(host, `call ${progress.calls}`);
        await sleep(5);
      }
    })();
    calling.catch(() => undefined); // Awaited below; a failure in between is not its own.
    const untilDone = async (calls: number): Promise<void> => {
      for (; progress.calls < calls; await Promise.race([sleep(5), calling]));
    };
    await untilDone(50);
    await service.kill();
    await untilDone(100);
    await service.start();
    await calling;
    await host.close();
    const events = await service.eventsOnce('endures', (found) => ofKind(found, 'stream.close').length === 1);
    assert.deepEqual(
      events.map((event) => event.seq),
      events.map((_, index) => index),
      'every sequence once, in order',
    );
    assert.deepEqual(
      ofKind(events, 'call.intent').map((event) => event.argsHash),
      Array.from({ length: CALLS }, (_, n) => sha256(JSON.stringify({ text: `call ${n}` }))),
    );
    assert.equal(ofKind(events, 'call.result').filter((event) => event.outcome === 'ok').length, CALLS);
    assert.equal(ofKind(events, 'stream.gap').length, 0);
    await early.close();
    await service.eventsOnce('early', (found) => ofKind(found, 'stream.close').length === 1);
    assert.deepEqual(readdirSync(path.join(place.dataDir, 'spool')), []);
    const verified = await tripline(['verify'], { TRIPLINE_DATA_DIR: place.dataDir });
    assert.equal(verified.items[0]?.['firstFault'], null);
    assert.equal(verified.code, 10);
  });
});
