/** Everything that an SDK client and the reference server say to each other beside tool calls is on record. */
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Event } from '../../../schemas/event/v1.ts';
import { recordTransport } from '../../../services/capture/decorator.ts';
import type { RecordsDecisions } from '../../../services/capture/public.ts';
import { readSettings } from '../../../services/capture/settings.ts';
import { valuesOf } from '../../support/capture/observer.ts';
import { answeringClient, EVERYTHING, talk } from '../../support/mcp/everything-talk.ts';
import { ROOT, workplace } from '../../support/mcp/host.ts';
import { Receiver } from '../../support/mcp/receiver.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

interface Connected {
  readonly client: Client;
  readonly transport: StdioClientTransport & RecordsDecisions;
  readonly receiver: Receiver;
  readonly remove: () => Promise<void>;
}

async function connected(): Promise<Connected> {
  const place = workplace();
  const receiver = new Receiver();
  await receiver.start();
  const settings = readSettings({
    TRIPLINE_URL: receiver.url,
    TRIPLINE_DATA_DIR: place.dataDir,
    TRIPLINE_SESSION_ID: 'messages',
  });
  const client = answeringClient();
  const transport = recordTransport(
    new StdioClientTransport({ command: process.execPath, args: [EVERYTHING, 'stdio'], stderr: 'ignore' }),
    { settings, server: 'everything', transport: 'stdio' },
  );
  await client.connect(transport);
  const remove = async (): Promise<void> => {
    await receiver.stop();
    place.remove();
  };
  return { client, transport, receiver, remove };
}

describe('a connection of the SDK with server-everything', () => {
  let wire: Connected;
  let events: readonly Event[];
  let uri: string;
  before(async () => {
    wire = await connected();
    uri = await talk(wire.client);
    await wire.receiver.until(() => wire.receiver.of('stream.close').length === 1, 30_000);
    ({ events } = wire.receiver);
  });
  after(() => wire.remove());

  const of = (method: string, kind: Event['kind']): readonly Event[] =>
    events.filter((event) => event.method === method && event.kind === kind);
  const resultOf = (tool: string): Event | undefined =>
    events.find((event) => event.kind === 'call.result' && event.tool === tool);
  const ids = (list: readonly Event[]): ReadonlySet<unknown> => new Set(list.map((event) => event.callId));

  for (const method of [
    'initialize',
    'resources/list',
    'resources/read',
    'resources/subscribe',
    'prompts/get',
    'completion/complete',
    'logging/setLevel',
    'roots/list',
    'sampling/createMessage',
    'elicitation/create',
    'tasks/result',
  ]) {
    it(`${method} is on record, each request once and with one end`, () => {
      const asked = of(method, 'mcp.request');
      const ended = of(method, 'mcp.result');
      assert.ok(asked.length > 0);
      assert.equal(ended.length, asked.length);
      assert.deepEqual(ids(ended), ids(asked));
      assert.equal(ids(asked).size, asked.length);
    });
  }

  it('every event fits its schema, and every call has one result', () => {
    assert.deepEqual(wire.receiver.faults, []);
    const intents = events.filter((event) => event.kind === 'call.intent');
    const results = events.filter((event) => event.kind === 'call.result');
    assert.equal(results.length, intents.length);
    assert.deepEqual(ids(results), ids(intents));
  });

  it('what was read is there with its address and its hash', () => {
    const [content] = of('resources/read', 'mcp.result');
    assert.deepEqual(valuesOf(content, 'mcp.uri', 'resultHash'), [
      uri,
      sha256(JSON.stringify(content?.result)),
    ]);
    assert.match(JSON.stringify(content?.result), /"contents":\[/);
  });

  it('structured output was held to its schema, progress counted', () => {
    assert.equal(resultOf('get-structured-content')?.schemaValid, true);
    const progress = { count: 3, last: 3, total: 3 };
    assert.deepEqual(valuesOf(resultOf('trigger-long-running-operation'), 'mcp.progress'), [progress]);
  });

  it('a task is joined to its call until it is completed', () => {
    const created = resultOf('simulate-research-query');
    assert.equal(created?.outcome, 'task_created');
    const [payload] = of('tasks/result', 'mcp.result');
    assert.deepEqual(valuesOf(payload, 'mcp.taskId', 'logicalCallId', 'tool'), [
      ...valuesOf(created, 'mcp.taskId', 'callId'),
      'simulate-research-query',
    ]);
    const statuses = events.flatMap(({ mcp }) => mcp?.taskStatus ?? []);
    assert.equal(statuses.at(-1), 'completed', statuses.join(' '));
  });

  it('of elicitations all but what a person typed and where exactly a person was sent', () => {
    const asked = of('elicitation/create', 'mcp.request').map((event) =>
      valuesOf(event, 'mcp.mode', 'mcp.host'),
    );
    assert.deepEqual(asked, [
      ['form', undefined],
      ['url', 'login.example'],
    ]);
    assert.deepEqual(
      of('elicitation/create', 'mcp.result').map((event) => valuesOf(event, 'mcp.action', 'result')),
      [
        ['accept', undefined],
        ['decline', undefined],
      ],
    );
    const lines = wire.receiver.lines.filter((line) => line.includes('"elicitation/create"'));
    assert.ok(lines.length >= 4);
    for (const line of lines) assert.doesNotMatch(line, /TYPED-BY-A-PERSON|ONE-TIME-TOKEN/);
  });

  it('the peers are named, unverified', () => {
    const peers = events.find((event) => event.kind === 'peer.info')?.peers;
    const said = valuesOf(peers, 'verified', 'client.name', 'protocolVersion');
    assert.deepEqual(said, [false, 'tester', '2025-11-25']);
    assert.ok(peers?.serverCapabilities?.includes('resources'));
  });
});

describe('a decision of the host', () => {
  it('is on record before the call that it led to, without its prompt (as services/capture/README.md shows)', async (context) => {
    const { client, transport, receiver, remove } = await connected();
    context.after(remove);
    const prompt = 'The user asks for an echo.';
    // --- README
    const decisionId = transport.recordDecision({
      prompt,
      rationale: 'An echo was asked for.',
      model: 'some-model',
    });
    await client.callTool({ name: 'echo', arguments: { message: 'hi' } });
    // --- README
    await client.callTool({ name: 'echo', arguments: { message: 'again' } });
    await client.close();
    await receiver.until(() => receiver.of('stream.close').length === 1);
    const [decision] = receiver.of('decision');
    assert.deepEqual(decision?.decision, {
      id: decisionId,
      promptHash: sha256(prompt),
      rationale: 'An echo was asked for.',
      rationaleHash: sha256('An echo was asked for.'),
      model: 'some-model',
    });
    const [first, second] = receiver.of('call.intent');
    assert.deepEqual([first?.decisionId, second?.decisionId], [decisionId, undefined]);
    assert.ok(decision.seq < (first?.seq ?? 0));
    assert.ok(receiver.lines.every((line) => !line.includes(prompt)));
    assert.deepEqual(receiver.faults, []);
    const readme = readFileSync(path.join(ROOT, 'services/capture/README.md'), 'utf8');
    const [, shown = 'nothing'] = readFileSync(import.meta.filename, 'utf8').split('    // --- README\n');
    assert.ok(readme.includes(shown.replaceAll(/^ {4}/gm, '').trim()), 'README shows what ran here');
  });
});
