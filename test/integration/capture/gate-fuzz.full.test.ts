/** Broken requests to a gate, and broken answers of its server: each request comes to an end, each call on record has one outcome, and the gate goes on. */
import assert from 'node:assert/strict';
import http from 'node:http';
import { it } from 'node:test';
import { lineOf, mutated, pick, randomOf } from '../../support/capture/wire-fuzz.ts';
import {
  callOf,
  distinct,
  gateBefore,
  JSON_HEADERS,
  plainServer,
  send,
  withBody,
} from '../../support/mcp/gate.ts';
import { openPlace } from '../../support/mcp/place.ts';

const REQUESTS = 2_000;
const AT_ONCE = 20;
type Random = () => number;

const NAMES = [
  'mcp-session-id',
  'mcp-protocol-version',
  'mcp-method',
  'mcp-name',
  'mcp-param-region',
  'last-event-id',
  'content-type',
  'content-encoding',
  'accept',
  'authorization',
  'baggage',
  'traceparent',
  'via',
] as const;
const VALUES = [
  '',
  'a',
  'ä',
  'tools/call',
  'read',
  '2026-07-28',
  '2025-11-25',
  '=?base64?//79?=',
  '=?base64?cmVhZA==?=',
  'application/json; charset=utf-16',
  'text/event-stream',
  'gzip',
  'Bearer a.eyJpc3MiOlsxXX0.b',
  'gen_ai.conversation.id=%E0%A4%A,x',
  '00-ff-ff-01',
  'x'.repeat(6_000),
] as const;
const TYPES = ['application/json', 'text/event-stream', 'text/html', ''] as const;

function headersOf(random: Random): Record<string, string> {
  const headers: Record<string, string> = { ...JSON_HEADERS };
  while (random() < 0.7) headers[pick(random, NAMES)] = pick(random, VALUES);
  return headers;
}

/** A message, or a call that is nearly one. */
function bodyOf(random: Random, at: number): Buffer {
  if (random() < 0.5) return lineOf(random);
  const call = Buffer.from(callOf(at, 'read', { n: at }));
  return random() < 0.5 ? call : mutated(random, call);
}

/** Whatever a server may say: of any type, as a body or as events, cut, or not at all. */
function answered(random: Random, response: http.ServerResponse): void {
  if (random() < 0.1) return void response.destroy();
  const type = pick(random, TYPES);
  const id = pick(random, ['', 's1', 'ä'.repeat(3)]);
  const status = pick(random, [200, 200, 200, 200, 202, 204, 400, 404, 500, 302]);
  response.writeHead(status, {
    ...(type === '' ? {} : { 'content-type': type }),
    ...(id === '' ? {} : { 'mcp-session-id': encodeURIComponent(id) }),
    ...(random() < 0.05 ? { 'content-encoding': 'gzip' } : {}),
  });
  const line = lineOf(random);
  const text =
    type === 'text/event-stream' ? Buffer.concat([Buffer.from('data: '), line, Buffer.from('\n\n')]) : line;
  response.write(random() < 0.5 ? text : mutated(random, text));
  if (random() < 0.1) return void response.destroy();
  response.end();
}

it(`${REQUESTS} broken requests and answers leave the gate as it was`, async (context) => {
  const site = await openPlace(context);
  const random = randomOf(4_000);
  let isSound = false;
  const upstream = await plainServer(
    context,
    withBody((body, _request, response) => {
      if (!isSound) return answered(random, response);
      const { id } = JSON.parse(body.toString()) as { id: number };
      const text = JSON.stringify({ jsonrpc: '2.0', id, result: { content: [] } });
      response.writeHead(200, { 'content-type': 'application/json' }).end(text);
    }),
  );
  const gate = await gateBefore(context, site, {
    config: {
      upstreams: [{ name: 'raw', url: `${upstream}/mcp` }],
      streams: { resumeGraceMs: 100, max: 64 },
    },
    // All of it is to arrive, however slow the machine is.
    options: { timings: { closeTimeoutMs: 60_000 } },
  });
  const agent = new http.Agent({ keepAlive: true, maxSockets: AT_ONCE });
  context.after(() => agent.destroy());
  const statuses = new Map<number | 'broken off', number>();
  const one = async (at: number): Promise<void> => {
    const method = pick(random, ['POST', 'POST', 'POST', 'POST', 'GET', 'DELETE', 'PUT']);
    const body = method === 'POST' ? { body: bodyOf(random, at) } : {};
    const outcome = await send(`${gate.url}/raw`, {
      method,
      headers: headersOf(random),
      agent,
      ...body,
    }).then(
      ({ status }) => status,
      () => 'broken off' as const,
    );
    statuses.set(outcome, (statuses.get(outcome) ?? 0) + 1);
  };
  for (let at = 0; at < REQUESTS; at += AT_ONCE)
    await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => one(at + index)));
  assert.equal(
    [...statuses.values()].reduce((sum, count) => sum + count, 0),
    REQUESTS,
  );
  for (const status of [200, 400, 415, 502] as const)
    assert.ok((statuses.get(status) ?? 0) > 20, `${status}: ${JSON.stringify([...statuses])}`);
  isSound = true;
  const { status } = await send(`${gate.url}/raw`, { headers: JSON_HEADERS, body: callOf(1) });
  assert.equal(status, 200);
  await gate.stop();
  const { receiver } = site;
  const ids = (kind: 'call.intent' | 'call.result'): readonly string[] =>
    distinct(receiver, kind)
      .map(({ callId }) => callId ?? '')
      .toSorted();
  await receiver.until(() => ids('call.result').length >= ids('call.intent').length);
  assert.ok(ids('call.intent').length > 200, `${ids('call.intent').length} calls`);
  assert.deepEqual(ids('call.result'), ids('call.intent'));
  assert.deepEqual(receiver.faults, []);
});
