/** The gate between real SDK clients and real servers of the revisions with sessions. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ResourceListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  callsServer,
  connectTo,
  distinct,
  everything,
  freePort,
  gateBefore,
  outcomesByTool,
} from '../../support/mcp/gate.ts';
import { openPlace } from '../../support/mcp/place.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const GRACE = { streams: { resumeGraceMs: 300 } };

describe('gate before server-everything', () => {
  it('lists, calls, tells progress, asks the client, and puts each call on record once', async (context) => {
    const site = await openPlace(context);
    const server = await everything(context);
    const upstreams = [{ name: 'everything', url: server.url, agent: 'tester' }];
    const gate = await gateBefore(context, site, { config: { upstreams } });
    const client = new Client(
      { name: 'tester', version: '1.0.0' },
      { capabilities: { sampling: {}, elicitation: {} } },
    );
    client.setRequestHandler(CreateMessageRequestSchema, () => ({
      model: 'none',
      role: 'assistant',
      content: { type: 'text', text: 'sampled by the client' },
    }));
    client.setRequestHandler(ElicitRequestSchema, () => ({ action: 'decline' }));
    client.setNotificationHandler(ResourceListChangedNotificationSchema, () => undefined);
    const { transport } = await connectTo(context, `${gate.url}/everything`, { client });
    const names = (await client.listTools()).tools.map((tool) => tool.name);
    assert.ok(names.includes('echo'));
    const echoed = await client.callTool({ name: 'echo', arguments: { message: 'hällo' } });
    assert.match(JSON.stringify(echoed), /hällo/);
    const steps: number[] = [];
    await client.callTool(
      { name: 'trigger-long-running-operation', arguments: { duration: 0.5, steps: 3 } },
      undefined,
      { onprogress: ({ progress }) => void steps.push(progress) },
    );
    assert.deepEqual(steps, [1, 2, 3]);
    const sampled = await client.callTool({ name: 'trigger-sampling-request', arguments: { prompt: 'p' } });
    assert.match(JSON.stringify(sampled), /sampled by the client/);
    const asked = await client.callTool({ name: 'trigger-elicitation-request', arguments: {} });
    assert.match(JSON.stringify(asked), /declined/);
    await assert.rejects(
      client.callTool(
        { name: 'trigger-long-running-operation', arguments: { duration: 30, steps: 3 } },
        undefined,
        { timeout: 200 },
      ),
    );
    await transport.terminateSession();
    const { receiver } = site;
    await receiver.until(() => receiver.of('stream.close').length === 1);
    assert.deepEqual(outcomesByTool(receiver), [
      ['echo', 'ok'],
      ['trigger-long-running-operation', 'ok'],
      ['trigger-sampling-request', 'ok'],
      ['trigger-elicitation-request', 'ok'],
      ['trigger-long-running-operation', 'cancelled'],
    ]);
    const [intent] = receiver.of('call.intent');
    assert.equal(intent?.server, 'everything');
    assert.equal(intent.agent, 'tester');
    assert.equal(intent.transport, 'streamable_http');
    assert.equal(intent.argsHash, sha256('{"message":"hällo"}'));
    const [snapshot] = receiver.of('registry.snapshot');
    const listed = snapshot?.registry?.tools.find((tool) => tool.name === 'echo');
    assert.equal(intent.definitionHash, listed?.definitionHash);
    const [result] = receiver.of('call.result');
    assert.equal(result?.resultHash, sha256(JSON.stringify(result?.result)));
    assert.deepEqual(receiver.faults, []);
  });

  it('a server that dies in a call and comes back: abandoned, then a new session', async (context) => {
    const site = await openPlace(context);
    const port = await freePort();
    const server = await everything(context, port);
    const upstreams = [{ name: 'everything', url: server.url }];
    const gate = await gateBefore(context, site, { config: { upstreams, ...GRACE } });
    const { client } = await connectTo(context, `${gate.url}/everything`, {
      reconnectionOptions: {
        initialReconnectionDelay: 50,
        maxReconnectionDelay: 100,
        reconnectionDelayGrowFactor: 1,
        maxRetries: 2,
      },
    });
    const long = { name: 'trigger-long-running-operation', arguments: { duration: 30, steps: 30 } };
    let progressed: () => void = () => undefined;
    const underWay = new Promise<void>((resolve) => {
      progressed = resolve;
    });
    const call = client.callTool(long, undefined, { onprogress: () => progressed(), timeout: 20_000 });
    call.catch(() => undefined);
    await underWay;
    await server.kill();
    const { receiver } = site;
    await receiver.until(() => receiver.of('call.result').length === 1);
    assert.deepEqual(outcomesByTool(receiver), [['trigger-long-running-operation', 'abandoned']]);
    await everything(context, port);
    const again = await connectTo(context, `${gate.url}/everything`);
    await again.client.callTool({ name: 'echo', arguments: { message: 'back' } });
    await receiver.until(() => receiver.of('call.result').length === 2);
    assert.equal(new Set(receiver.of('call.intent').map((event) => event.stream)).size, 2);
  });
});

for (const [form, env] of [
  ['event streams', {}],
  ['JSON', { JSON: '1' }],
] as const) {
  describe(`gate before a server that answers in ${form}`, () => {
    it('50 calls at once, every outcome, and 10 MB: each answered, each on record once', async (context) => {
      const site = await openPlace(context);
      const server = await callsServer(context, site.place, env);
      const upstreams = [{ name: 'calls', url: server.url }];
      const gate = await gateBefore(context, site, { config: { upstreams } });
      const { client, transport } = await connectTo(context, `${gate.url}/calls`);
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, n) =>
          client.callTool({ name: 'echo', arguments: { text: `call ${n}` } }),
        ),
      );
      for (const [n, answer] of answers.entries()) assert.ok(JSON.stringify(answer).includes(`call ${n}\\`));
      await client.callTool({ name: 'fail', arguments: {} });
      const big = await client.callTool({ name: 'big', arguments: { bytes: 5_000_000 } });
      assert.equal((big.content as { text: string }[])[0]?.text.length, 5_000_000);
      await transport.terminateSession();
      const { receiver } = site;
      // Looked at as text: reading 11 MB of events at each look would be the longest part of the test.
      const isClosed = (line: string): boolean => line.startsWith('{"v":1,"kind":"stream.close"');
      await receiver.until(() => receiver.lines.some(isClosed), 60_000);
      const outcomes = outcomesByTool(receiver);
      assert.equal(outcomes.filter(([tool, outcome]) => tool === 'echo' && outcome === 'ok').length, 50);
      assert.deepEqual(outcomes.slice(50), [
        ['fail', 'tool_error'],
        ['big', 'ok'],
      ]);
      const whole = distinct(receiver, 'call.body')
        .map((event) => event.body?.data)
        .join('');
      const result = receiver.of('call.result').at(-1);
      assert.equal(sha256(whole), result?.resultHash);
      assert.ok(Buffer.byteLength(whole) > 10_000_000);
      assert.deepEqual(receiver.faults, []);
    });

    it('a client or a server that dies in a call leaves it abandoned', async (context) => {
      const site = await openPlace(context);
      const server = await callsServer(context, site.place, env);
      const upstreams = [{ name: 'calls', url: server.url }];
      const gate = await gateBefore(context, site, { config: { upstreams, ...GRACE } });
      const first = await connectTo(context, `${gate.url}/calls`);
      const slow = first.client.callTool({ name: 'slow', arguments: { ms: 60_000 } });
      slow.catch(() => undefined);
      while (!site.place.reached().includes('slow')) await sleep(20);
      await first.client.close();
      const { receiver } = site;
      await receiver.until(() => receiver.of('call.result').length === 1);
      const second = await connectTo(context, `${gate.url}/calls`);
      await assert.rejects(
        second.client.callTool({ name: 'die', arguments: {} }, undefined, { timeout: 3_000 }),
      );
      await receiver.until(() => receiver.of('call.result').length === 2);
      assert.deepEqual(outcomesByTool(receiver), [
        ['slow', 'abandoned'],
        ['die', 'abandoned'],
      ]);
    });
  });
}

describe('streams and sessions of a gate', () => {
  it('hosts of one process are one session with a stream for each connection', async (context) => {
    const site = await openPlace(context);
    const server = await callsServer(context, site.place);
    const upstreams = ['a', 'b'].map((name) => ({ name, url: server.url }));
    const gate = await gateBefore(context, site, { config: { upstreams } });
    for (const name of ['a', 'b', 'b']) {
      const { client } = await connectTo(context, `${gate.url}/${name}`);
      await client.callTool({ name: 'echo', arguments: { text: name } });
    }
    const { receiver } = site;
    await receiver.until(() => receiver.of('call.result').length === 3);
    const intents = receiver.of('call.intent');
    assert.equal(new Set(intents.map((event) => event.stream)).size, 3);
    assert.equal(new Set(intents.map((event) => event.session)).size, 1);
    const opened = receiver.of('stream.open').flatMap(({ connection }) => connection?.sessionSource ?? []);
    assert.deepEqual(new Set(opened), new Set(['process']));
  });

  it('by MCP session where that is configured; TRIPLINE_SESSION_ID goes before all', async (context) => {
    const site = await openPlace(context);
    const server = await callsServer(context, site.place);
    const config = {
      upstreams: [{ name: 'calls', url: server.url }],
      sessions: { sources: ['mcp_session'] },
    };
    const parted = await gateBefore(context, site, { config });
    const env = { TRIPLINE_SESSION_ID: 'given' };
    const given = await gateBefore(context, site, { config, env });
    for (const { url } of [parted, parted, given, given]) {
      const { client } = await connectTo(context, `${url}/calls`);
      await client.callTool({ name: 'echo', arguments: { text: 'x' } });
    }
    const { receiver } = site;
    await receiver.until(() => receiver.of('call.result').length === 4);
    const sessions = receiver.of('call.intent').map((event) => event.session);
    assert.equal(new Set(sessions).size, 3);
    assert.equal(sessions.filter((session) => session === 'given').length, 2);
  });

  it('idle streams end on record, the longest idle one gives way, and a full gate refuses', async (context) => {
    const site = await openPlace(context);
    const server = await callsServer(context, site.place);
    const upstreams = [{ name: 'calls', url: server.url }];
    const { receiver } = site;
    const idle = await gateBefore(context, site, { config: { upstreams, streams: { idleMs: 100 } } });
    const first = await connectTo(context, `${idle.url}/calls`);
    await first.client.callTool({ name: 'echo', arguments: { text: 'x' } });
    await first.client.close();
    await receiver.until(() => receiver.of('stream.close').length === 1);
    assert.equal(idle.streams, 0);
    const small = await gateBefore(context, site, { config: { upstreams, streams: { max: 1 } } });
    const busy = await connectTo(context, `${small.url}/calls`);
    const slow = busy.client.callTool({ name: 'slow', arguments: { ms: 3_000 } });
    while (!site.place.reached().includes('slow')) await sleep(20);
    await assert.rejects(connectTo(context, `${small.url}/calls`), /gate_full|503/);
    await slow;
    assert.equal(small.streams, 1);
  });
});
