/** OTLP/HTTP at a running service: the protocol's answers, and what is on record afterwards. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import {
  logRequest,
  spanIdOf,
  traceIdOf,
  traceRequest,
  type PlainSpan,
  type TraceRequest,
} from '../../support/otlp/build.ts';
import { decodeAnswer, encodeOtlp } from '../../support/otlp/encode.ts';
import { startOtlpService, type OtlpService, type RecordedEvent } from '../../support/otlp/service.ts';

const PROTOBUF = { 'content-type': 'application/x-protobuf' };
const GEN_AI = { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': 'weather' };
const WAIT_MS = 700;
const MAX_BODY_BYTES = 200_000;

let dir = '';
let door: OtlpService;
before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'tripline-otlp-'));
  door = await startOtlpService({
    dataDir: dir,
    otlp: { assemblyWaitMs: WAIT_MS, maxItems: 100 },
    http: { maxBodyBytes: MAX_BODY_BYTES },
  });
});
after(async () => {
  await door.stop();
  rmSync(dir, { recursive: true });
});

/** A trace of three spans: a call, its step, and the agent's root. */
function trace(name: string): { tool: PlainSpan; step: PlainSpan; root: PlainSpan } {
  const traceId = traceIdOf(name);
  const startMs = Date.now() - 1000;
  const at = { traceId, startMs, endMs: startMs + 250 };
  return {
    tool: { ...at, spanId: spanIdOf('tool'), parentSpanId: spanIdOf('step'), attributes: GEN_AI },
    step: { ...at, spanId: spanIdOf('step'), parentSpanId: spanIdOf('root') },
    root: { ...at, spanId: spanIdOf('root'), attributes: { 'gen_ai.agent.name': `agent of ${name}` } },
  };
}

/** Alone in its trace, so that it never waits. */
const alone = (name: string, more: Partial<PlainSpan> = {}): TraceRequest =>
  traceRequest([{ traceId: traceIdOf(name), spanId: spanIdOf(name), attributes: GEN_AI, ...more }]);

/** What is on record of a trace, by kind, once there are `atLeast` events. */
async function onRecord(name: string, atLeast: number): Promise<readonly RecordedEvent[]> {
  const traceId = traceIdOf(name);
  const deadline = performance.now() + 15_000;
  for (;;) {
    const events = (await door.events(0)).filter((event) => event.traceId === traceId);
    if (events.length >= atLeast || performance.now() > deadline)
      return events.toSorted((a, b) => a.id.localeCompare(b.id));
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/**
 * What is on record of a trace when all that was sent before has come: streams may overtake each other, so what tells
 * it is one more call at the end of the trace's own stream.
 */
async function settled(name: string): Promise<readonly RecordedEvent[]> {
  const attributes = { ...GEN_AI, 'gen_ai.tool.name': 'marker' };
  await door.post(alone(name, { spanId: spanIdOf('marker'), attributes }));
  const isMarker = ({ tool }: RecordedEvent) => tool === 'marker';
  const deadline = performance.now() + 15_000;
  for (;;) {
    const events = await onRecord(name, 2);
    if (events.filter(isMarker).length === 2) return events.filter((event) => !isMarker(event));
    assert.ok(performance.now() < deadline, 'the marker never came on record');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

describe('answers', () => {
  it('JSON is answered with JSON, protobuf with protobuf; also compressed', async () => {
    const json = await door.post(alone('json'));
    assert.deepEqual(
      [json.status, json.headers.get('content-type'), await json.text()],
      [200, 'application/json', '{}'],
    );
    const body = encodeOtlp('Traces', alone('protobuf'));
    for (const [sent, headers] of [
      [body, PROTOBUF],
      [gzipSync(body), { ...PROTOBUF, 'content-encoding': 'gzip' }],
    ] as const) {
      const answer = await door.post(sent, headers);
      assert.deepEqual([answer.status, answer.headers.get('content-type')], [200, 'application/x-protobuf']);
      assert.deepEqual(decodeAnswer('Response', new Uint8Array(await answer.arrayBuffer())), {});
    }
    for (const name of ['json', 'protobuf'])
      assert.deepEqual(
        (await onRecord(name, 2)).map(({ kind, tool }) => [kind, tool]),
        [
          ['call.intent', 'weather'],
          ['call.result', 'weather'],
        ],
      );
  });

  it('spans that are no spans are refused alone, told in partialSuccess, and kept as dead letters', async () => {
    const body = traceRequest([
      { traceId: traceIdOf('part'), spanId: '0'.repeat(16), attributes: GEN_AI },
      { traceId: traceIdOf('part'), spanId: spanIdOf('part'), attributes: GEN_AI },
    ]);
    const errorMessage = 'item 0: spanId: 16 hex digits, not all zeros';
    assert.deepEqual(await (await door.post(body)).json(), {
      partialSuccess: { rejectedSpans: '1', errorMessage },
    });
    const protobuf = await door.post(encodeOtlp('Traces', body), PROTOBUF);
    assert.deepEqual(decodeAnswer('Response', new Uint8Array(await protobuf.arrayBuffer())), {
      partialSuccess: { rejected: 1, errorMessage },
    });
    assert.equal((await onRecord('part', 2)).length, 2);
    const metrics = await (
      await fetch(`${door.service.url}/metrics`, { headers: await adminHeaders() })
    ).text();
    assert.match(metrics, /tripline_otlp_items_total\{signal="traces",outcome="refused"\} 2/);
  });

  it('what cannot be decoded is 400 with a Status in the encoding of the request', async () => {
    const json = await door.post('{');
    assert.equal(json.status, 400);
    assert.deepEqual(await json.json(), { code: 3, message: 'body_malformed: not valid JSON in UTF-8' });
    const protobuf = await door.post(Buffer.from([0xff, 0xff]), PROTOBUF);
    assert.deepEqual(
      [protobuf.status, protobuf.headers.get('content-type')],
      [400, 'application/x-protobuf'],
    );
    assert.deepEqual(decodeAnswer('RpcStatus', new Uint8Array(await protobuf.arrayBuffer())), {
      code: 3,
      message: 'body_malformed: not a valid protobuf message of OTLP',
    });
  });

  it('every other refusal is a Status too, and none that sending again cannot mend is one of the retryable', async () => {
    const bomb = gzipSync(Buffer.alloc(20_000_000));
    const spans = Array.from({ length: 101 }, () => ({
      traceId: traceIdOf('many'),
      spanId: spanIdOf('many'),
    }));
    const refusals: readonly [number, number, Promise<Response>][] = [
      [401, 16, door.post(alone('x'), { authorization: '' })],
      [401, 16, door.post(alone('x'), { authorization: 'Bearer wrong' })],
      [415, 3, door.post('x', { 'content-type': 'text/plain' })],
      [415, 3, door.post('x', { 'content-encoding': 'br' })],
      [400, 3, door.post('x', { 'content-encoding': 'gzip' })],
      [413, 8, door.post(bomb, { ...PROTOBUF, 'content-encoding': 'gzip' })],
      [413, 8, door.post(Buffer.alloc(MAX_BODY_BYTES + 1), PROTOBUF)],
      [413, 8, door.post(traceRequest(spans))],
    ];
    for (const [status, code, sent] of refusals) {
      const answer = await sent;
      assert.equal(answer.status, status);
      const type = answer.headers.get('content-type');
      const said =
        type?.startsWith('application/json') === true
          ? ((await answer.json()) as { code: number; message: string })
          : decodeAnswer('RpcStatus', new Uint8Array(await answer.arrayBuffer()));
      assert.equal(said['code'], code);
      assert.match(String(said['message']), /^[a-z_]+: /);
    }
  });

  it('roles other than producer and admin are refused; the main port serves the same routes', async () => {
    const main = await fetch(`${door.service.url}/v1/traces`, {
      method: 'POST',
      headers: { authorization: `Bearer ${door.token}`, 'content-type': 'application/json' },
      body: JSON.stringify(alone('main')),
    });
    assert.equal(main.status, 200);
    assert.equal((await onRecord('main', 2)).length, 2);
  });

  it('its own port serves nothing else', async () => {
    const { otlpUrl } = door.service;
    assert.ok(otlpUrl !== undefined && otlpUrl !== door.service.url);
    for (const path of ['/', '/metrics', '/v1/events', '/v1/traces/x', '/docs'])
      assert.equal((await fetch(otlpUrl + path, { headers: await adminHeaders() })).status, 404, path);
  });
});

async function adminHeaders(): Promise<Record<string, string>> {
  const { readFile } = await import('node:fs/promises');
  return { authorization: `Bearer ${(await readFile(join(dir, 'admin.token'), 'utf8')).trim()}` };
}

describe('what is on record', () => {
  it('a request that is sent again adds nothing', async () => {
    const body = alone('again');
    for (let times = 0; times < 3; times += 1) assert.equal((await door.post(body)).status, 200);
    await door.post(encodeOtlp('Traces', body), PROTOBUF);
    const events = await settled('again');
    assert.equal(events.length, 2);
    assert.deepEqual(
      events.map(({ findings = [] }) => findings.includes('equivocation')),
      [false, false],
    );
  });

  it('a child that comes a request before its parents gets their agent', async () => {
    const { tool, step, root } = trace('split');
    for (const span of [tool, step, root]) assert.equal((await door.post(traceRequest([span]))).status, 200);
    const events = await onRecord('split', 2);
    assert.deepEqual(
      events.map(({ kind, agent, session }) => [kind, agent, session]),
      [
        ['call.intent', 'agent of split', traceIdOf('split')],
        ['call.result', 'agent of split', traceIdOf('split')],
      ],
    );
  });

  it('a child whose parents never come is recorded with what is known, once, also when they come late', async () => {
    const { tool, step, root } = trace('late');
    const send = (span: PlainSpan) =>
      door.post(traceRequest([span], { resource: { 'service.name': 'svc' } }));
    assert.equal((await send(tool)).status, 200);
    assert.deepEqual(
      (await onRecord('late', 2)).map(({ agent }) => agent),
      ['svc', 'svc'],
    );
    await send(step);
    await send(root);
    await send(tool); // An exporter that did not see the answer.
    assert.equal((await settled('late')).length, 2);
  });

  it('a call that waits is not lost when it is sent again while it waits', async () => {
    const { tool, step, root } = trace('twice');
    await Promise.all([door.post(traceRequest([tool])), door.post(traceRequest([tool]))]);
    await door.post(traceRequest([tool, step, root]));
    assert.deepEqual(
      (await onRecord('twice', 2)).map(({ agent }) => agent),
      ['agent of twice', 'agent of twice'],
    );
    await new Promise((resolve) => setTimeout(resolve, WAIT_MS + 300));
    assert.equal((await onRecord('twice', 2)).length, 2);
  });

  it('a span that our own tap exported is no second call', async () => {
    const attributes = { ...GEN_AI, 'tripline.recorded': true };
    assert.equal((await door.post(alone('own', { attributes }))).status, 200);
    assert.deepEqual(await settled('own'), []);
  });

  it('the span of an agent whose call a tap has on record is no second call', async () => {
    const { tool, step, root } = trace('tapped');
    const line = {
      v: 1,
      kind: 'call.intent',
      time: new Date().toISOString(),
      session: 'session of the tap',
      agent: 'host',
      callId: '1',
      tool: 'weather',
      server: 'weather',
      traceId: tool.traceId,
      spanId: spanIdOf('tap'),
      parentSpanId: tool.spanId,
    };
    const posted = await door.post(JSON.stringify(line), {}, '/v1/events').then((answer) => answer.status);
    assert.equal(posted, 404, 'events are taken at the main port only');
    const main = await fetch(`${door.service.url}/v1/events`, {
      method: 'POST',
      headers: { authorization: `Bearer ${door.token}`, 'content-type': 'application/json' },
      body: JSON.stringify(line),
    });
    assert.equal(main.status, 202);
    await onRecord('tapped', 1);
    assert.equal((await door.post(traceRequest([tool, step, root]))).status, 200);
    const events = await settled('tapped');
    assert.deepEqual(
      events.map(({ session }) => session),
      ['session of the tap'],
    );
  });

  it('events of Claude Code on /v1/logs, once however often they are sent', async () => {
    const called = (tool: string) => ({
      timeMs: Date.now(),
      body: 'claude_code.tool_result',
      attributes: { 'session.id': 'cc-1', tool_name: tool, success: 'true', duration_ms: '12' },
    });
    const body = logRequest([
      called('mcp__vault__read_secret'),
      { timeMs: Date.now(), body: 'claude_code.api_request', attributes: {} },
    ]);
    assert.equal((await door.post(JSON.stringify(body), {}, '/v1/logs')).status, 200);
    assert.equal((await door.post(encodeOtlp('Logs', body as object), PROTOBUF, '/v1/logs')).status, 200);
    assert.equal((await door.post(JSON.stringify(logRequest([called('Bash')])), {}, '/v1/logs')).status, 200);
    const deadline = performance.now() + 15_000;
    const onRecordOfSession = async (): Promise<readonly RecordedEvent[]> => {
      const events = (await door.events(0)).filter(({ session }) => session === 'cc-1');
      if (events.some(({ kind, tool }) => kind === 'call.result' && tool === 'Bash')) return events;
      assert.ok(performance.now() < deadline, 'the last call never came on record');
      await new Promise((resolve) => setTimeout(resolve, 100));
      return onRecordOfSession();
    };
    assert.deepEqual(
      (await onRecordOfSession()).map(({ kind, tool, agent }) => `${agent} ${tool} ${kind}`).toSorted(),
      [
        'claude-code Bash call.intent',
        'claude-code Bash call.result',
        'claude-code read_secret call.intent',
        'claude-code read_secret call.result',
      ],
    );
  });
});

describe('the listener', () => {
  it('a port that is taken is left alone; the main port goes on, and has its limits', async () => {
    const other = http.createServer((_request, response) => response.end('a collector of somebody else'));
    await new Promise<void>((resolve) => void other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    const place = mkdtempSync(join(tmpdir(), 'tripline-otlp-'));
    const second = await startOtlpService({
      dataDir: place,
      otlp: { port },
      http: { rateLimitPerMinute: 2 },
    });
    try {
      assert.equal(second.service.otlpUrl, undefined);
      assert.equal((await second.post(alone('second'))).status, 200);
      // Beyond the rate an exporter is told to come again, and when.
      await second.post(alone('second'));
      const third = await second.post(alone('second'));
      assert.equal(third.status, 429);
      assert.match(third.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
      assert.equal(((await third.json()) as { code: number }).code, 8);
    } finally {
      await second.stop();
      other.close();
      rmSync(place, { recursive: true });
    }
  });
});
