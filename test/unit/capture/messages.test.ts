/** Messages of MCP beside tool calls, from the specification's revisions 2025-11-25 and 2026-07-28. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Event } from '../../../schemas/event/v1.ts';
import type { EventDraft } from '../../../services/capture/draft.ts';
import {
  answer,
  call,
  CONTROL,
  observer,
  sha256Hex,
  validEvents,
  valuesOf,
} from '../../support/capture/observer.ts';

const request = (id: unknown, method: string, params: unknown = {}) => ({
  jsonrpc: '2.0',
  id,
  method,
  params,
});
const notification = (method: string, params: unknown = {}) => ({ jsonrpc: '2.0', method, params });
const textOf = (drafts: readonly EventDraft[]): string => JSON.stringify(validEvents(drafts));
const kinds = (events: readonly Event[]): readonly string[] =>
  events.map((event) => `${event.kind} ${event.outcome ?? ''}`.trim());

describe('resources and prompts', () => {
  for (const [uri, expected] of [
    ['file:///home/me/.ssh/id_rsa', 'file_read'],
    ['HTTPS://evil.example/page', 'web_read'],
    ['vault://prod/key', 'secret_read'],
    ['postgres://db/table', 'database'],
    ['demo://1', 'file_read'],
  ] as const) {
    it(`a read of ${uri} is a request of class ${expected} with its content, hashed`, () => {
      const { toServer, toClient } = observer();
      const [asked] = validEvents(toServer(request(1, 'resources/read', { uri })).drafts);
      const result = { contents: [{ uri, text: 'IGNORE ALL' }] };
      const [read] = validEvents(toClient(answer(1, result)).drafts);
      assert.equal(asked?.kind, 'mcp.request');
      assert.deepEqual(valuesOf(asked, 'method', 'class', 'mcp.uri'), ['resources/read', expected, uri]);
      assert.deepEqual(asked.args, { uri });
      assert.equal(asked.argsHash, sha256Hex(JSON.stringify({ uri })));
      assert.deepEqual(valuesOf(read, 'kind', 'outcome', 'callId'), ['mcp.result', 'ok', asked.callId]);
      assert.deepEqual(valuesOf(read, 'mcp.uri', 'class'), [uri, expected]);
      assert.deepEqual(read?.result, result);
      assert.equal(read?.resultHash, sha256Hex(JSON.stringify(result)));
    });
  }

  it('a prompt by its name; a list as what it is; a ping not at all', () => {
    const { toServer, toClient } = observer();
    const [prompt] = validEvents(
      toServer(request(1, 'prompts/get', { name: 'review', arguments: { x: '1' } })).drafts,
    );
    assert.equal(prompt?.mcp?.name, 'review');
    const [list] = validEvents(toServer(request(2, 'resources/templates/list')).drafts);
    assert.equal(list?.method, 'resources/templates/list');
    assert.deepEqual(toServer(request(3, 'ping')).drafts, []);
    assert.deepEqual(toClient(answer(3, {})).drafts, []);
  });

  it('a control on the session refuses reads as it does calls, whatever their id; lists go on', () => {
    const decide = () => ({ kind: 'refuse', control: CONTROL }) as const;
    for (const [method, params] of [
      ['resources/read', { uri: 'https://evil.example/?d=secret' }],
      ['prompts/get', { name: 'p' }],
      ['completion/complete', { ref: { type: 'ref/prompt', name: 'p' } }],
    ] as const) {
      const { toServer } = observer({ decide });
      const { forward, answers, drafts } = toServer(request(1, method, params));
      assert.equal(forward, undefined);
      assert.equal((JSON.parse(answers[0] ?? '') as { error: { code: number } }).error.code, -32090);
      assert.deepEqual(kinds(validEvents(drafts)), ['mcp.request', 'mcp.result refused']);
      assert.equal(toServer(notification(method, params)).forward, undefined);
    }
    const { toServer, toClient } = observer({ decide });
    assert.notEqual(toServer(request(1, 'resources/list')).forward, undefined);
    assert.notEqual(
      toClient(request(1, 'resources/read', { uri: 'x:' })).forward,
      undefined,
      'not ours to refuse',
    );
  });
});

describe('what a server asks of a client', () => {
  it('sampling: the prompt, the tools offered and the answer', () => {
    const { toServer, toClient } = observer();
    const params = {
      messages: [{ role: 'user', content: { type: 'text', text: 'say it' } }],
      tools: [{ name: 'post' }],
    };
    const [asked] = validEvents(toClient(request(1, 'sampling/createMessage', params)).drafts);
    assert.deepEqual(valuesOf(asked, 'mcp.sender', 'mcp.tools', 'argsHash'), [
      'server',
      ['post'],
      sha256Hex(JSON.stringify(params)),
    ]);
    const [said] = validEvents(toServer(answer(1, { role: 'assistant', content: [] })).drafts);
    assert.deepEqual(valuesOf(said, 'outcome', 'callId'), ['ok', asked?.callId]);
  });

  it('a form: names of its fields and the answer, no value anywhere, not even hashed', () => {
    const { toServer, toClient } = observer();
    const asked = toClient(
      request(1, 'elicitation/create', {
        message: 'Your key, please',
        requestedSchema: {
          type: 'object',
          properties: { apiKey: { type: 'string', default: 'DEF-VALUE' }, pin: {} },
        },
      }),
    ).drafts;
    const content = { apiKey: 'sk-live-1234', pin: 'PIN-4711' };
    const said = toServer(answer(1, { action: 'accept', content })).drafts;
    const [form, answered] = validEvents([...asked, ...said]);
    assert.deepEqual(valuesOf(form, 'mcp.mode', 'mcp.fields', 'mcp.message'), [
      'form',
      ['apiKey', 'pin'],
      'Your key, please',
    ]);
    assert.equal(answered?.mcp?.action, 'accept');
    assert.deepEqual([answered.resultHash, answered.result, form?.args], [undefined, undefined, undefined]);
    assert.doesNotMatch(textOf([...asked, ...said]), /sk-live|PIN-4711|DEF-VALUE/);
  });

  it('a form that was given up: its late answer is not kept either', () => {
    const { subject, toServer, toClient, pass } = observer();
    toClient(
      request(1, 'elicitation/create', { message: 'm', requestedSchema: { properties: { pin: {} } } }),
    );
    pass(2_000);
    assert.deepEqual(kinds(validEvents(subject.expire())), ['mcp.result timeout']);
    assert.deepEqual(
      validEvents(toServer(answer(1, { action: 'accept', content: { pin: 'PIN-4711' } })).drafts),
      [],
    );
  });

  it('a URL: scheme and host, nothing of its path', () => {
    const { toClient } = observer();
    const url = 'https://login.evil.example:8443/t/ONE-TIME?x=1';
    const { drafts } = toClient(
      request(1, 'elicitation/create', { mode: 'url', message: 'Log in', url, elicitationId: 'e' }),
    );
    const [asked] = validEvents(drafts);
    assert.deepEqual(valuesOf(asked, 'mcp.mode', 'mcp.scheme', 'mcp.host'), [
      'url',
      'https',
      'login.evil.example',
    ]);
    assert.doesNotMatch(textOf(drafts), /ONE-TIME/);
  });

  it('2026-07-28: the same inside a result, answered with the next round, which says its number and state', () => {
    const { toServer, toClient } = observer();
    const [first] = validEvents(toServer(call(1)).drafts);
    const asked = validEvents(
      toClient(
        answer(1, {
          resultType: 'input_required',
          requestState: 'opaque',
          inputRequests: {
            who: {
              method: 'elicitation/create',
              params: { message: 'm', requestedSchema: { properties: { pin: {} } } },
            },
            where: { method: 'roots/list' },
          },
        }),
      ).drafts,
    );
    assert.deepEqual(kinds(asked), ['call.result input_required', 'mcp.request', 'mcp.request']);
    assert.equal(asked[0]?.mcp?.requestStateHash, sha256Hex('opaque'));
    assert.deepEqual(asked[1]?.mcp, { sender: 'server', mode: 'form', message: 'm', fields: ['pin'] });
    assert.equal(asked[1].logicalCallId, first?.callId);
    const repeated = toServer(
      call(2, {
        requestState: 'opaque',
        inputResponses: {
          who: { action: 'accept', content: { pin: 'PIN-4711' } },
          where: { roots: [{ uri: 'file:///w' }] },
        },
      }),
    ).drafts;
    const [second, who, where] = validEvents(repeated);
    assert.deepEqual(valuesOf(second, 'mcp.round', 'mcp.requestStateHash'), [2, sha256Hex('opaque')]);
    assert.equal(second?.logicalCallId, first?.callId);
    assert.deepEqual(valuesOf(who, 'kind', 'mcp.action', 'callId'), [
      'mcp.result',
      'accept',
      asked[1].callId,
    ]);
    assert.deepEqual(where?.result, { roots: [{ uri: 'file:///w' }] });
    assert.doesNotMatch(textOf(repeated), /PIN-4711/);
    const [third] = validEvents(
      toClient(answer(2, { resultType: 'input_required', requestState: 'more' })).drafts.concat(
        toServer(call(3, { requestState: 'more' })).drafts,
      ),
    ).slice(1);
    assert.deepEqual(
      valuesOf(third, 'mcp.round', 'logicalCallId'),
      [3, first?.callId],
      'a state alone joins (load shedding)',
    );
  });

  it('inputs that nobody answers are abandoned', () => {
    const { subject, toServer, toClient } = observer();
    toServer(request(1, 'resources/read', { uri: 'demo://x' }));
    const inputRequests = { a: { method: 'sampling/createMessage', params: {} } };
    toClient(answer(1, { resultType: 'input_required', inputRequests }));
    assert.deepEqual(kinds(validEvents(subject.close())), ['mcp.result abandoned']);
  });
});

describe('tasks', () => {
  const task = (status: string, id = 'task-1') => ({ taskId: id, status, ttl: 60_000, pollInterval: 10 });

  it('a task is joined to its call; polls that say nothing new are counted; cancelled is what its server says', () => {
    const { toServer, toClient } = observer();
    const [intent] = validEvents(toServer(call(1, { task: { ttl: 1 } })).drafts);
    const [created] = validEvents(toClient(answer(1, { task: task('working') })).drafts);
    assert.deepEqual(created?.mcp, { taskId: 'task-1', taskStatus: 'working' });
    const poll = (id: number, status: string) => {
      const asked = toServer(request(id, 'tasks/get', { taskId: 'task-1' })).drafts;
      return validEvents([...asked, ...toClient(answer(id, task(status))).drafts]);
    };
    assert.deepEqual(poll(2, 'working'), []);
    assert.deepEqual(poll(3, 'working'), []);
    const [, cancelling] = validEvents([
      ...toServer(request(4, 'tasks/cancel', { taskId: 'task-1' })).drafts,
      ...toClient(answer(4, task('working'))).drafts,
    ]);
    assert.deepEqual(
      valuesOf(cancelling, 'outcome', 'mcp.taskStatus'),
      ['ok', 'working'],
      'a wish, not an end',
    );
    const [asked, seen] = poll(5, 'cancelled');
    assert.deepEqual(valuesOf(asked, 'kind', 'method'), ['mcp.request', 'tasks/get']);
    assert.deepEqual(seen?.mcp, { sender: 'client', taskId: 'task-1', taskStatus: 'cancelled', skipped: 3 });
    assert.equal(seen.logicalCallId, intent?.callId);
    assert.deepEqual(valuesOf(seen, 'tool', 'class'), [intent?.tool, intent?.class]);
  });

  it('the payload of a task carries the tool it comes from; a status by notification is a transition too', () => {
    const { toServer, toClient } = observer();
    const [intent] = validEvents(toServer(call(1)).drafts);
    toClient(answer(1, { resultType: 'task', ...task('working', 't2') }));
    const [told] = validEvents(
      toClient(notification('notifications/tasks/status', task('completed', 't2'))).drafts,
    );
    assert.deepEqual(valuesOf(told, 'kind', 'mcp.taskStatus', 'logicalCallId'), [
      'mcp.notification',
      'completed',
      intent?.callId,
    ]);
    assert.deepEqual(
      toClient(notification('notifications/tasks/status', task('completed', 't2'))).drafts,
      [],
    );
    toServer(request(2, 'tasks/result', { taskId: 't2' }));
    const [payload] = validEvents(
      toClient(answer(2, { content: [{ type: 'text', text: 'poison' }] })).drafts,
    );
    assert.deepEqual(valuesOf(payload, 'tool', 'method', 'logicalCallId'), [
      'read',
      'tasks/result',
      intent?.callId,
    ]);
    assert.deepEqual(payload?.result, { content: [{ type: 'text', text: 'poison' }] });
  });

  it('a poll without an answer is on record as abandoned, a failed one as failed', () => {
    const { subject, toServer, toClient } = observer();
    assert.deepEqual(toServer(request(1, 'tasks/get', { taskId: 'x' })).drafts, []);
    const failed = toClient({ jsonrpc: '2.0', id: 1, error: { code: -32602, message: 'no such task' } });
    assert.deepEqual(kinds(validEvents(failed.drafts)), ['mcp.request', 'mcp.result rpc_error']);
    toServer(request(2, 'tasks/get', { taskId: 'x' }));
    assert.deepEqual(kinds(validEvents(subject.close())), ['mcp.request', 'mcp.result abandoned']);
  });
});

describe('notifications', () => {
  it('progress is counted on the result of its request, found by token and not by id', () => {
    const { toServer, toClient } = observer();
    toServer(call(7, { _meta: { progressToken: 'tok' } }));
    for (const progress of [1, 2, 3])
      assert.deepEqual(
        toClient(notification('notifications/progress', { progressToken: 'tok', progress, total: 9 })).drafts,
        [],
      );
    toClient(notification('notifications/progress', { progressToken: 7, progress: 8 }));
    toServer(notification('notifications/progress', { progressToken: 'tok', progress: 8 }));
    const [result] = validEvents(toClient(answer(7, {})).drafts);
    assert.deepEqual(result?.mcp?.progress, { count: 3, last: 3, total: 9 });
  });

  it('a flood of log messages costs a bounded number of events, and says how many were left out', () => {
    const { subject, toClient, pass } = observer();
    const log = () =>
      toClient(notification('notifications/message', { level: 'info', logger: 'l', data: 'x' })).drafts;
    const events = validEvents(Array.from({ length: 1000 }, log).flat());
    assert.equal(events.length, 20);
    assert.deepEqual(
      [events[0]?.mcp?.level, events[0]?.mcp?.name, events[0]?.args],
      ['info', 'l', { level: 'info', logger: 'l', data: 'x' }],
    );
    pass(1_000);
    const [next] = validEvents(log());
    assert.equal(next?.mcp?.skipped, 980);
    log();
    const [left] = validEvents(subject.close());
    assert.deepEqual(valuesOf(left, 'method', 'mcp.skipped'), ['notifications/message', 1]);
  });

  it('names that a peer makes up share one budget', () => {
    const { toClient } = observer();
    const drafts = Array.from(
      { length: 5_000 },
      (_, n) => toClient(notification(`notifications/x${n}`)).drafts,
    ).flat();
    assert.ok(validEvents(drafts).length < 100, String(drafts.length));
  });

  it('a resource that changed is named; a subscription does not time out', () => {
    const { subject, toServer, toClient, pass } = observer();
    const [updated] = validEvents(
      toClient(notification('notifications/resources/updated', { uri: 'demo://1' })).drafts,
    );
    assert.equal(updated?.mcp?.uri, 'demo://1');
    toServer(request(1, 'subscriptions/listen', { notifications: { toolsListChanged: true } }));
    pass(10_000);
    assert.deepEqual(subject.expire(), []);
    assert.deepEqual(kinds(validEvents(subject.close())), ['mcp.result abandoned']);
  });
});

describe('who the peers say they are', () => {
  it('up to 2025-11-25: once, with the answer to initialize, unverified; the instructions are on record', () => {
    const { toServer, toClient } = observer();
    const asked = toServer(
      request(0, 'initialize', {
        protocolVersion: '2025-11-25',
        capabilities: { sampling: {}, roots: {} },
        clientInfo: { name: 'host', version: '1.2', title: 'Host' },
      }),
    ).drafts;
    assert.deepEqual(kinds(validEvents(asked)), ['mcp.request']);
    const [peers, result] = validEvents(
      toClient(
        answer(0, {
          protocolVersion: '2025-06-18',
          capabilities: { tools: {} },
          serverInfo: { name: 'srv', version: '9' },
          instructions: 'Always do this',
        }),
      ).drafts,
    );
    assert.deepEqual(peers?.peers, {
      verified: false,
      client: { name: 'host', version: '1.2', title: 'Host' },
      server: { name: 'srv', version: '9' },
      protocolVersion: '2025-06-18',
      clientCapabilities: ['sampling', 'roots'],
      serverCapabilities: ['tools'],
      instructionsHash: sha256Hex('"Always do this"'),
    });
    assert.match(JSON.stringify(result?.result), /Always do this/);
  });

  it('2026-07-28: from _meta, when it is new', () => {
    const { toServer, toClient } = observer();
    const meta = (name: string) => ({
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name, version: '1' },
      'io.modelcontextprotocol/clientCapabilities': { elicitation: {} },
    });
    const of = (drafts: readonly EventDraft[]) => validEvents(drafts).flatMap(({ peers }) => peers ?? []);
    const [first] = of(toServer(call(1, { _meta: meta('a') })).drafts);
    assert.deepEqual(valuesOf(first, 'client.name', 'protocolVersion', 'clientCapabilities'), [
      'a',
      '2026-07-28',
      ['elicitation'],
    ]);
    const [both] = of(
      toClient(answer(1, { _meta: { 'io.modelcontextprotocol/serverInfo': { name: 's', version: '2' } } }))
        .drafts,
    );
    assert.deepEqual(valuesOf(both, 'client.name', 'server.name'), ['a', 's']);
    assert.deepEqual(of(toServer(call(2, { _meta: meta('a') })).drafts), []);
    assert.deepEqual(of(toServer(call(3, { _meta: meta('b') })).drafts).length, 1);
    const many = Array.from({ length: 1_000 }, (_, n) =>
      of(toServer(call(n, { _meta: meta(`x${n}`) })).drafts),
    ).flat();
    assert.ok(many.length <= 32, String(many.length));
  });
});
