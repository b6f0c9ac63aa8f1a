/** The gate byte by byte: what passes untouched, what is bounded, what is answered by the gate itself. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import {
  callOf,
  everything,
  freePort,
  gateBefore,
  JSON_HEADERS,
  outcomesByTool,
  plainServer,
  send,
  withBody,
  type GateSetup,
  type RawRequest,
} from '../../support/mcp/gate.ts';
import { openPlace, type Place } from '../../support/mcp/place.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const answerTo = (id: unknown, text = 'done'): string =>
  JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }] } });
const POST = (body: Uint8Array | string, headers: Readonly<Record<string, string>> = {}): RawRequest => ({
  headers: { ...JSON_HEADERS, ...headers },
  body,
});

interface Site extends Place {
  readonly url: string;
  readonly direct: string;
}

async function open(
  context: TestContext,
  serve: http.RequestListener,
  { upstream = {}, ...setup }: Partial<GateSetup> & { readonly upstream?: object } = {},
): Promise<Site> {
  const place = await openPlace(context);
  const direct = await plainServer(context, serve);
  const upstreams = [{ name: 'raw', url: `${direct}/mcp`, ...upstream }];
  const gate = await gateBefore(context, place, { ...setup, config: { ...setup.config, upstreams } });
  return { ...place, url: `${gate.url}/raw`, direct: `${direct}/mcp` };
}

const errorOf = (body: Buffer): { code: number; data?: { code?: string; controlId?: string } } =>
  (JSON.parse(body.toString()) as { error: { code: number } }).error;

describe('bytes through the gate', () => {
  it('a connection to the server is closed by the gate while it is idle, and never in a request', async (context) => {
    let isClosedByGate = false;
    const { url } = await open(
      context,
      withBody(async (body, request, response) => {
        const { id } = JSON.parse(body.toString()) as { readonly id: number };
        // The server itself waits for 5 s, and does not say so; it sees no end of what it closes.
        if (id === 1) request.socket.once('end', () => (isClosedByGate = true));
        else await sleep(4_900);
        const headers = { 'content-type': 'application/json', connection: 'keep-alive' };
        response.writeHead(200, headers).end(answerTo(id));
      }),
    );
    const [quick, slow] = [send(url, POST(callOf(1))), send(url, POST(callOf(2)))];
    assert.equal((await quick).status, 200);
    assert.equal((await slow).status, 200);
    assert.ok(isClosedByGate);
  });

  it('are those of a direct connection, both ways, whatever the form and the cuts', async (context) => {
    const received: string[] = [];
    const events = Buffer.concat([
      Buffer.from('\u{FEFF}: hello\r\n\r\nid: 1\ndata:\n\n'),
      Buffer.from(
        'event: message\r\nid: 2\r\nretry: 5\r\ndata: {"jsonrpc":"2.0",\r\ndata: "method":"ä€😀"}\r\n\r\n',
      ),
      Buffer.from(
        `data: ${'x'.repeat(200_000)}\n\n:\n\ndata: no json\rid\r\rdata: ${answerTo(1)}\n\nid: torn`,
      ),
    ]);
    const bodies: Readonly<Record<string, readonly [string, Buffer]>> = {
      '/mcp?form=json': ['application/json', Buffer.from(` ${answerTo(1, 'ä "\\')} \n`)],
      '/mcp?form=text': ['text/plain', randomBytes(300_000)],
      '/mcp?form=none': ['application/json', Buffer.alloc(0)],
      '/mcp?form=events': ['text/event-stream', events],
    };
    const { url, direct } = await open(
      context,
      withBody(async (body, request, response) => {
        received.push(`${sha256(body)} ${String(request.headers['x-kept'])}`);
        const [type = '', bytes = Buffer.alloc(0)] = bodies[request.url ?? ''] ?? [];
        response.writeHead(200, { 'content-type': type, 'set-cookie': ['a=1', 'b=2'] });
        response.flushHeaders();
        const step = bytes.length > 5_000 ? 40_001 : 3;
        for (let at = 0; at < bytes.length; at += step) {
          response.write(bytes.subarray(at, at + step));
          if (at % 7 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        response.end();
      }),
    );
    const request = POST(
      '  {"jsonrpc":"2.0","id":1,"method":"tools/call","params":{ "name" : "ä€😀","arguments":{"a":1e3}}}\r\n',
      {
        'x-kept': 'yes',
      },
    );
    for (const form of Object.keys(bodies)) {
      const query = form.slice(form.indexOf('?'));
      const [through, without] = [await send(url + query, request), await send(direct + query, request)];
      assert.equal(sha256(through.body), sha256(bodies[form]?.[1] ?? Buffer.alloc(0)), form);
      assert.equal(sha256(through.body), sha256(without.body), form);
      assert.equal(through.headers['content-type'], without.headers['content-type']);
      assert.deepEqual(through.headers['set-cookie'], ['a=1', 'b=2']);
      assert.equal(received.at(-1), received.at(-2));
    }
  });

  it('do not wait for what takes its time: the head comes without a message, a message without the end', async (context) => {
    for (const type of ['text/event-stream', 'application/json']) {
      const serving: http.ServerResponse[] = [];
      const { url } = await open(context, (request, response) => {
        request.resume();
        response.writeHead(200, { 'content-type': type });
        response.flushHeaders();
        serving.push(response);
      });
      const request = http.request(url, { method: 'POST', headers: JSON_HEADERS });
      request.end(callOf(1));
      const [answer] = (await once(request, 'response')) as [http.IncomingMessage];
      const server = serving.at(-1);
      assert.ok(server !== undefined);
      const isEvents = type === 'text/event-stream';
      const message = isEvents ? `data: ${answerTo(1)}\n\n` : answerTo(1);
      const ended = once(answer, 'end');
      server.write(message);
      // A body of JSON is one message, and its end is the body's.
      if (!isEvents) server.end();
      const [first] = (await once(answer, 'data')) as [Buffer];
      assert.equal(first.toString(), message);
      if (isEvents) server.end();
      await ended;
    }
  });

  it('are slowed by a client that does not read, and held in bounds', async (context) => {
    let written = 0;
    const { url } = await open(context, (request, response) => {
      request.resume();
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const event = Buffer.from(`data: ${'x'.repeat(65_536)}\n\n`);
      const more = (): void => {
        for (; written < 500 * event.length; written += event.length) {
          if (response.write(event)) continue;
          written += event.length;
          return void response.once('drain', more);
        }
        response.end();
      };
      more();
    });
    const request = http.request(url, { method: 'POST', headers: JSON_HEADERS });
    request.end(callOf(1));
    const response = await new Promise<http.IncomingMessage>((resolve) => request.on('response', resolve));
    response.pause();
    let before = -1;
    while (before !== written) {
      before = written;
      await sleep(150);
    }
    assert.ok(written < 400 * 65_536, `${written} bytes were taken for a client that reads none`);
    let read = 0;
    for await (const chunk of response) read += (chunk as Buffer).length;
    assert.equal(read, 500 * 65_544);
  });

  it('traces are written into calls where that is asked for, and nothing else changes', async (context) => {
    const bodies: Buffer[] = [];
    const env = { TRIPLINE_INJECT_TRACE: '1' };
    const serve = withBody((body, _request, response) => {
      bodies.push(body);
      response.writeHead(200, { 'content-type': 'application/json' }).end(answerTo(1));
    });
    const { url, receiver } = await open(context, serve, { env });
    await send(url, POST(callOf(1, 'echo', { a: 1 })));
    await receiver.until(() => receiver.of('call.result').length === 1);
    const [intent] = receiver.of('call.intent');
    const parent = `00-${intent?.traceId}-${intent?.spanId}-01`;
    const wanted = callOf(1, 'echo', { a: 1 }).replace(
      '"params":{',
      `"params":{"_meta":{"traceparent":"${parent}"},`,
    );
    assert.equal(bodies[0]?.toString(), wanted);
  });
});

describe('what the gate answers itself', () => {
  const seen: string[] = [];
  const answering = withBody((body, request, response) => {
    seen.push(body.toString());
    const messages = JSON.parse(body.toString() || '[]') as { id?: unknown } | { id?: unknown }[];
    const ids = [messages].flat().flatMap(({ id }) => (id === undefined ? [] : [id]));
    if (ids.length === 0) return void response.writeHead(202).end();
    const texts = ids.map((id) => answerTo(id));
    const isSse = request.url?.includes('sse') === true;
    response.writeHead(200, { 'content-type': isSse ? 'text/event-stream' : 'application/json' });
    const body2 = texts.length === 1 ? (texts[0] ?? '') : `[${texts.join(',')}]`;
    response.end(isSse ? `data: ${body2}\n\n` : body2);
  });

  it('a refused call: -32090 with its id, in the form that is asked for; of a batch the rest goes on', async (context) => {
    const site = await open(context, answering, { env: {} });
    const { receiver, place } = site;
    receiver.push(receiver.sign({ id: 'no-bad', target: 'bad' }), 'no-bad');
    const upstreams = [{ name: 'raw', url: site.direct }];
    const env = { TRIPLINE_CONTROL_KEYS: receiver.publicKey };
    const { url } = await gateBefore(context, { place, receiver }, { config: { upstreams }, env });
    // A call that comes before the channel has spoken waits for half a second, no longer.
    await receiver.until(() => receiver.of('control.ack').some(({ controlId }) => controlId === 'no-bad'));
    seen.length = 0;
    const plain = await send(`${url}/raw`, POST(callOf('é1', 'bad')));
    assert.equal(plain.status, 200);
    assert.match(String(plain.headers['content-type']), /application\/json/);
    const said = JSON.parse(plain.body.toString()) as { id: string; error: { code: number; data: object } };
    assert.deepEqual([said.id, said.error.code], ['é1', -32_090]);
    assert.match(JSON.stringify(said.error.data), /no-bad/);
    const stream = await send(`${url}/raw`, POST(callOf(2, 'bad'), { accept: 'text/event-stream' }));
    assert.match(String(stream.headers['content-type']), /text\/event-stream/);
    assert.match(stream.body.toString(), /^event: message\ndata: \{"jsonrpc":"2.0","id":2,.*-32090.*\}\n\n$/);
    assert.deepEqual(seen, []);
    const batch = `[${callOf(3, 'bad')},${callOf(4, 'good')}]`;
    const merged = JSON.parse((await send(`${url}/raw`, POST(batch))).body.toString()) as { id: number }[];
    assert.deepEqual(
      merged.map(({ id }) => id),
      [3, 4],
    );
    const events = (await send(`${url}/raw?sse`, POST(batch))).body.toString();
    assert.match(events, /-32090.*\n\ndata: .*"id":4/s);
    const notified = `[${callOf(5, 'bad')},{"jsonrpc":"2.0","method":"notifications/initialized"}]`;
    const left = await send(`${url}/raw`, POST(notified));
    assert.deepEqual([left.status, errorOfFirst(left.body)], [200, -32_090]);
    assert.deepEqual(
      seen,
      [4, 4]
        .map((id) => `[${callOf(id, 'good')}]`)
        .concat('[{"jsonrpc":"2.0","method":"notifications/initialized"}]'),
    );
    await receiver.until(() => receiver.of('call.result').length === 7);
    const outcomes = outcomesByTool(receiver);
    assert.equal(outcomes.filter(([tool, outcome]) => tool === 'bad' && outcome === 'refused').length, 5);
    assert.equal(outcomes.filter(([tool, outcome]) => tool === 'good' && outcome === 'ok').length, 2);
  });

  const errorOfFirst = (body: Buffer): number | undefined =>
    (JSON.parse(body.toString()) as { error: { code: number } }[])[0]?.error.code;

  for (const [name, request, code, status] of [
    ['no JSON', POST('call me'), 'body_malformed', 400],
    ['JSON that is cut off', POST(callOf(1).slice(0, -1)), 'body_malformed', 400],
    ['two values', POST(`${callOf(1)}${callOf(2)}`), 'body_malformed', 400],
    ['a byte order mark', POST(`\u{FEFF}${callOf(1)}`), 'body_malformed', 400],
    [
      'UTF-16',
      POST(Buffer.from(callOf(1), 'utf16le'), { 'content-type': 'application/json; charset=utf-16' }),
      'body_unsupported_type',
      415,
    ],
    ['gzip', POST(gzipSync(callOf(1)), { 'content-encoding': 'gzip' }), 'body_unsupported_type', 415],
    ['more than may be', POST(callOf(1, 'echo', { text: 'x'.repeat(20_000) })), 'body_too_large', 413],
    ['a page of a stranger', POST(callOf(1), { origin: 'https://evil.example' }), 'gate_origin_refused', 403],
    [
      'a page that hides its name',
      POST(callOf(1), { 'sec-fetch-site': 'cross-site' }),
      'gate_origin_refused',
      403,
    ],
    ['a name that is not ours', POST(callOf(1), { host: 'evil.example' }), 'gate_origin_refused', 403],
  ] as const) {
    it(`a request with ${name} never reaches the server`, async (context) => {
      const { url, receiver } = await open(context, answering, { options: { maxMessageBytes: 10_000 } });
      seen.length = 0;
      const answer = await send(url, request);
      assert.deepEqual([answer.status, errorOf(answer.body).data?.code], [status, code]);
      const fine = await send(url, POST(callOf(9)));
      assert.equal(fine.status, 200);
      assert.deepEqual(seen, [callOf(9)]);
      await receiver.until(() => receiver.of('call.result').length === 1);
      assert.equal(receiver.of('call.intent').length, 1);
    });
  }

  it('a page that is allowed may ask first and call then; other paths and methods are not served', async (context) => {
    const { url } = await open(context, answering, { upstream: { allowedOrigins: ['http://page.example'] } });
    const page = { origin: 'http://page.example' };
    assert.equal((await send(url, { method: 'OPTIONS', headers: page })).status, 202);
    assert.equal((await send(url, POST(callOf(1), page))).status, 200);
    assert.equal((await send(url, { method: 'PUT' })).status, 405);
    assert.equal((await send(`${url}/more`, POST(callOf(1)))).status, 404);
  });

  it("a request with two content types never reaches the server: which one counts is the server's choice", async (context) => {
    const { url } = await open(context, answering);
    seen.length = 0;
    const headers = {
      ...JSON_HEADERS,
      'content-type': ['application/json', 'application/json; charset=utf-7'],
    };
    const answer = await send(url, { headers, body: callOf(1) });
    assert.deepEqual(
      [answer.status, errorOf(answer.body).data?.code, seen],
      [415, 'body_unsupported_type', []],
    );
  });

  it('answers whose type can be read in two ways do not pass, those of one type do', async (context) => {
    const serve: http.RequestListener = (request, response) => {
      request.resume();
      const type = decodeURIComponent(request.url?.split('?')[1] ?? '').split('|');
      response.setHeader('content-type', type);
      response.end(answerTo(1));
    };
    const { url } = await open(context, serve);
    for (const [type, status] of [
      ['application/json, text/event-stream', 502],
      ['application/json|text/event-stream', 502],
      ['text/event-stream|application/json', 502],
      ['application/json; of=text/event-stream', 502],
      ['text/event-stream; of=application/json', 502],
      ['application/json; charset=utf-8', 200],
      [' Text/Event-Stream;charset=utf-8', 200],
    ] as const)
      assert.equal((await send(`${url}?${encodeURIComponent(type)}`, POST(callOf(1)))).status, status, type);
  });

  it('redirects, encoded answers and a gate before itself do not pass', async (context) => {
    const serve: http.RequestListener = (request, response) => {
      request.resume();
      if (request.url?.includes('redirect') === true)
        return void response.writeHead(307, { location: 'http://127.0.0.1:9/' }).end();
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
      response.end(gzipSync(answerTo(1)));
    };
    const { url, receiver, place } = await open(context, serve);
    for (const query of ['?redirect', '?gzip']) {
      const answer = await send(url + query, POST(callOf(1)));
      assert.deepEqual([answer.status, errorOf(answer.body).data?.code], [502, 'upstream_refused']);
    }
    await receiver.until(() => receiver.of('call.result').length === 2);
    assert.deepEqual(
      outcomesByTool(receiver).map(([, outcome]) => outcome),
      ['abandoned', 'abandoned'],
    );
    const port = await freePort();
    const upstreams = [{ name: 'self', url: `http://127.0.0.1:${port}/self` }];
    await gateBefore(context, { place, receiver }, { config: { upstreams, listen: { port } } });
    const looped = await send(`http://127.0.0.1:${port}/self`, POST(callOf(1)));
    assert.deepEqual([looped.status, errorOf(looped.body).data?.code], [508, 'gate_loop']);
  });

  it('a server that is not there: 502 and abandoned; one that says no: its own answer, and its error', async (context) => {
    const serve: http.RequestListener = (request, response) => {
      request.resume();
      if (request.url?.includes('break') === true) {
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        response.write('data: {"jsonrpc":"2.0","method":"x"}\n\n');
        return void setTimeout(() => response.destroy(), 50);
      }
      response.writeHead(500, { 'content-type': 'text/html' }).end('<p>no</p>');
    };
    const { url, receiver, place } = await open(context, serve);
    const refused = await send(url, POST(callOf(1)));
    assert.deepEqual([refused.status, refused.body.toString()], [500, '<p>no</p>']);
    await assert.rejects(send(`${url}?break`, POST(callOf(2))));
    const upstreams = [{ name: 'gone', url: 'http://127.0.0.1:9/mcp' }];
    const gate = await gateBefore(context, { place, receiver }, { config: { upstreams } });
    const gone = await send(`${gate.url}/gone`, POST(callOf(3)));
    assert.deepEqual([gone.status, errorOf(gone.body).data?.code], [502, 'upstream_unreachable']);
    await receiver.until(() => receiver.of('call.result').length === 3);
    const outcomes = outcomesByTool(receiver).map(([, outcome]) => outcome);
    const ended = (how: string): number => outcomes.filter((outcome) => outcome === how).length;
    assert.deepEqual([ended('abandoned'), ended('rpc_error')], [2, 1]);
  });
});

describe('requests that nobody answers', () => {
  it('are forgotten: the tools that are listed after 300 of them are on record', async (context) => {
    let asked = 0;
    const tools = [{ name: 'late', inputSchema: { type: 'object' } }];
    const serve = withBody((_body, _request, response) => {
      if (++asked <= 300) return void response.writeHead(503).end();
      const answer = JSON.stringify({ jsonrpc: '2.0', id: 1, result: { tools } });
      response.writeHead(200, { 'content-type': 'application/json' }).end(answer);
    });
    const { url, receiver } = await open(context, serve);
    const list = POST('{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}');
    for (let n = 0; n < 300; n++) assert.equal((await send(url, list)).status, 503);
    assert.equal((await send(url, list)).status, 200);
    await receiver.until(() => receiver.of('registry.snapshot').length === 1);
    assert.equal(receiver.of('registry.snapshot')[0]?.registry?.tools[0]?.name, 'late');
  });
});

describe('a broken stream of a session', () => {
  it('is resumed under its last event id: one call, one outcome', async (context) => {
    const site = await openPlace(context);
    const server = await everything(context);
    const upstreams = [{ name: 'everything', url: server.url }];
    const gate = await gateBefore(context, site, {
      config: { upstreams, streams: { resumeGraceMs: 20_000 } },
    });
    const url = `${gate.url}/everything`;
    const hello = {
      jsonrpc: '2.0',
      id: 0,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 't', version: '1' } },
    };
    const begun = await send(url, POST(JSON.stringify(hello)));
    const session = {
      'mcp-session-id': String(begun.headers['mcp-session-id']),
      'mcp-protocol-version': '2025-11-25',
    };
    await send(url, POST('{"jsonrpc":"2.0","method":"notifications/initialized"}', session));
    const request = http.request(url, { method: 'POST', headers: { ...JSON_HEADERS, ...session } });
    request.on('error', () => undefined);
    request.end(
      callOf(1, 'trigger-long-running-operation', { duration: 1, steps: 2 }, { _meta: { progressToken: 1 } }),
    );
    const response = await new Promise<http.IncomingMessage>((resolve) => request.on('response', resolve));
    const [first] = await new Promise<Buffer[]>((resolve) =>
      response.once('data', (chunk: Buffer) => resolve([chunk])),
    );
    const lastId = /^id: (\S+)$/m.exec(first?.toString() ?? '')?.[1] ?? '';
    assert.notEqual(lastId, '');
    request.destroy();
    await sleep(1_500);
    const resumed = http.request(url, {
      headers: { accept: 'text/event-stream', 'last-event-id': lastId, ...session },
    });
    resumed.on('error', () => undefined);
    resumed.end();
    const rest = await new Promise<http.IncomingMessage>((resolve) => resumed.on('response', resolve));
    let text = '';
    for await (const chunk of rest) {
      text += String(chunk);
      if (text.includes('"result"')) break;
    }
    assert.match(text, /Long running operation completed/);
    const { receiver } = site;
    await receiver.until(() => receiver.of('call.result').length === 1);
    assert.deepEqual(outcomesByTool(receiver), [['trigger-long-running-operation', 'ok']]);
    assert.equal((await send(url, { method: 'DELETE', headers: session })).status, 200);
    await receiver.until(() => receiver.of('stream.close').length === 1);
    // The session is gone: whatever the server says of that reaches the client.
    const late = await send(url, POST(callOf(2), session));
    assert.ok(late.status === 400 || late.status === 404, String(late.status));
  });
});
