/** Broken OTLP: bytes of valid requests, changed at random. Whatever comes, each reader gives an answer of its own kind. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { isTriplineError } from '../../../schemas/errors.ts';
import { readEventLine } from '../../../schemas/event/read.ts';
import { belongs } from '../../../services/ingest/otlp/belong.ts';
import { belongingOf } from '../../../services/ingest/otlp/belonging.ts';
import { eventLines } from '../../../services/ingest/otlp/event-lines.ts';
import type { Decoded, OtlpLog, OtlpSpan } from '../../../services/ingest/otlp/model.ts';
import { callOfLog, callsOfSpan, type SeenCall } from '../../../services/ingest/otlp/seen-call.ts';
import { TraceMemory } from '../../../services/ingest/otlp/trace-memory.ts';
import { readJsonLogs, readJsonSpans } from '../../../services/ingest/otlp/wire/json.ts';
import { readProtobufLogs, readProtobufSpans } from '../../../services/ingest/otlp/wire/protobuf.ts';
import type { RandomBelow } from '../../bench/random.ts';
import { logRequest, spanIdOf, traceIdOf, traceRequest, type PlainSpan } from '../../support/otlp/build.ts';
import { encodeOtlp } from '../../support/otlp/encode.ts';

const LIMITS = { maxItems: 1000 };
const at = (name: string) => ({
  traceId: traceIdOf('t'),
  spanId: spanIdOf(name),
  parentSpanId: spanIdOf('root'),
});

const SPANS: readonly PlainSpan[] = [
  {
    ...at('genai'),
    name: 'execute_tool weather',
    attributes: {
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': 'weather',
      'gen_ai.tool.call.arguments': { city: 'Paris', days: [1, 2.5, true] },
      'gen_ai.tool.call.result': '{"isError":true,"content":[]}',
    },
  },
  {
    ...at('chat'),
    attributes: {
      'gen_ai.tool.definitions': '[{"name":"weather"}]',
      'gen_ai.output.messages':
        '[{"parts":[{"type":"tool_call","id":"c","name":"rm","arguments":{"path":"/"}}]}]',
    },
  },
  {
    ...at('vercel'),
    attributes: {
      'ai.operationId': 'ai.toolCall',
      'ai.toolCall.name': 'x',
      'ai.toolCall.args': '{"a":1}',
      'ai.telemetry.functionId': 'f',
    },
  },
  {
    ...at('openinf'),
    error: 'no\n    at x',
    attributes: {
      'openinference.span.kind': 'TOOL',
      'tool.name': 'weather',
      'input.value': 'Paris',
      'output.value': '{"output":{"lc":1,"kwargs":{"status":"error","content":"x","tool_call_id":"c"}}}',
      metadata: '{"lc_agent_name":"ops","thread_id":"t"}',
    },
  },
  {
    ...at('tloop'),
    attributes: {
      'traceloop.span.kind': 'tool',
      'traceloop.entity.name': 'echo',
      'traceloop.entity.input': '{"tool_name":"echo","arguments":{"m":"x"}}',
      'traceloop.entity.output': '{"result":"x","is_error":true}',
    },
  },
  {
    ...at('genkit'),
    attributes: { 'genkit:metadata:subtype': 'tool', 'genkit:name': 'w', 'genkit:path': '/{f,t:flow}' },
  },
];

const TRACES = traceRequest(SPANS, { resource: { 'service.name': 'svc', 'service.instance.id': 'i' } });
const LOGS = logRequest([
  {
    timeMs: 1_700_000_000_000,
    body: 'claude_code.tool_result',
    attributes: {
      'session.id': 's',
      tool_name: 'mcp__a__b',
      success: 'true',
      duration_ms: '5',
      tool_parameters: '{"x":1}',
    },
  },
]) as object;

const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));

interface Seed {
  readonly bytes: Buffer;
  readonly read: (bytes: Uint8Array) => readonly SeenCall[];
}

const spansOf =
  (read: (bytes: Uint8Array, limits: typeof LIMITS) => Decoded<OtlpSpan>) =>
  (bytes: Uint8Array): readonly SeenCall[] => {
    const { items, refused } = read(bytes, LIMITS);
    for (const { reason } of refused) assert.match(reason, /^(traceId|spanId|an attribute)/);
    for (const span of items) memory.add('t', span, belongingOf(span));
    return items.flatMap((span) => callsOfSpan(span));
  };
const logsOf =
  (read: (bytes: Uint8Array, limits: typeof LIMITS) => Decoded<OtlpLog>) =>
  (bytes: Uint8Array): readonly SeenCall[] =>
    read(bytes, LIMITS).items.flatMap((log) => callOfLog(log, (text) => String(text.length)) ?? []);

const SEEDS: readonly Seed[] = [
  { bytes: json(TRACES), read: spansOf(readJsonSpans) },
  { bytes: encodeOtlp('Traces', TRACES), read: spansOf(readProtobufSpans) },
  { bytes: json(LOGS), read: logsOf(readJsonLogs) },
  { bytes: encodeOtlp('Logs', LOGS), read: logsOf(readProtobufLogs) },
];

const memory = new TraceMemory();
const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

export interface Counts {
  inputs: number;
  malformed: number;
  calls: number;
}

/** Gives each of `inputs` mutated requests to its reader, and every call that comes out to the event reader. */
export function runMutations(inputs: number, below: RandomBelow): Counts {
  const counts: Counts = { inputs: 0, malformed: 0, calls: 0 };
  for (; counts.inputs < inputs; counts.inputs += 1) {
    const seed = SEEDS[counts.inputs % SEEDS.length] as Seed;
    try {
      for (const call of seed.read(mutated(seed.bytes, below))) {
        counts.calls += 1;
        checkLines(call);
      }
    } catch (error) {
      if (!isTriplineError(error)) throw error;
      assert.ok(['body_malformed', 'body_too_large'].includes(error.code), error.code);
      counts.malformed += 1;
    }
  }
  return counts;
}

function checkLines(seen: SeenCall): void {
  const found = belongs('t', seen, memory, true);
  if (found.kind !== 'known') return;
  for (const line of eventLines('t', seen, found.owner, sha256)) {
    const read = readEventLine(line, { strict: true });
    assert.equal(read.kind, 'event', JSON.stringify(read).slice(0, 500));
  }
}

/** One to three changes: a byte, a bit, a piece cut out, doubled, moved, or a piece of another value. */
function mutated(bytes: Buffer, below: RandomBelow): Buffer {
  let out = Buffer.from(bytes);
  for (let changes = 1 + below(3); changes > 0 && out.length > 0; changes -= 1) {
    const from = below(out.length);
    const to = Math.min(out.length, from + 1 + below(40));
    const piece = out.subarray(from, to);
    switch (below(5)) {
      case 0:
        out[from] = below(256);
        break;
      case 1:
        out[from] = (out[from] as number) ^ (1 << below(8));
        break;
      case 2:
        out = Buffer.concat([out.subarray(0, from), out.subarray(to)]);
        break;
      case 3:
        out = Buffer.concat([out.subarray(0, to), piece, out.subarray(to)]);
        break;
      default:
        out = Buffer.concat([
          out.subarray(0, from),
          Buffer.from(WORDS[below(WORDS.length)] as string),
          out.subarray(to),
        ]);
    }
  }
  return out;
}

const WORDS = [
  'null',
  '{}',
  '[]',
  '"x"',
  '1e999',
  '-1',
  '"\\ud800"',
  '\u0000',
  '{"stringValue":"{"}',
  '"__proto__"',
  '\u00ff\u00ff\u00ff\u00ff\u000f',
];
