/** Calls → lines that the door takes: deterministic, whole, and within the limits of a line whatever a body holds. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { readEventLine } from '../../../../schemas/event/read.ts';
import { MAX_LINE_BYTES, type Event } from '../../../../schemas/event/v1.ts';
import { eventLines } from '../../../../services/ingest/otlp/event-lines.ts';
import type { SeenCall } from '../../../../services/ingest/otlp/seen-call.ts';
import type { ToolCall } from '../../../../services/ingest/otlp/tool-call.ts';
import { spanIdOf, traceIdOf } from '../../../support/otlp/build.ts';

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();
const hashOf = (text: string): string => createHash('sha256').update(text, 'utf8').digest('hex');
const OWNER = { agent: 'bot', session: 's-1', principal: undefined };

function seen(call: Partial<ToolCall> = {}): SeenCall {
  return {
    callId: spanIdOf('s'),
    place: { traceId: traceIdOf('t'), spanId: spanIdOf('s'), parentSpanId: spanIdOf('p') },
    call: {
      emitter: 'gen_ai',
      tool: 'weather',
      args: '{"city":"Paris"}',
      result: '{"t":18}',
      outcome: 'ok',
      startNs: 1_764_028_800_123_456_789n,
      endNs: 1_764_028_800_125_000_000n,
      labels: [],
      ...call,
    },
    fallback: { agent: 'svc', process: undefined, host: 'h1' },
  };
}

function events(call: SeenCall, tenant = 'a', owner = OWNER): readonly Event[] {
  return eventLines(tenant, call, owner, sha256).map((line) => {
    assert.ok(line.length <= MAX_LINE_BYTES, `${line.length} bytes`);
    const read = readEventLine(line, { strict: true });
    assert.equal(read.kind, 'event', JSON.stringify(read).slice(0, 300));
    return (read as { event: Event }).event;
  });
}

describe('lines of a call', () => {
  it('are an intent at its start and a result at its end', () => {
    const [intent, result, ...others] = events(seen());
    assert.deepEqual(others, []);
    const common = {
      v: 1,
      stream: intent?.stream,
      session: 's-1',
      agent: 'bot',
      host: 'h1',
      callId: spanIdOf('s'),
      traceId: traceIdOf('t'),
      spanId: spanIdOf('s'),
      parentSpanId: spanIdOf('p'),
      transport: 'otlp',
      tool: 'weather',
      labels: ['otlp.gen_ai'],
    };
    const { nonce: _intentNonce, ...intentRest } = intent as Event;
    const { nonce: _resultNonce, ...resultRest } = result as Event;
    assert.deepEqual(intentRest, {
      ...common,
      kind: 'call.intent',
      seq: 0,
      time: '2025-11-25T00:00:00.123Z',
      args: { city: 'Paris' },
      argsHash: hashOf('{"city":"Paris"}'),
      argsBytes: 16,
    });
    assert.deepEqual(resultRest, {
      ...common,
      kind: 'call.result',
      seq: 1,
      time: '2025-11-25T00:00:00.125Z',
      outcome: 'ok',
      durationMs: 1.543,
      result: { t: 18 },
      resultHash: hashOf('{"t":18}'),
      resultBytes: 8,
    });
  });
  it('are the same bytes each time, and another stream for another tenant or another account', () => {
    const once = eventLines('a', seen(), OWNER, sha256);
    assert.deepEqual(eventLines('a', seen(), OWNER, sha256), once);
    const streams = [
      events(seen())[0],
      events(seen(), 'b')[0],
      events(seen(), 'a', { ...OWNER, agent: 'other' })[0],
      events(seen({ result: '{"t":19}' }))[0],
    ].map((event) => event?.stream);
    assert.equal(new Set(streams).size, 4);
  });
  it('a call that never returned is an intent alone', () => {
    assert.deepEqual(
      events(seen({ outcome: undefined, result: undefined })).map(({ kind }) => kind),
      ['call.intent'],
    );
  });
  it('text that is no JSON is a JSON string; the hash is of the text as it stood', () => {
    const [intent] = events(seen({ args: 'Paris "x"\n' }));
    assert.equal(intent?.args, 'Paris "x"\n');
    assert.equal(intent?.argsHash, hashOf('Paris "x"\n'));
  });
  it('JSON over several lines stays the same value in one', () => {
    const [intent] = events(seen({ args: '{\n  "city": "Par\\nis"\r\n}' }));
    assert.deepEqual(intent?.args, { city: 'Par\nis' });
  });
  it('JSON that readers would read differently, too deep or too long travels in parts', () => {
    const bodies = [
      '{"path":"/a","path":"/b"}',
      `${'['.repeat(100)}${']'.repeat(100)}`,
      `{"text":"${'x'.repeat(300_000)}"}`,
      '\u0001'.repeat(100_000),
      '😀'.repeat(100_000),
    ];
    for (const args of bodies) {
      const [intent, ...rest] = events(seen({ args, outcome: undefined }));
      assert.equal(intent?.args, undefined);
      assert.equal(intent?.argsHash, hashOf(args));
      const parts = rest.map(({ body }) => body);
      assert.equal(parts.map((part) => part?.data).join(''), args);
      for (const [index, part] of parts.entries()) {
        assert.deepEqual([part?.of, part?.part, part?.parts], ['args', index, parts.length]);
        assert.deepEqual([part?.totalBytes, part?.hash], [Buffer.byteLength(args), hashOf(args)]);
      }
    }
  });
  it('names that no event takes are made fit, and the last time that a span can name is a time', () => {
    const [intent] = events(
      seen({
        tool: `a\u0000b\ud800${'x'.repeat(400)}`,
        startNs: 2n ** 64n - 1n,
        toolCallId: '',
        server: '\u0007',
      }),
    );
    assert.equal(intent?.tool, `a\ufffdb\ufffd${'x'.repeat(252)}`);
    assert.equal(intent?.server, '\ufffd');
    assert.equal(intent?.time, '2554-07-21T23:34:33.709Z');
  });
});
