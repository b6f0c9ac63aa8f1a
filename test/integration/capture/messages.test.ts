/** Everything that an SDK client and the reference server say to each other beside tool calls is on record. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import {
  CallToolResultSchema,
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
} from '@modelcontextprotocol/sdk/types.js';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import type { Event } from '../../../schemas/event/v1.ts';
import { recordTransport } from '../../../services/capture/decorator.ts';
import { readSettings } from '../../../services/capture/settings.ts';
import { ROOT, workplace } from '../../support/mcp/host.ts';
import { Receiver } from '../../support/mcp/receiver.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const EVERYTHING = path.join(ROOT, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js');
const TYPED = 'TYPED-BY-A-PERSON';
const URL_WITH_TOKEN = 'https://login.example/session/ONE-TIME-TOKEN';

function newClient(): Client {
  const client = new Client(
    { name: 'tester', version: '1.0.0' },
    { capabilities: { sampling: {}, roots: {}, elicitation: { form: {}, url: {} } } },
  );
  client.setRequestHandler(CreateMessageRequestSchema, () => ({
    model: 'm',
    role: 'assistant' as const,
    content: { type: 'text' as const, text: 'sampled' },
  }));
  client.setRequestHandler(ElicitRequestSchema, ({ params }) =>
    params.mode === 'url' ? { action: 'decline' } : { action: 'accept', content: { name: TYPED } },
  );
  client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: 'file:///workspace' }] }));
  return client;
}

async function connected(context: TestContext) {
  const place = workplace();
  const receiver = new Receiver();
  await receiver.start();
  context.after(async () => {
    await receiver.stop();
    place.remove();
  });
  const settings = readSettings({
    TRIPLINE_URL: receiver.url,
    TRIPLINE_DATA_DIR: place.dataDir,
    TRIPLINE_SESSION_ID: 'messages',
  });
  const client = newClient();
  const transport = recordTransport(
    new StdioClientTransport({ command: process.execPath, args: [EVERYTHING, 'stdio'], stderr: 'ignore' }),
    { settings, server: 'everything', transport: 'stdio' },
  );
  await client.connect(transport);
  return { client, transport, receiver };
}

describe('a connection of the SDK with server-everything', () => {
  it('reads, prompts, completions, sampling, elicitation, progress, a task: each once, each with its end', async (context) => {
    const { client, receiver } = await connected(context);
    const call = (name: string, args: Record<string, unknown> = {}) =>
      client.callTool({ name, arguments: args });
    await client.listTools();
    const { resources } = await client.listResources();
    const uri = resources[0]?.uri ?? '';
    const read = await client.readResource({ uri });
    await client.subscribeResource({ uri });
    await client.getPrompt({ name: 'simple-prompt' });
    const ref = { type: 'ref/prompt', name: 'completable-prompt' } as const;
    await client.complete({ ref, argument: { name: 'department', value: 'E' } });
    await client.setLoggingLevel('error');
    await call('get-structured-content', { location: 'Chicago' });
    await call('trigger-sampling-request', { prompt: 'hello' });
    await call('trigger-elicitation-request');
    await call('trigger-url-elicitation', { url: URL_WITH_TOKEN });
    const onprogress = (): void => undefined;
    const steps = { name: 'trigger-long-running-operation', arguments: { duration: 1, steps: 3 } };
    await client.callTool(steps, undefined, { onprogress });
    const task = client.experimental.tasks.callToolStream(
      { name: 'simulate-research-query', arguments: { topic: 'bees' } },
      CallToolResultSchema,
    );
    for await (const message of task) assert.notEqual(message.type, 'error', JSON.stringify(message));
    await client.close();
    await receiver.until(() => receiver.of('stream.close').length === 1);
    assert.deepEqual(receiver.faults, []);

    const { events } = receiver;
    const of = (method: string, kind: Event['kind']): readonly Event[] =>
      events.filter((event) => event.method === method && event.kind === kind);
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
      const asked = of(method, 'mcp.request');
      assert.ok(asked.length > 0, method);
      assert.deepEqual(
        of(method, 'mcp.result')
          .map((event) => event.callId)
          .toSorted(),
        asked.map((event) => event.callId).toSorted(),
        method,
      );
    }
    const content = of('resources/read', 'mcp.result')[0];
    assert.equal(content?.mcp?.uri, uri);
    assert.equal(content.resultHash, sha256(JSON.stringify(content.result)));
    assert.deepEqual((content.result as typeof read).contents, read.contents);

    const results = events.filter((event) => event.kind === 'call.result');
    const resultOf = (tool: string) => results.find((event) => event.tool === tool);
    assert.equal(resultOf('get-structured-content')?.schemaValid, true);
    assert.deepEqual(resultOf('trigger-long-running-operation')?.mcp?.progress, {
      count: 3,
      last: 3,
      total: 3,
    });
    const created = resultOf('simulate-research-query');
    assert.equal(created?.outcome, 'task_created');
    const payload = of('tasks/result', 'mcp.result')[0];
    assert.deepEqual([payload?.mcp?.taskId, payload?.logicalCallId], [created.mcp?.taskId, created.callId]);
    assert.equal(payload?.tool, 'simulate-research-query');
    const statuses = events.flatMap(({ mcp }) => mcp?.taskStatus ?? []);
    assert.equal(statuses.at(-1), 'completed', statuses.join(' '));

    const forms = of('elicitation/create', 'mcp.request');
    assert.deepEqual(
      forms.map(({ mcp }) => [mcp?.mode, mcp?.host]),
      [
        ['form', undefined],
        ['url', 'login.example'],
      ],
    );
    assert.ok(forms[0]?.mcp?.fields?.includes('name'));
    assert.deepEqual(
      of('elicitation/create', 'mcp.result').map(({ mcp, result }) => [mcp?.action, result]),
      [
        ['accept', undefined],
        ['decline', undefined],
      ],
    );
    const aboutForms = receiver.lines.filter((line) => line.includes('"elicitation/create"'));
    assert.ok(aboutForms.every((line) => !line.includes(TYPED) && !line.includes('ONE-TIME-TOKEN')));
    const peers = events.find((event) => event.kind === 'peer.info')?.peers;
    assert.deepEqual(
      [peers?.verified, peers?.client?.name, peers?.protocolVersion],
      [false, 'tester', '2025-11-25'],
    );
    assert.ok(peers?.server?.name !== undefined && peers.serverCapabilities?.includes('resources'));
    const intents = events.filter((event) => event.kind === 'call.intent').map((event) => event.callId);
    assert.deepEqual(results.map((event) => event.callId).toSorted(), intents.toSorted());
  });

  it('a decision is on record before the call that it led to, without its prompt (as services/capture/README.md shows)', async (context) => {
    const { client, transport, receiver } = await connected(context);
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
