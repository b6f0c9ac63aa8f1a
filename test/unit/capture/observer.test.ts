/** The observer, message by message. Hashes and outcomes are worked out from the MCP specification and by node:crypto. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CallDecision } from '../../../schemas/control/decide.ts';
import { REFUSED_RPC_CODE, zRefusal } from '../../../schemas/control/v1.ts';
import * as schema from '../../../schemas/event/v1.ts';
import * as limits from '../../../services/capture/limits.ts';
import { REFUSED_CODE } from '../../../services/capture/refusal.ts';
import {
  answer,
  call,
  CONTROL,
  observer,
  outcomes,
  sha256Hex,
  validEvents,
} from '../../support/capture/observer.ts';

describe('observer', () => {
  it('hashes the exact bytes between the braces, blanks and all', () => {
    const { toServer } = observer();
    const text =
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments": { "a" : 1.0 } ,"name":"read"}}';
    const { drafts, forward } = toServer(text);
    assert.equal(drafts[0]?.fields['argsHash'], sha256Hex('{ "a" : 1.0 }'));
    assert.equal(Buffer.from(forward ?? []).toString(), text);
    assert.deepEqual(validEvents(drafts)[0]?.args, { a: 1 });
  });

  for (const [name, message, outcome] of [
    ['a result', { content: [] }, 'ok'],
    ['isError', { content: [], isError: true }, 'tool_error'],
    ['input_required', { resultType: 'input_required', requestState: 'x' }, 'input_required'],
    ['a task', { task: { taskId: 't', status: 'working' } }, 'task_created'],
  ] as const) {
    it(`${name} is ${outcome}`, () => {
      const { toServer, toClient } = observer();
      toServer(call(1));
      const { drafts } = toClient(answer(1, message));
      assert.deepEqual(outcomes(drafts), [outcome]);
      assert.equal(drafts[0]?.fields['resultHash'], sha256Hex(JSON.stringify(message)));
    });
  }

  it('a JSON-RPC error is rpc_error with its code', () => {
    const { toServer, toClient } = observer();
    toServer(call('x'));
    const { drafts } = toClient({ jsonrpc: '2.0', id: 'x', error: { code: -32602, message: 'bad' } });
    assert.deepEqual(drafts[0]?.fields['error'], { code: -32602, message: 'bad' });
    assert.equal(drafts[0].fields['outcome'], 'rpc_error');
  });

  it('1 and "1" are two calls, and ids of the server are another number space', () => {
    const { toServer, toClient } = observer();
    const numbered = toServer(call(1)).drafts[0]?.fields['callId'];
    const named = toServer(call('1')).drafts[0]?.fields['callId'];
    toClient({ jsonrpc: '2.0', id: 1, method: 'sampling/createMessage', params: {} });
    const answered = toServer(answer(1, {})).drafts;
    assert.deepEqual(
      answered.map((draft) => [draft.kind, draft.fields['method']]),
      [['mcp.result', 'sampling/createMessage']],
      'the client answers the server, not its own call',
    );
    assert.equal(toClient(answer('1', {})).drafts[0]?.fields['callId'], named);
    assert.equal(toClient(answer(1, {})).drafts[0]?.fields['callId'], numbered);
  });

  it('a cancelled call has one result; its late answer is kept as body', () => {
    const { toServer, toClient } = observer();
    toServer(call(1));
    const cancel = {
      jsonrpc: '2.0',
      method: 'notifications/cancelled',
      params: { requestId: 1, reason: 'r' },
    };
    assert.deepEqual(outcomes(toServer(cancel).drafts), ['cancelled']);
    assert.deepEqual(toServer(cancel).drafts, []);
    const [late] = validEvents(toClient(answer(1, { content: [] })).drafts);
    assert.equal(late?.kind, 'call.body');
    assert.equal(late.body?.data, '{"content":[]}');
    assert.deepEqual(toClient(answer(1, {})).drafts, []);
  });

  it('a silent call times out once; calls in flight at the end are abandoned', () => {
    const { subject, toServer, pass } = observer();
    toServer(call(1));
    pass(600);
    toServer(call(2));
    pass(600);
    assert.deepEqual(outcomes(subject.expire()), ['timeout']);
    assert.deepEqual(subject.expire(), []);
    assert.deepEqual(outcomes(subject.close()), ['abandoned']);
  });

  it('too many calls in flight: the oldest gives way on record', () => {
    const { toServer } = observer();
    for (const id of [1, 2, 3]) toServer(call(id));
    assert.deepEqual(outcomes(toServer(call(4)).drafts), ['call.intent', 'abandoned']);
  });

  it('rounds of input_required are one logical call', () => {
    const { toServer, toClient } = observer();
    const first = toServer(call(1)).drafts[0]?.fields;
    toClient('{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","requestState":"a\\u0062"}}');
    const second = toServer(call(2, { inputResponses: {}, requestState: 'ab' })).drafts[0]?.fields;
    assert.notEqual(second?.['callId'], first?.['callId']);
    assert.equal(second?.['logicalCallId'], first?.['callId']);
  });

  it('of a batch only the refused calls stay behind; they are answered as a batch', () => {
    const decide = ({ tool }: { tool: string }): CallDecision =>
      tool === 'bad' ? { kind: 'refuse', control: CONTROL } : { kind: 'allow' };
    const { toServer } = observer({ decide });
    const good = JSON.stringify(call(1));
    const { forward, answers, drafts } = toServer(
      `[ ${good} ,${JSON.stringify(call('x', { name: 'bad' }))}]`,
    );
    assert.equal(Buffer.from(forward ?? []).toString(), `[${good}]`);
    const [error] = JSON.parse(answers[0] ?? '') as { id: string; error: { code: number; data: unknown } }[];
    assert.equal(error?.id, 'x');
    assert.equal(error.error.code, REFUSED_RPC_CODE);
    zRefusal.parse(error.error.data);
    assert.deepEqual(outcomes(drafts), ['call.intent', 'call.intent', 'refused']);
  });

  for (const [name, id] of [
    ['no id (a notification)', undefined],
    ['id null', null],
    ['an object as id', { a: 1 }],
    ['an id of 100 kB', 'x'.repeat(100_000)],
  ] as const) {
    it(`a call with ${name} is on record, refused where calls are, and abandoned where nothing answers`, () => {
      const open = observer();
      assert.deepEqual(outcomes(open.toServer(call(id)).drafts), ['call.intent']);
      assert.deepEqual(outcomes(open.subject.close()), ['abandoned']);
      const { toServer } = observer({ decide: () => ({ kind: 'refuse', control: CONTROL }) });
      const { forward, drafts } = toServer(call(id));
      assert.equal(forward, undefined);
      assert.deepEqual(outcomes(drafts), ['call.intent', 'refused']);
    });
  }

  it('joins the trace of the caller, and hands on our hop only where it may write', () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00';
    const message = call(1, { _meta: { traceparent, progressToken: 7 } });
    const still = observer().toServer(message);
    assert.equal(Buffer.from(still.forward ?? []).toString(), JSON.stringify(message));
    assert.equal(still.drafts[0]?.fields['traceId'], '4bf92f3577b34da6a3ce929d0e0e4736');
    assert.equal(still.drafts[0].fields['parentSpanId'], '00f067aa0ba902b7');
    const { forward, drafts } = observer({ injectTrace: true }).toServer(message);
    const sent = JSON.parse(Buffer.from(forward ?? []).toString()) as typeof message;
    const spanId = drafts[0]?.fields['spanId'];
    assert.deepEqual((sent.params as Record<string, unknown>)['_meta'], {
      traceparent: `00-4bf92f3577b34da6a3ce929d0e0e4736-${String(spanId)}-00`,
      progressToken: 7,
    });
  });

  it('a changed definition under an old name is said; an unchanged list is not repeated; pages are one list', () => {
    const { toServer, toClient } = observer();
    const list = (id: number, cursor?: string) =>
      toServer({ jsonrpc: '2.0', id, method: 'tools/list', params: cursor === undefined ? {} : { cursor } });
    const tool = (name: string, description: string) => ({ name, description, inputSchema: {} });
    list(1);
    assert.deepEqual(toClient(answer(1, { tools: [tool('a', 'x')], nextCursor: 'p' })).drafts, []);
    list(2, 'p');
    const [first] = validEvents(toClient(answer(2, { tools: [tool('b', 'y')] })).drafts);
    assert.deepEqual(
      first?.registry?.tools.map((entry) => [entry.name, entry.definitionHash]),
      [
        ['a', sha256Hex(JSON.stringify(tool('a', 'x')))],
        ['b', sha256Hex(JSON.stringify(tool('b', 'y')))],
      ],
    );
    list(3);
    assert.deepEqual(toClient(answer(3, { tools: [tool('b', 'y'), tool('a', 'x')] })).drafts, []);
    list(4);
    const [pulled] = validEvents(toClient(answer(4, { tools: [tool('a', 'EVIL'), tool('b', 'y')] })).drafts);
    assert.deepEqual(pulled?.labels, ['definition_changed']);
  });

  it('what readers would disagree on, or is long, travels as parts that give the exact bytes back', () => {
    const deep = `${'['.repeat(200)}${']'.repeat(200)}`;
    const long = JSON.stringify({ t: 'ä"'.repeat(300_000) });
    for (const text of ['{"a":1,"a":2}', deep, long, '{"a":9007199254740993,"a":0}']) {
      const { toServer } = observer();
      const { drafts } = toServer(
        `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":${text}}}`,
      );
      const [intent, ...parts] = validEvents(drafts);
      assert.equal(intent?.args, undefined);
      assert.equal(intent?.argsHash, sha256Hex(text));
      assert.equal(parts.map((part) => part.body?.data).join(''), text);
      assert.deepEqual(
        parts.map((part) => [part.body?.part, part.body?.parts]),
        parts.map((_, index) => [index, parts.length]),
      );
    }
  });

  it('of a body over 16 MiB the head is kept, with the length and the hash of all of it', () => {
    const text = JSON.stringify({ t: 'ä'.repeat(schema.MAX_BODY_BYTES / 2) });
    const { toServer, toClient } = observer();
    toServer(call(1));
    const { drafts } = toClient(`{"jsonrpc":"2.0","id":1,"result":${text}}`);
    const [result, ...parts] = validEvents(drafts);
    assert.equal(result?.resultHash, sha256Hex(text));
    assert.equal(result.resultBytes, schema.MAX_BODY_BYTES + 8);
    assert.equal(result.result, undefined);
    // Not all of it is looked at for secrets; a vault's data are secret whatever stands in them.
    assert.deepEqual(result.labels, ['secret', 'secrets_unchecked', 'body_truncated']);
    const head = parts.map((part) => part.body?.data).join('');
    assert.ok(head.length > 0 && text.startsWith(head));
    for (const { body, labels } of parts) {
      assert.deepEqual([body?.hash, body?.totalBytes], [sha256Hex(text), schema.MAX_BODY_BYTES + 8]);
      assert.deepEqual(labels, ['secret', 'secrets_unchecked', 'body_truncated']);
    }
  });

  it('bytes that are no UTF-8 travel as base64 and come back whole', () => {
    const bytes = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff, 0xfe, 0x80]), Buffer.from('"}')]);
    const line = Buffer.concat([
      Buffer.from('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":'),
      bytes,
      Buffer.from('}}'),
    ]);
    const [intent, part] = validEvents(observer().subject.observe('to_server', line).drafts);
    assert.equal(intent?.argsHash, sha256Hex(bytes));
    assert.equal(part?.body?.encoding, 'base64');
    assert.ok(Buffer.from(part.body.data, 'base64').equals(bytes));
  });

  it('a strange tool name does not keep a call off the record', () => {
    for (const name of ['', 'a\u0000b', 'x'.repeat(10_000), '\ud800', 42]) {
      const { drafts } = observer().toServer(call(1, { name }));
      assert.equal(validEvents(drafts)[0]?.kind, 'call.intent');
    }
  });

  it('limits and codes are those of the schemas', () => {
    assert.equal(REFUSED_CODE, REFUSED_RPC_CODE);
    for (const [name, value] of Object.entries(limits)) {
      assert.equal(value, (schema as Record<string, unknown>)[name], name);
    }
  });
});
