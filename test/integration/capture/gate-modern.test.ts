/** The gate in the revision without sessions (MCP 2026-07-28), between SDK v2 clients and servers and plain HTTP. */
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import assert from 'node:assert/strict';
import http from 'node:http';
import { describe, it, type TestContext } from 'node:test';
import { callOf, gateBefore, JSON_HEADERS, outcomesByTool, send } from '../../support/mcp/gate.ts';
import { modernServer, type ModernServer } from '../../support/mcp/modern-server.ts';
import { openPlace, type Place } from '../../support/mcp/place.ts';

const VERSION = '2026-07-28';
const META = {
  'io.modelcontextprotocol/protocolVersion': VERSION,
  'io.modelcontextprotocol/clientCapabilities': {},
};

interface Site extends Place {
  readonly server: ModernServer;
  readonly url: string;
}

async function open(context: TestContext, upstream: object = {}): Promise<Site> {
  const place = await openPlace(context);
  const server = await modernServer(context);
  const upstreams = [{ name: 'modern', url: server.url, ...upstream }];
  const gate = await gateBefore(context, place, { config: { upstreams } });
  return { ...place, server, url: `${gate.url}/modern` };
}

async function modernClient(context: TestContext, url: string): Promise<Client> {
  const client = new Client(
    { name: 'tester', version: '1.0.0' },
    { versionNegotiation: { mode: { pin: VERSION } }, capabilities: { elicitation: {} } },
  );
  client.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: { confirm: true } }));
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  context.after(() => client.close());
  return client;
}

/** The headers that this revision asks for, as they should be. */
const mirrored = (tool: string, more: Readonly<Record<string, string>> = {}) => ({
  ...JSON_HEADERS,
  'mcp-protocol-version': VERSION,
  'mcp-method': 'tools/call',
  'mcp-name': tool,
  ...more,
});
const modernCall = (id: unknown, tool: string, args: object): string =>
  callOf(id, tool, args, { _meta: META });

const ARGUMENTS = { query: { region: 'eu', sql: '' }, echo: { text: 'x' } } as const;

describe('gate in the revision without sessions', () => {
  it('lists, calls, asks in rounds of one logical call, and mirrors no fault of its own', async (context) => {
    const { receiver, server, url } = await open(context, { headerMismatch: 'refuse' });
    const client = await modernClient(context, url);
    const names = (await client.listTools()).tools.map((tool) => tool.name);
    assert.deepEqual(names.toSorted(), ['deploy', 'echo', 'query', 'slow']);
    const echoed = await client.callTool({ name: 'echo', arguments: { text: 'hällo' } });
    assert.match(JSON.stringify(echoed), /hällo/);
    const deployed = await client.callTool({ name: 'deploy', arguments: { env: 'prod' } });
    assert.match(JSON.stringify(deployed), /deployed to prod/);
    const queried = await client.callTool({ name: 'query', arguments: { region: 'süd', sql: 'select 1' } });
    assert.match(JSON.stringify(queried), /süd/);
    assert.ok(server.headers.some((headers) => headers['mcp-param-region']?.includes('=?base64?')));
    await receiver.until(() => receiver.of('call.result').length === 4);
    assert.deepEqual(outcomesByTool(receiver), [
      ['echo', 'ok'],
      ['deploy', 'input_required'],
      ['deploy', 'ok'],
      ['query', 'ok'],
    ]);
    const [, first, second] = receiver.of('call.intent');
    assert.equal(first?.logicalCallId, second?.logicalCallId);
    assert.deepEqual(
      receiver.of('call.intent').flatMap((event) => event.labels ?? []),
      [],
    );
    assert.equal(new Set(receiver.of('call.intent').map((event) => event.stream)).size, 1);
    assert.equal(receiver.of('registry.snapshot').length, 1);
    assert.deepEqual(receiver.faults, []);
  });

  it('50 clients whose ids are the same: every answer ends its own call', async (context) => {
    const { receiver, url } = await open(context);
    const agent = new http.Agent({ maxSockets: 50 });
    context.after(() => agent.destroy());
    await Promise.all(
      Array.from({ length: 50 }, async (_, n) => {
        const body = modernCall(1, 'echo', { text: `call ${n}` });
        const answer = await send(url, { headers: mirrored('echo'), body, agent });
        assert.match(answer.body.toString(), new RegExp(`call ${n}"`));
      }),
    );
    await receiver.until(() => receiver.of('call.result').length === 50);
    assert.equal(outcomesByTool(receiver).length, 50);
    for (const intent of receiver.of('call.intent')) {
      const result = receiver.of('call.result').find((event) => event.callId === intent.callId);
      const { text } = intent.args as { text: string };
      assert.match(JSON.stringify(result?.result), new RegExp(`"${text}"`));
    }
  });

  it('closing the stream of a POST cancels it, at the server and on record', async (context) => {
    const { receiver, server, url } = await open(context);
    const request = http.request(url, { method: 'POST', headers: mirrored('slow') });
    request.on('error', () => undefined);
    request.end(modernCall('a', 'slow', { ms: 60_000 }));
    const response = await new Promise<http.IncomingMessage>((resolve) => request.on('response', resolve));
    assert.match(String(response.headers['content-type']), /event-stream/);
    request.destroy();
    await receiver.until(() => receiver.of('call.result').length === 1);
    assert.deepEqual(outcomesByTool(receiver), [['slow', 'cancelled']]);
    await receiver.until(() => server.cancelled.length === 1);
  });

  const param = { 'mcp-param-region': 'eu' };
  for (const [name, headers, tool, labels] of [
    ['another tool', mirrored('harmless'), 'echo', ['mcp-name']],
    ['another method', mirrored('echo', { 'mcp-method': 'tools/list' }), 'echo', ['mcp-method']],
    [
      'an older revision',
      mirrored('echo', { 'mcp-protocol-version': '2025-11-25' }),
      'echo',
      ['mcp-protocol-version'],
    ],
    ['nothing', JSON_HEADERS, 'echo', ['mcp-protocol-version', 'mcp-method', 'mcp-name']],
    ['a malformed name', mirrored('=?base64?%%%?='), 'echo', ['mcp-name']],
    ['another argument', mirrored('query', { 'mcp-param-region': 'us' }), 'query', ['mcp-param-region']],
    ['no argument', mirrored('query'), 'query', ['mcp-param-region']],
    ['what it says, encoded', mirrored('=?base64?cXVlcnk=?=', param), 'query', []],
  ] as const) {
    it(`headers that say ${name}: labelled, and refused where that is configured`, async (context) => {
      for (const mode of ['record', 'refuse'] as const) {
        const { receiver, server, url } = await open(context, { headerMismatch: mode });
        await (await modernClient(context, url)).listTools();
        const body = modernCall(7, tool, ARGUMENTS[tool]);
        const answer = await send(url, { headers, body });
        await receiver.until(() => receiver.of('call.result').length === 1);
        const [intent] = receiver.of('call.intent');
        const [result] = receiver.of('call.result');
        if (labels.length === 0) {
          assert.deepEqual([answer.status, result?.outcome, intent?.labels], [200, 'ok', undefined]);
          assert.deepEqual(server.reached, [tool]);
          continue;
        }
        assert.deepEqual(intent?.labels, [
          'header_mismatch',
          ...labels.map((one) => `header_mismatch:${one}`),
        ]);
        // A server of this revision refuses by itself; where it is configured the gate does so before.
        assert.deepEqual([answer.status, server.reached], [400, []]);
        assert.equal(result?.outcome, mode === 'refuse' ? 'refused' : 'rpc_error');
        if (mode === 'record') continue;
        const { id, error } = JSON.parse(answer.body.toString()) as { id: number; error: { code: number } };
        assert.deepEqual([id, error.code, intent?.verdict], [7, -32_020, 'refuse']);
      }
    });
  }

  it('a conversation that the host asserts parts the calls of one client; who asserts it is on record', async (context) => {
    const place = await openPlace(context);
    const server = await modernServer(context);
    const upstreams = ['a', 'b'].map((name) => ({ name, url: server.url }));
    const sessions = { sources: ['conversation', 'client'] };
    const gate = await gateBefore(context, place, { config: { upstreams, sessions } });
    const { receiver } = place;
    let answered = 0;
    for (const [upstream, conversation] of [
      ['a', 'gen_ai.conversation.id=c%201'],
      ['b', 'other=1, gen_ai.conversation.id = c%201;p=1'],
      ['a', 'gen_ai.conversation.id=c2'],
      ['a', undefined],
    ] as const) {
      const baggage = conversation === undefined ? {} : { baggage: conversation };
      const body = callOf(1, 'echo', { text: 'x' }, { _meta: { ...META, ...baggage } });
      await send(`${gate.url}/${upstream}`, { headers: mirrored('echo'), body });
      answered++;
      await receiver.until(() => receiver.of('call.result').length === answered);
    }
    const [one, two, three, four] = receiver.of('call.intent').map((event) => event.session);
    assert.equal(one, two, 'one conversation over two servers is one session');
    assert.equal(new Set([one, three, four]).size, 3);
    assert.deepEqual(
      receiver
        .of('stream.open')
        .flatMap(({ connection }) =>
          connection === undefined ? [] : [[connection.sessionSource, connection.conversationId]],
        ),
      [
        ['conversation', 'c 1'],
        ['conversation', 'c 1'],
        ['conversation', 'c2'],
        ['client', undefined],
      ],
    );
  });
});
