/**
 * What real runtimes sent, read by hand from the captures: calls, arguments, ends, agents and sessions. The captures stay
 * outside of the project; without them only a request written by hand is read here, and emitters.test.ts holds the same
 * readers to inputs of the form of each.
 */
import { OpenInferenceTracingProcessor } from '@arizeai/openinference-instrumentation-openai-agents';
import type { Span, SpanData, Trace } from '@openai/agents';
import { SpanStatusCode } from '@opentelemetry/api';
import { tracing } from '@opentelemetry/sdk-node';
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { belongs } from '../../../../services/ingest/otlp/belong.ts';
import { TraceMemory } from '../../../../services/ingest/otlp/trace-memory.ts';
import { readJsonSpans } from '../../../../services/ingest/otlp/wire/json.ts';
import { readProtobufSpans } from '../../../../services/ingest/otlp/wire/protobuf.ts';
import { traceRequest, type Plain, type PlainSpan } from '../../../support/otlp/build.ts';
import { encodeOtlp } from '../../../support/otlp/encode.ts';
import { LIMITS, readCalls, TENANT, type ReadCall } from './read.ts';

const DIR = resolve('..', 'shared', 'data', 'otlp');
const skip = existsSync(DIR) ? false : 'the captures are not here';

type Row = readonly [
  span: string,
  tool: string,
  args: string | undefined,
  outcome: string | undefined,
  result: string | undefined,
  agent: string,
  session: string,
];

const PARIS = '{"city":"Paris","tempC":18}';
const OSLO = '{"city":"Oslo","tempC":18}';
const ROME = '{"city":"Rome","tempC":18}';
const ECHO = '{"content":[{"type":"text","text":"Echo: via MCP"}],"isError":false}';
const PROCESS = 'langgraph-demo-agent/i-1';
const GET_SUM =
  'MCP error -32602: Input validation error: Invalid arguments for tool get-sum: Invalid input: expected number, received string at a\nInvalid input: expected number, received undefined at b';

const CAPTURES: Readonly<Record<string, { readonly spans: number; readonly rows: readonly Row[] }>> = {
  'otlp-vercel-ai.json': {
    spans: 31,
    rows: [
      ['368ed9', 'weather', '{"city":"Paris"}', 'ok', PARIS, 'weather-agent', 'trace'],
      ['f5322c', 'delete_file', '{"path":"/etc/passwd"}', 'tool_error', undefined, 'ops-agent', 'trace'],
      ['d31f50', 'weather', '{"city":"Oslo"}', 'ok', OSLO, 'ops-agent', 'trace'],
      ['754aac', 'weather', undefined, 'ok', undefined, 'private-agent', 'trace'],
      ['78b1f8', 'no_such_tool', '{}', undefined, undefined, 'vercel-ai-demo-agent', 'trace'],
      ['8cda5b', 'echo', '{"message":"via MCP"}', 'ok', ECHO, 'mcp-agent', 'trace'],
    ],
  },
  'otlp-vercel-ai-legacy.json': {
    spans: 21,
    rows: [
      ['c94183', 'weather', '{"city":"Paris"}', 'ok', PARIS, 'weather-agent', 's-1'],
      ['cbaee3', 'delete_file', '{"path":"/etc/passwd"}', 'tool_error', undefined, 'ops-agent', 'trace'],
      ['d4f81e', 'weather', '{"city":"Oslo"}', 'ok', OSLO, 'ops-agent', 'trace'],
      ['1e0719', 'weather', undefined, 'ok', undefined, 'private-agent', 'trace'],
      ['8140c9', 'no_such_tool', '{}', undefined, undefined, 'vercel-ai-demo-agent', 'trace'],
      ['658234', 'echo', '{"message":"via MCP"}', 'ok', ECHO, 'mcp-agent', 'trace'],
    ],
  },
  'otlp-langchain-openinference.json': {
    spans: 37,
    rows: [
      ['39c4b0', 'weather', 'Paris', 'ok', PARIS, 'ops_agent', 'sess-9'],
      ['e0f2a7', 'weather', 'Oslo', 'ok', OSLO, 'ops_agent', 'sess-9'],
      ['c0a2ee', 'weather', 'Rome', 'ok', ROME, 'ops_agent', 'sess-9'],
      ['b72f0d', 'delete_file', '/etc/passwd', 'tool_error', undefined, 'bad_agent', 'trace'],
      ['0f473a', 'echo', 'via MCP', 'ok', 'Echo: via MCP', 'mcp_agent', 'trace'],
    ],
  },
  'otlp-langchain-traceloop.json': {
    spans: 37,
    rows: [
      ['76228c', 'weather', '{"city":"Paris"}', 'ok', PARIS, 'langgraph-demo-agent', PROCESS],
      ['e6cfe9', 'weather', '{"city":"Oslo"}', 'ok', OSLO, 'langgraph-demo-agent', PROCESS],
      ['0f339f', 'weather', '{"city":"Rome"}', 'ok', ROME, 'langgraph-demo-agent', PROCESS],
      // Of a call that failed this instrumentation knows the class of the tool only.
      [
        '5bfebe',
        'DynamicStructuredTool',
        '{"path":"/etc/passwd"}',
        'tool_error',
        undefined,
        'langgraph-demo-agent',
        PROCESS,
      ],
      ['ac70fe', 'echo', '{"message":"via MCP"}', 'ok', 'Echo: via MCP', 'langgraph-demo-agent', PROCESS],
    ],
  },
  'otlp-mcp-traceloop.json': {
    spans: 5,
    rows: [
      ['a4388c', 'echo', '{"message":"x"}', 'ok', 'Echo: x', 'mcp-host', 'trace'],
      ['3dc718', 'get-sum', '{"a":"bad"}', 'tool_error', GET_SUM, 'mcp-host', 'trace'],
    ],
  },
  'otlp-genkit.json': {
    spans: 8,
    rows: [
      ['d253bd', 'weather', '{"city":"Paris"}', 'ok', '{"city":"Paris","t":18}', 'unknown', 'trace'],
      ['541985', 'delete_file', '{"path":"/etc"}', 'tool_error', undefined, 'unknown', 'trace'],
    ],
  },
  'otlp-mcp-openinference.json': { spans: 1, rows: [] },
  'otlp-kafkajs.json': { spans: 3, rows: [] },
};

function rowOf({ seen, belongs: found }: ReadCall): Row {
  const { call, callId, place } = seen;
  assert.equal(found.kind, 'known');
  const { agent, session } = found.kind === 'known' ? found.owner : { agent: '', session: '' };
  const { tool, args, outcome, result } = call;
  return [
    callId.slice(0, 6),
    tool,
    args,
    outcome,
    result,
    agent,
    session === place?.traceId ? 'trace' : session,
  ];
}

/** A span as OpenAI's agents SDK hands it to a processor, written down. */
interface OwnSpan {
  readonly object: 'trace' | 'trace.span';
  readonly id: string;
  readonly trace_id: string;
  readonly parent_id: string | null;
  readonly started_at: string;
  readonly ended_at: string;
  readonly span_data: SpanData;
  readonly error: object | null;
}

/** The spans that OpenInference's processor makes of a run, when it is told of it again. */
async function instrumented(own: readonly OwnSpan[]): Promise<readonly PlainSpan[]> {
  const exporter = new tracing.InMemorySpanExporter();
  const tracerProvider = new tracing.BasicTracerProvider({
    spanProcessors: [new tracing.SimpleSpanProcessor(exporter)],
  });
  const processor = new OpenInferenceTracingProcessor({ tracerProvider });
  const run = { traceId: own[0]?.id ?? '', name: 'Agent workflow' } as Trace;
  const told = own
    .filter(({ object }) => object === 'trace.span')
    .map(
      (span) =>
        ({
          traceId: span.trace_id,
          spanId: span.id,
          parentId: span.parent_id,
          startedAt: span.started_at,
          endedAt: span.ended_at,
          spanData: span.span_data,
          error: span.error,
        }) as Span<SpanData>,
    );
  await processor.onTraceStart(run);
  // They were written down as they ended: the children of a span stand before it.
  for (const span of told.toReversed()) await processor.onSpanStart(span);
  for (const span of told) await processor.onSpanEnd(span);
  await processor.onTraceEnd(run);
  return exporter.getFinishedSpans().map((span) => ({
    ...span.spanContext(),
    ...(span.parentSpanContext === undefined ? {} : { parentSpanId: span.parentSpanContext.spanId }),
    name: span.name,
    attributes: span.attributes as Readonly<Record<string, Plain>>,
    ...(span.status.code === SpanStatusCode.ERROR ? { error: span.status.message ?? '' } : {}),
  }));
}

it('a request written by hand in the conventions of gen_ai, as JSON and as protobuf', () => {
  const request = traceRequest([
    {
      traceId: '0af7651916cd43dd8448eb211c80319c',
      spanId: 'b7ad6b7169203331',
      attributes: {
        'gen_ai.operation.name': 'execute_tool',
        'gen_ai.tool.name': 'weather',
        'gen_ai.tool.call.arguments': '{"city":"Paris"}',
        'gen_ai.tool.call.result': PARIS,
        'gen_ai.agent.name': 'weather-agent',
        'gen_ai.conversation.id': 's-1',
      },
    },
  ]);
  const row: Row = ['b7ad6b', 'weather', '{"city":"Paris"}', 'ok', PARIS, 'weather-agent', 's-1'];
  const json = readJsonSpans(Buffer.from(JSON.stringify(request)), LIMITS);
  assert.deepEqual(readCalls(json.items).map(rowOf), [row]);
  const protobuf = readProtobufSpans(encodeOtlp('Traces', request), LIMITS);
  assert.deepEqual(readCalls(protobuf.items).map(rowOf), [row]);
});

describe('captures of real runtimes', { skip }, () => {
  for (const [file, { spans, rows }] of Object.entries(CAPTURES)) {
    it(`${file}: each call with its agent, session, arguments and end`, () => {
      const body = readFileSync(join(DIR, file));
      const decoded = readJsonSpans(body, LIMITS);
      assert.equal(decoded.items.length, spans);
      assert.deepEqual(decoded.refused, []);
      assert.deepEqual(readCalls(decoded.items).map(rowOf), rows);
    });

    it(`${file}: protobuf says the same`, () => {
      const json = JSON.parse(readFileSync(join(DIR, file), 'utf8')) as object;
      const fromJson = readJsonSpans(Buffer.from(JSON.stringify(json)), LIMITS);
      assert.deepEqual(readProtobufSpans(encodeOtlp('Traces', json), LIMITS), fromJson);
    });

    it(`${file}: a span a request, children first: a call has its agent, or waits until it has`, () => {
      const { items } = readJsonSpans(readFileSync(join(DIR, file)), LIMITS);
      const whole = new Map(readCalls(items).map((call) => [call.seen.callId, call.belongs]));
      const memory = new TraceMemory();
      const alone = items.flatMap((span) => readCalls([span], memory));
      assert.equal(alone.length, rows.length);
      for (const { seen, belongs: found } of alone)
        if (found.kind !== 'waits') assert.deepEqual(found, whole.get(seen.callId));
      // By now all that it waited for is there.
      for (const { seen } of alone)
        assert.deepEqual(belongs(TENANT, seen, memory, false), whole.get(seen.callId));
    });
  }

  it('what two exporters wrote as protobuf reads as what they wrote as JSON', () => {
    for (const name of ['otlp-langchain-openinference', 'otlp-langchain-traceloop']) {
      const json = readJsonSpans(readFileSync(join(DIR, `${name}.json`)), LIMITS);
      const { items } = readProtobufSpans(readFileSync(join(DIR, `${name}.0.pb`)), LIMITS);
      // Two runs of one program: ids and times differ, the calls do not.
      const told = (call: ReadCall) => [call.seen.call.tool, call.seen.call.args, call.seen.call.outcome];
      assert.deepEqual(readCalls(items).map(told), readCalls(json.items).map(told));
    }
  });

  it('openai-agents-spans.json: the spans of its own form, made into OTLP by its instrumentation', async () => {
    const own = JSON.parse(readFileSync(join(DIR, 'openai-agents-spans.json'), 'utf8')) as readonly OwnSpan[];
    const spans = await instrumented(own);
    const decoded = readJsonSpans(Buffer.from(JSON.stringify(traceRequest(spans))), LIMITS);
    assert.deepEqual(
      readCalls(decoded.items).map((call) => rowOf(call).slice(1)),
      [
        ['weather', '{"city":"Paris"}', 'ok', '18 in Paris', 'ops', 'trace'],
        [
          'delete_file',
          '{"path":"/etc"}',
          'tool_error',
          'An error occurred while running the tool. Please try again.',
          'ops',
          'trace',
        ],
        ['echo', '{"message":"hi"}', 'ok', '{"type":"text","text":"Echo: hi"}', 'ops', 'trace'],
      ],
    );
  });
});
