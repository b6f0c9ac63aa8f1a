/** The same through tap and gate: each message has one end on record, each call and each task one outcome. */
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Event } from '../../../schemas/event/v1.ts';
import { valuesOf } from '../../support/capture/observer.ts';
import { answeringClient, EVERYTHING, talk } from '../../support/mcp/everything-talk.ts';
import { connectTo, distinct, everything, gateBefore } from '../../support/mcp/gate.ts';
import { tapCommand, tapEnvironment } from '../../support/mcp/host.ts';
import { openPlace, type Place } from '../../support/mcp/place.ts';

/** Methods that both sides ask of each other in that talk. */
const ASKED = [
  'initialize',
  'resources/list',
  'resources/read',
  'prompts/get',
  'completion/complete',
  'logging/setLevel',
  'sampling/createMessage',
  'elicitation/create',
  'tasks/result',
] as const;

const byCall = (events: readonly Event[]): readonly string[] =>
  events.map(({ callId }) => callId ?? '').toSorted((a, b) => a.localeCompare(b));

function checked({ receiver }: Place): void {
  const requests = distinct(receiver, 'mcp.request');
  const results = distinct(receiver, 'mcp.result');
  for (const method of ASKED) {
    const asked = requests.filter((event) => event.method === method);
    assert.ok(asked.length > 0, method);
    assert.deepEqual(byCall(results.filter((event) => event.method === method)), byCall(asked), method);
  }
  const calls = distinct(receiver, 'call.result');
  assert.deepEqual(byCall(calls), byCall(distinct(receiver, 'call.intent')));
  // A task: its call says once that it was created, its payload comes once, and nothing follows its end.
  const [created, ...others] = calls.filter(({ outcome }) => outcome === 'task_created');
  assert.deepEqual(others, []);
  const [payload, ...more] = results.filter(({ method }) => method === 'tasks/result');
  assert.deepEqual([payload?.outcome, more], ['ok', []]);
  assert.deepEqual(valuesOf(payload, 'mcp.taskId', 'logicalCallId', 'tool'), [
    ...valuesOf(created, 'mcp.taskId', 'callId'),
    'simulate-research-query',
  ]);
  const lines = receiver.lines.filter((line) => line.includes('"elicitation/create"'));
  assert.ok(lines.length >= 4);
  for (const line of lines) assert.doesNotMatch(line, /TYPED-BY-A-PERSON|ONE-TIME-TOKEN/);
  assert.deepEqual(receiver.faults, []);
}

it('through a tap', async (context) => {
  const open = await openPlace(context);
  const { place, receiver } = open;
  const server = [process.execPath, EVERYTHING, 'stdio'];
  const transport = new StdioClientTransport({
    ...tapCommand({ server, tapArguments: ['--server', 'everything', '--agent', 'tester'] }),
    env: tapEnvironment({ place, url: receiver.url }),
    stderr: 'ignore',
  });
  const client = answeringClient();
  await client.connect(transport);
  await talk(client);
  await receiver.until(() => receiver.of('stream.close').length === 1, 30_000);
  checked(open);
});

it('through a gate', async (context) => {
  const open = await openPlace(context);
  const server = await everything(context);
  const gate = await gateBefore(context, open, {
    config: { upstreams: [{ name: 'everything', url: server.url }] },
  });
  const { client } = await connectTo(context, `${gate.url}/everything`, { client: answeringClient() });
  await talk(client);
  await gate.stop();
  await open.receiver.until(() => distinct(open.receiver, 'stream.close').length > 0, 30_000);
  checked(open);
});
