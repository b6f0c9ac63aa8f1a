/** Each convention in a small span of its form: what is a call, of which tool, with what, and how it ended. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ToolCall } from '../../../../services/ingest/otlp/tool-call.ts';
import { callOfLog } from '../../../../services/ingest/otlp/seen-call.ts';
import { readJsonLogs, readJsonSpans } from '../../../../services/ingest/otlp/wire/json.ts';
import { readProtobufLogs, readProtobufSpans } from '../../../../services/ingest/otlp/wire/protobuf.ts';
import {
  logRequest,
  spanIdOf,
  traceIdOf,
  traceRequest,
  type Plain,
  type PlainSpan,
} from '../../../support/otlp/build.ts';
import { encodeOtlp } from '../../../support/otlp/encode.ts';
import { LIMITS, readCalls, type ReadCall } from './read.ts';

const T = traceIdOf('trace');
const bytes = (json: unknown): Buffer => Buffer.from(JSON.stringify(json));

/** Read from JSON; protobuf has to say the same. */
function calls(
  spans: readonly PlainSpan[],
  resource: Readonly<Record<string, Plain>> = {},
): readonly ReadCall[] {
  const request = traceRequest(spans, { resource });
  const decoded = readJsonSpans(bytes(request), LIMITS);
  assert.deepEqual(readProtobufSpans(encodeOtlp('Traces', request), LIMITS), decoded);
  return readCalls(decoded.items);
}

function oneCall(attributes: Readonly<Record<string, Plain>>, more: Partial<PlainSpan> = {}): ToolCall {
  const [only, ...others] = calls([{ traceId: T, spanId: spanIdOf('s'), attributes, ...more }]);
  assert.ok(only);
  assert.deepEqual(others, []);
  return only.seen.call;
}

const GEN_AI = { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': 'weather' };

describe('GenAI and MCP conventions', () => {
  it('execute_tool: name, arguments, result, id', () => {
    const call = oneCall({
      ...GEN_AI,
      'gen_ai.tool.call.id': 'call_1',
      'gen_ai.tool.call.arguments': '{"city":"Paris"}',
      'gen_ai.tool.call.result': '18',
    });
    assert.equal(call.emitter, 'gen_ai');
    assert.deepEqual(
      [call.tool, call.args, call.result, call.outcome, call.toolCallId],
      ['weather', '{"city":"Paris"}', '18', 'ok', 'call_1'],
    );
  });
  it('arguments as structured values are written as JSON', () => {
    const call = oneCall({
      ...GEN_AI,
      'gen_ai.tool.call.arguments': { city: 'Paris', days: [1, 2.5], old: true },
    });
    assert.equal(call.args, '{"city":"Paris","days":[1,2.5],"old":true}');
  });
  it('tools/call of an MCP client: the name stands in the span, the server in its own attribute', () => {
    const call = oneCall(
      { 'mcp.method.name': 'tools/call', 'mcp.server.name': 'files' },
      { name: 'tools/call read_file' },
    );
    assert.deepEqual([call.emitter, call.tool, call.server], ['mcp', 'read_file', 'files']);
  });
  it('other MCP methods and other spans are no calls', () => {
    assert.deepEqual(
      calls([{ traceId: T, spanId: spanIdOf('a'), attributes: { 'mcp.method.name': 'tools/list' } }]),
      [],
    );
    assert.deepEqual(calls([{ traceId: T, spanId: spanIdOf('a'), name: 'tools/call echo' }]), []);
  });
  it('an error is an error by its type, its status or its result', () => {
    const ends: readonly [Readonly<Record<string, Plain>>, string | undefined, string][] = [
      [{ 'error.type': 'tool_error' }, undefined, 'tool_error'],
      [{ 'error.type': '-32602' }, undefined, 'rpc_error'],
      [{ 'error.type': 'timeout' }, undefined, 'timeout'],
      [{ 'error.type': 'AbortError' }, undefined, 'cancelled'],
      [{}, 'EACCES', 'tool_error'],
      [{ 'gen_ai.tool.call.result': '{"content":[],"isError":true}' }, undefined, 'tool_error'],
      [{ 'gen_ai.tool.call.result': '{"content":[],"isError":false}' }, undefined, 'ok'],
      [{ 'gen_ai.tool.call.result': 'the word "isError": true in a text' }, undefined, 'ok'],
    ];
    for (const [attributes, error, outcome] of ends)
      assert.equal(
        oneCall({ ...GEN_AI, ...attributes }, error === undefined ? {} : { error }).outcome,
        outcome,
        JSON.stringify(attributes),
      );
  });
  it('a model that asks for a tool that it was not offered: an intent that never returned', () => {
    const call = oneCall({
      'gen_ai.operation.name': 'chat',
      'gen_ai.tool.definitions': '[{"type":"function","name":"weather"}]',
      'gen_ai.output.messages':
        '[{"role":"assistant","parts":[{"type":"tool_call","id":"c1","name":"weather","arguments":{}},{"type":"tool_call","id":"c2","name":"rm","arguments":{"path":"/"}}]}]',
    });
    assert.deepEqual(
      [call.tool, call.args, call.outcome, call.toolCallId],
      ['rm', '{"path":"/"}', undefined, 'c2'],
    );
    assert.deepEqual(call.labels, ['tool_not_offered']);
  });
  it('without the list of offered tools nobody can tell, so nothing is said', () => {
    const attributes = {
      'gen_ai.output.messages': '[{"parts":[{"type":"tool_call","name":"rm","arguments":{}}]}]',
    };
    assert.deepEqual(calls([{ traceId: T, spanId: spanIdOf('a'), attributes }]), []);
  });
});

describe('other conventions', () => {
  it('Vercel AI SDK, legacy form', () => {
    const call = oneCall({
      'ai.operationId': 'ai.toolCall',
      'ai.toolCall.name': 'weather',
      'ai.toolCall.id': 'call_1',
      'ai.toolCall.args': '{"city":"Paris"}',
      'ai.toolCall.result': '{"t":18}',
      'ai.telemetry.functionId': 'weather-agent',
      'ai.telemetry.metadata.sessionId': 's-1',
    });
    assert.deepEqual(
      [call.tool, call.agent, call.conversation, call.outcome],
      ['weather', 'weather-agent', 's-1', 'ok'],
    );
  });
  it('OpenInference of the OpenAI agents SDK: a list of tools is no call, a tool of that name is one', () => {
    const attributes = { 'openinference.span.kind': 'TOOL', 'output.value': '["echo"]' };
    assert.deepEqual(calls([{ traceId: T, spanId: spanIdOf('s'), name: 'mcp_tools', attributes }]), []);
    const named = oneCall({ ...attributes, 'tool.name': 'mcp_tools' }, { name: 'mcp_tools' });
    assert.equal(named.tool, 'mcp_tools');
  });

  it('OpenInference: a failed ToolMessage is a failed call, whatever the status', () => {
    const output = {
      output: {
        lc: 1,
        type: 'constructor',
        id: ['langchain_core', 'messages', 'ToolMessage'],
        kwargs: { status: 'error', content: 'EACCES', tool_call_id: 'call_4', name: 'rm' },
      },
    };
    const call = oneCall({
      'openinference.span.kind': 'TOOL',
      'tool.name': 'rm',
      'input.value': '/etc',
      'output.value': JSON.stringify(output),
      metadata: '{"lc_agent_name":"ops","thread_id":"thread-1"}',
    });
    assert.deepEqual(
      [call.tool, call.args, call.result, call.outcome, call.toolCallId, call.agent, call.conversation],
      ['rm', '/etc', 'EACCES', 'tool_error', 'call_4', 'ops', 'thread-1'],
    );
  });
  it('Traceloop: the call of an MCP client', () => {
    const call = oneCall({
      'traceloop.span.kind': 'tool',
      'traceloop.entity.name': 'echo',
      'traceloop.entity.input': '{"tool_name":"echo","arguments":{"message":"x"}}',
      'traceloop.entity.output': '{"result":"no","is_error":true}',
    });
    assert.deepEqual(
      [call.tool, call.args, call.result, call.outcome],
      ['echo', '{"message":"x"}', 'no', 'tool_error'],
    );
  });
  it('Traceloop: a LangChain tool that failed is told by its class, and says so', () => {
    const call = oneCall(
      {
        'gen_ai.operation.name': 'execute_tool',
        'traceloop.span.kind': 'task',
        'traceloop.entity.name': 'DynamicStructuredTool',
        'traceloop.entity.input': '{"args":["{\\"path\\":\\"/etc\\"}"]}',
      },
      { error: 'EACCES' },
    );
    assert.deepEqual(
      [call.tool, call.args, call.outcome, call.error],
      ['DynamicStructuredTool', '{"path":"/etc"}', 'tool_error', 'EACCES'],
    );
    assert.deepEqual(call.labels, ['tool_name_lost']);
  });
  it('JSON inside attributes that nests without end is text like any other', () => {
    const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
    const call = oneCall({
      'traceloop.span.kind': 'tool',
      'traceloop.entity.name': 'echo',
      'traceloop.entity.input': `{"tool_name":"echo","arguments":${deep}}`,
      'traceloop.entity.output': deep,
      metadata: deep,
    });
    assert.deepEqual([call.tool, call.result, call.outcome], ['echo', deep, 'ok']);
  });
  it('Genkit: state error, and the flow as agent', () => {
    const call = oneCall({
      'genkit:metadata:subtype': 'tool',
      'genkit:name': 'weather',
      'genkit:path': '/{menu,t:flow}/{generate,t:util}/{weather,t:action,s:tool}',
      'genkit:input': '{"city":"Paris"}',
      'genkit:state': 'error',
    });
    assert.deepEqual([call.tool, call.agent, call.outcome], ['weather', 'menu', 'tool_error']);
  });
  it('an error is told without its stack', () => {
    const error = 'EACCES: /etc\n\nError: EACCES: /etc\n    at tool (file:///srv/app.mjs:1:1)';
    assert.equal(oneCall(GEN_AI, { error }).error, 'EACCES: /etc');
    assert.equal(oneCall(GEN_AI, { error: 'Error: no\n    at f (a.mjs:1:1)' }).error, 'Error: no');
  });
});

describe('Claude Code', () => {
  const SESSION = { 'session.id': 'session-7', 'user.id': 'u-1' };
  function log(body: string, attributes: Readonly<Record<string, Plain>>, timeMs = 10_000) {
    const request = logRequest([{ timeMs, body, attributes: { ...SESSION, ...attributes } }]);
    const decoded = readJsonLogs(bytes(request), LIMITS);
    assert.deepEqual(readProtobufLogs(encodeOtlp('Logs', request as object), LIMITS), decoded);
    const [only] = decoded.items;
    assert.ok(only);
    return callOfLog(only, () => 'digest');
  }
  it('tool_result: booleans and numbers are text; the duration leads back to the start', () => {
    const seen = log('claude_code.tool_result', {
      tool_name: 'Bash',
      success: 'true',
      duration_ms: '1500',
      tool_use_id: 'toolu_1',
      tool_parameters: '{"bash_command":"ls"}',
    });
    assert.ok(seen);
    const { call, callId } = seen;
    assert.deepEqual(
      [callId, call.tool, call.args, call.outcome, call.agent, call.conversation, call.principal],
      ['toolu_1', 'Bash', '{"bash_command":"ls"}', 'ok', 'claude-code', 'session-7', 'u-1'],
    );
    assert.deepEqual([call.startNs, call.endNs], [8_500_000_000n, 10_000_000_000n]);
  });
  it('an MCP tool is told with its server, from its parameters or its name', () => {
    const details = log('claude_code.tool_result', {
      tool_name: 'mcp_tool',
      success: 'false',
      error: 'no',
      tool_parameters: '{"mcp_server_name":"vault","mcp_tool_name":"read_secret"}',
    })?.call;
    assert.deepEqual(
      [details?.server, details?.tool, details?.outcome, details?.error],
      ['vault', 'read_secret', 'tool_error', 'no'],
    );
    const named = log('claude_code.tool_result', {
      tool_name: 'mcp__vault__read_secret',
      success: 'true',
    })?.call;
    assert.deepEqual([named?.server, named?.tool], ['vault', 'read_secret']);
  });
  it('a rejected tool is a refused call; an accepted one is told by its result', () => {
    const refused = log('claude_code.tool_decision', {
      tool_name: 'Bash',
      decision: 'reject',
      source: 'user_reject',
    })?.call;
    assert.deepEqual([refused?.outcome, refused?.verdict], ['refused', 'refuse']);
    assert.equal(log('claude_code.tool_decision', { tool_name: 'Bash', decision: 'accept' }), undefined);
  });
  it('other records are nothing; a duration that is nonsense moves no time before 1970', () => {
    assert.equal(log('claude_code.api_request', { model: 'm' }), undefined);
    assert.equal(log('tool_result of somebody else', { tool_name: 'x' }), undefined);
    for (const duration_ms of ['-5', 'x', '99999999999999', '1e400'])
      assert.equal(
        log('claude_code.tool_result', { tool_name: 'x', success: 'true', duration_ms })?.call.startNs,
        10_000_000_000n,
      );
  });
});

describe('who a call belongs to', () => {
  const tool = (more: Partial<PlainSpan> = {}): PlainSpan => ({
    traceId: T,
    spanId: spanIdOf('tool'),
    parentSpanId: spanIdOf('step'),
    attributes: GEN_AI,
    ...more,
  });
  const step: PlainSpan = { traceId: T, spanId: spanIdOf('step'), parentSpanId: spanIdOf('root') };
  const root = (attributes: Readonly<Record<string, Plain>>): PlainSpan => ({
    traceId: T,
    spanId: spanIdOf('root'),
    attributes,
  });
  const ownerOf = (found: readonly ReadCall[]) => {
    const [call] = found;
    return call?.belongs.kind === 'known' ? call.belongs.owner : call?.belongs.kind;
  };

  it('the nearest span above that names an agent', () => {
    const inner = { ...step, attributes: { 'gen_ai.agent.name': 'inner' } };
    assert.deepEqual(
      ownerOf(
        calls([
          tool(),
          inner,
          root({ 'gen_ai.agent.name': 'outer', 'gen_ai.conversation.id': 'c-1', 'user.id': 'u' }),
        ]),
      ),
      {
        agent: 'inner',
        session: 'c-1',
        principal: 'u',
      },
    );
  });
  it('waits while spans above it are missing, and not when it knows all by itself', () => {
    assert.equal(ownerOf(calls([tool()])), 'waits');
    assert.equal(ownerOf(calls([tool(), step])), 'waits');
    const named = { ...GEN_AI, 'gen_ai.agent.name': 'a', 'gen_ai.conversation.id': 'c' };
    assert.deepEqual(ownerOf(calls([tool({ attributes: named })])), {
      agent: 'a',
      session: 'c',
      principal: undefined,
    });
  });
  it('nobody named it: the agent of the resource, its service, or unknown; the trace is the session', () => {
    const spans = [tool(), step, root({})];
    const agents: readonly [Readonly<Record<string, Plain>>, string][] = [
      [{ 'gen_ai.agent.name': 'bot', 'service.name': 'svc' }, 'bot'],
      [{ 'service.name': 'svc' }, 'svc'],
      [{ 'service.name': 'unknown_service:node' }, 'unknown'],
      [{}, 'unknown'],
    ];
    for (const [resource, agent] of agents)
      assert.deepEqual(ownerOf(calls(spans, resource)), { agent, session: T, principal: undefined });
  });
  it('a call without a parent belongs to its process, where the resource names one', () => {
    const alone: PlainSpan = { traceId: T, spanId: spanIdOf('tool'), attributes: GEN_AI };
    const sessions: readonly [Readonly<Record<string, Plain>>, string][] = [
      [{ 'service.name': 'svc', 'service.instance.id': 'i-1' }, 'svc/i-1'],
      [{ 'service.name': 'svc', 'host.name': 'h', 'process.pid': 7 }, 'svc/h/7'],
      [{ 'service.name': 'svc' }, T],
    ];
    for (const [resource, session] of sessions)
      assert.deepEqual(ownerOf(calls([alone], resource)), { agent: 'svc', session, principal: undefined });
  });
  it('the span of an MCP client inside the call of the agent is the same call', () => {
    const inner: PlainSpan = {
      traceId: T,
      spanId: spanIdOf('mcp'),
      parentSpanId: spanIdOf('tool'),
      attributes: { 'mcp.method.name': 'tools/call', 'gen_ai.tool.name': 'weather' },
    };
    const kinds = calls([inner, tool(), step, root({})]).map(({ belongs }) => belongs.kind);
    assert.deepEqual(kinds, ['nested', 'known']);
    const agent: PlainSpan = {
      traceId: T,
      spanId: spanIdOf('sub'),
      parentSpanId: spanIdOf('tool'),
      attributes: { 'gen_ai.agent.name': 'sub' },
    };
    const ofSub = calls([{ ...inner, parentSpanId: spanIdOf('sub') }, agent, tool(), step, root({})]);
    assert.deepEqual(
      ofSub.map(({ belongs }) => belongs.kind),
      ['known', 'known'],
      'an agent in between makes it another call',
    );
  });
  it('parents in a circle end', () => {
    const circle = [
      tool(),
      { ...step, parentSpanId: spanIdOf('root') },
      { ...root({}), parentSpanId: spanIdOf('step') },
    ];
    assert.equal(typeof ownerOf(calls(circle)), 'object');
  });
});
