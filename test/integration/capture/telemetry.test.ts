/** OpenTelemetry spans of recorded calls at a real OTLP/HTTP receiver; nothing of OpenTelemetry is loaded without one. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { connectThroughTap, tapCommand, tapEnvironment, workplace } from '../../support/mcp/host.ts';
import { Receiver } from '../../support/mcp/receiver.ts';

/** The JSON form of OTLP (opentelemetry-proto 1.x, trace service): the fields that are read here. */
interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly status?: { readonly code?: number };
  readonly attributes: readonly {
    readonly key: string;
    readonly value: { readonly stringValue?: string; readonly boolValue?: boolean };
  }[];
}
interface OtlpRequest {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
}

const ERROR = 2;
const PARENT = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' };

describe('telemetry of a tap', () => {
  const place = workplace();
  const receiver = new Receiver();
  const spans: OtlpSpan[] = [];
  const collector = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      if (request.url === '/v1/traces') {
        const { resourceSpans } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as OtlpRequest;
        spans.push(...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)));
      }
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end('{}');
    });
  });

  before(async () => {
    await receiver.start();
    await new Promise<void>((resolve) => void collector.listen(0, '127.0.0.1', resolve));
  });
  after(async () => {
    await receiver.stop();
    collector.closeAllConnections();
    collector.close();
    place.remove();
  });

  it('each call is one span: the ids on record, under the span of the caller, over the span of the server', async () => {
    const { port } = collector.address() as AddressInfo;
    const host = await connectThroughTap({
      place,
      url: receiver.url,
      tapArguments: ['--server', 'calls', '--inject-trace'],
      env: {
        OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
        OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
        OTEL_TRACES_EXPORTER: 'otlp',
        OTEL_METRICS_EXPORTER: 'none',
        OTEL_LOGS_EXPORTER: 'none',
      },
    });
    const traceparent = `00-${PARENT.traceId}-${PARENT.spanId}-01`;
    const answer = await host.client.callTool({
      name: 'echo',
      arguments: { text: 'a' },
      _meta: { traceparent },
    });
    await host.client.callTool({ name: 'fail', arguments: {} });
    await host.close();
    await receiver.until(() => receiver.of('stream.close').length === 1, 60_000);

    assert.deepEqual(
      spans.map(({ traceId, spanId, parentSpanId }) => [traceId, spanId, parentSpanId ?? '']),
      receiver.of('call.intent').map((event) => [event.traceId, event.spanId, event.parentSpanId ?? '']),
    );
    const [joined, started] = spans;
    assert.equal(joined?.traceId, PARENT.traceId);
    assert.equal(joined.parentSpanId, PARENT.spanId);
    const [content] = answer.content as { text: string }[];
    const { meta } = JSON.parse(content?.text ?? '') as { meta: { traceparent: string } };
    assert.equal(
      meta.traceparent,
      `00-${PARENT.traceId}-${joined.spanId}-01`,
      'the server hangs under our span',
    );
    assert.notEqual(started?.traceId, PARENT.traceId);
    assert.equal(started?.status?.code, ERROR);
    const attributes = new Map(started.attributes.map(({ key, value }) => [key, value.stringValue]));
    assert.equal(attributes.get('gen_ai.tool.name'), 'fail');
    assert.equal(attributes.get('error.type'), 'tool_error');
    const recorded = started.attributes.find(({ key }) => key === 'tripline.recorded');
    assert.equal(recorded?.value.boolValue, true, 'OTLP ingest knows it as a call that is on record');
  });

  for (const [name, env, isLoaded] of [
    ['without an endpoint no module of OpenTelemetry is loaded', {}, false],
    ['with one it is', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' }, true],
  ] as const) {
    it(name, async () => {
      // NODE_DEBUG makes the module loader of Node name on stderr what it loads.
      const environment = tapEnvironment({
        place,
        url: receiver.url,
        env: { ...env, NODE_DEBUG: 'esm,module' },
      });
      const transport = new StdioClientTransport({ ...tapCommand({}), env: environment, stderr: 'pipe' });
      let debug = '';
      transport.stderr?.on('data', (chunk: Buffer) => {
        debug += chunk.toString('utf8');
      });
      const client = new Client({ name: 't', version: '1' });
      await client.connect(transport);
      await client.callTool({ name: 'echo', arguments: { text: 'a' } });
      await client.close();
      assert.match(debug, /services\/capture\/tap\/main/);
      assert.equal(/@opentelemetry\/sdk-node/.test(debug), isLoaded);
    });
  }
});
