/** A policy before real MCP servers, through tap and gate: what is not allowed does not leave, what is hidden is not listed. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { it, type TestContext } from 'node:test';
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { callsServer, connectTo, gateBefore } from '../../support/mcp/gate.ts';
import { connectThroughTap } from '../../support/mcp/host.ts';
import { openPlace, type Place } from '../../support/mcp/place.ts';

const POLICY = (mode: string): string => `
v: 1
id: bench
version: 3
mode: ${mode}
allow:
  - { id: small, servers: [calls], tools: [echo, slow] }
hide:
  - { id: nothing-that-dies, tools: [die] }
hideUnallowed: true
`;

const NOTHING = { tools: [] };
interface Listed {
  readonly tools: readonly { readonly name: string; readonly hidden?: string }[];
}

function policyFile({ place }: Place, mode: string): { readonly file: string; readonly hash: string } {
  const file = path.join(place.dataDir, `${mode}.yaml`);
  writeFileSync(file, POLICY(mode));
  return { file, hash: createHash('sha256').update(POLICY(mode)).digest('hex') };
}

const names = async (client: Client): Promise<readonly string[]> =>
  (await client.listTools()).tools.map(({ name }) => name).toSorted();
const refusal = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => assert.fail('it was let go'),
    ({ code, data }: { code: number; data: { controlId: string; policy: unknown; reason: string } }) => [
      code,
      data.controlId,
      data.policy,
      data.reason,
    ],
  );

/** The very same through either. */
async function enforced(open: Place, client: Client, hash: string): Promise<void> {
  const { place, receiver } = open;
  assert.deepEqual(await names(client), ['echo', 'slow']);
  await client.callTool({ name: 'echo', arguments: { text: 'hi' } });
  const of = (rule: string) => ({ id: 'bench', version: 3, rule });
  assert.deepEqual(await refusal(client.callTool({ name: 'die', arguments: {} })), [
    -32090,
    'policy',
    of('hide/nothing-that-dies'),
    'The tool is not offered here.',
  ]);
  assert.deepEqual(await refusal(client.callTool({ name: 'fail', arguments: {} })), [
    -32090,
    'policy',
    of('default'),
    'No line of the policy allows it.',
  ]);
  assert.deepEqual(await refusal(client.readResource({ uri: 'file:///etc/passwd' })), [
    -32090,
    'policy',
    of('default'),
    'No line of the policy allows it.',
  ]);
  assert.deepEqual(place.reached(), ['echo']);
  await receiver.until(() => receiver.of('mcp.result').some(({ outcome }) => outcome === 'refused'));
  await receiver.until(() => receiver.of('call.result').length === 3);
  assert.deepEqual(
    receiver
      .of('call.result')
      .map(({ tool, outcome, verdict, policy }) => [tool, outcome, verdict, policy?.rule]),
    [
      ['echo', 'ok', 'allow', 'allow/small'],
      ['die', 'refused', 'refuse', 'hide/nothing-that-dies'],
      ['fail', 'refused', 'refuse', 'default'],
    ],
  );
  const [intent] = receiver.of('call.intent');
  const stamp = { id: 'bench', version: 3, hash, mode: 'enforce' };
  assert.deepEqual(intent?.policy, { ...stamp, effect: 'allow', rule: 'allow/small' });
  assert.ok(
    receiver.of('stream.open').some(({ policy }) => JSON.stringify(policy) === JSON.stringify(stamp)),
  );
  // The record keeps what the server lists, and by which rule each was left out.
  const { tools } = (receiver.of('registry.snapshot')[0]?.registry ?? NOTHING) as Listed;
  assert.deepEqual(
    tools.map(({ name, hidden }) => [name, hidden]),
    [
      ['big', 'default'],
      ['die', 'hide/nothing-that-dies'],
      ['echo', undefined],
      ['fail', 'default'],
      ['slow', undefined],
    ],
  );
  assert.deepEqual(receiver.faults, []);
}

it('through a tap: hidden tools are not listed, and what is not allowed never reaches the server', async (context) => {
  const open = await openPlace(context);
  const { file, hash } = policyFile(open, 'enforce');
  const through = await connectThroughTap({
    place: open.place,
    url: open.receiver.url,
    env: { TRIPLINE_POLICY: file },
  });
  context.after(() => through.close());
  await enforced(open, through.client, hash);
});

async function throughGate(context: TestContext, mode: string, env: Record<string, string> = {}) {
  const open = await openPlace(context);
  const { file, hash } = policyFile(open, mode);
  const server = await callsServer(context, open.place, env);
  const gate = await gateBefore(context, open, {
    config: { upstreams: [{ name: 'calls', url: server.url }] },
    env: { TRIPLINE_POLICY: file },
  });
  const { client } = await connectTo(context, `${gate.url}/calls`);
  return { open, client, hash };
}

it('through a gate, event streams', async (context) => {
  const { open, client, hash } = await throughGate(context, 'enforce');
  await enforced(open, client, hash);
});

it('through a gate, JSON answers', async (context) => {
  const { open, client, hash } = await throughGate(context, 'enforce', { JSON: '1' });
  await enforced(open, client, hash);
});

for (const [mode, verdict] of [
  ['shadow', 'shadow_refuse'],
  ['warn', 'warn_refuse'],
] as const)
  it(`in mode ${mode} all is listed and let go, and on record with what would have been`, async (context) => {
    const open = await openPlace(context);
    const { file } = policyFile(open, mode);
    const host = await connectThroughTap({
      place: open.place,
      url: open.receiver.url,
      env: { TRIPLINE_POLICY: file },
    });
    context.after(() => host.close());
    assert.deepEqual(await names(host.client), ['big', 'die', 'echo', 'fail', 'slow']);
    await host.client.callTool({ name: 'fail', arguments: {} });
    await host.client.callTool({ name: 'echo', arguments: { text: 'hi' } });
    await open.receiver.until(() => open.receiver.of('call.result').length === 2);
    assert.deepEqual(
      open.receiver
        .of('call.result')
        .map((event) => [event.tool, event.outcome, event.verdict, event.policy?.mode, event.policy?.rule]),
      [
        ['fail', 'tool_error', verdict, mode, 'default'],
        ['echo', 'ok', 'allow', mode, 'allow/small'],
      ],
    );
    const { tools } = (open.receiver.of('registry.snapshot')[0]?.registry ?? NOTHING) as Listed;
    assert.deepEqual(
      tools.filter(({ hidden }) => hidden !== undefined).map(({ name }) => name),
      ['big', 'die', 'fail'],
    );
    assert.equal(host.stderr().includes('policy_would_refuse'), mode === 'warn');
  });

it('a policy with faults lets nothing start, and all of them are told', async (context) => {
  const open = await openPlace(context);
  const file = path.join(open.place.dataDir, 'bad.yaml');
  writeFileSync(file, 'v: 1\nid: p\nversion: 1\nmode: enforced\nallow:\n  - { id: a, tool: [x] }\n');
  const host = connectThroughTap({
    place: open.place,
    url: open.receiver.url,
    env: { TRIPLINE_POLICY: file },
  });
  await assert.rejects(host);
  await assert.rejects(
    gateBefore(context, open, {
      config: { upstreams: [{ name: 'calls', url: 'http://127.0.0.1:9/mcp' }] },
      env: { TRIPLINE_POLICY: file },
    }),
    (error: Error) =>
      /bad\.yaml:4: mode/u.test(error.message) &&
      /bad\.yaml:6: allow\[0\]\.tool: unknown key/u.test(error.message),
  );
});
