/** A policy that changes under a running tap, gate and decorator: the next call meets it, whole or not at all, and it is on record. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import type { Event } from '../../../schemas/event/v1.ts';
import { recordTransport } from '../../../services/capture/decorator.ts';
import { readSettings, type CaptureSettings } from '../../../services/capture/settings.ts';
import { callsServer, connectTo, distinct, gateBefore } from '../../support/mcp/gate.ts';
import { CALLS_SERVER, connectThroughTap, nodeArguments } from '../../support/mcp/host.ts';
import { openPlace, type Place } from '../../support/mcp/place.ts';

const policy = (version: number, mode: string, tools: string): string =>
  `v: 1\nid: bench\nversion: ${version}\nmode: ${mode}\nallow:\n  - { id: some, tools: [${tools}] }\n`;
const FIRST = policy(1, 'enforce', 'echo');
const WIDER = policy(2, 'enforce', 'echo, fail');
const FAULTY = policy(0, 'enforced', 'echo');
const SHADOW = policy(3, 'shadow', 'echo');
const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

function fileIn({ place }: Place) {
  const file = path.join(place.dataDir, 'policy.yaml');
  writeFileSync(file, FIRST);
  return {
    file,
    replace: (text: string) => {
      writeFileSync(`${file}.next`, text);
      renameSync(`${file}.next`, file);
    },
  };
}

/** Of a process of ours, so that nobody waits for a second. */
function hasty(settings: CaptureSettings): CaptureSettings {
  assert.ok(settings.policy !== undefined);
  return { ...settings, policy: { ...settings.policy, lookIntervalMs: 20 } };
}

const changes = (open: Place): readonly Event[] =>
  distinct(open.receiver, 'stream.heartbeat').filter(({ policyChange }) => policyChange !== undefined);

/** The very same through each. */
async function changed(open: Place, client: Client, replace: (text: string) => void): Promise<void> {
  const { receiver } = open;
  const fail = (): Promise<unknown> => client.callTool({ name: 'fail', arguments: {} });
  const told = async (text: string, state: string): Promise<Event> => {
    replace(text);
    const isIt = ({ policyChange }: Event): boolean =>
      policyChange?.hash === hashOf(text) && policyChange.state === state;
    await receiver.until(() => changes(open).some(isIt));
    return changes(open).find(isIt) as Event;
  };
  await assert.rejects(fail(), /refused by the policy of its host/);
  const applied = await told(WIDER, 'applied');
  assert.deepEqual(applied.policyChange, {
    state: 'applied',
    previousHash: hashOf(FIRST),
    previousMode: 'enforce',
    hash: hashOf(WIDER),
  });
  assert.deepEqual(applied.policy, { id: 'bench', version: 2, hash: hashOf(WIDER), mode: 'enforce' });
  assert.equal(((await fail()) as { isError: boolean }).isError, true);
  // One with faults takes nothing away and gives nothing: what held holds.
  const rejected = await told(FAULTY, 'rejected');
  assert.equal(rejected.policy?.hash, hashOf(WIDER));
  assert.deepEqual(
    rejected.policyChange?.faults?.map((fault) => /:(\d+): (\w+)/u.exec(fault)?.slice(1)),
    [
      ['3', 'version'],
      ['4', 'mode'],
    ],
  );
  assert.equal(((await fail()) as { isError: boolean }).isError, true);
  const loosened = await told(SHADOW, 'applied');
  assert.deepEqual(
    [loosened.policyChange?.previousMode, loosened.policy?.mode, loosened.policyChange?.previousHash],
    ['enforce', 'shadow', hashOf(WIDER)],
  );
  await fail();
  await receiver.until(() => distinct(receiver, 'call.result').length === 4);
  assert.deepEqual(
    distinct(receiver, 'call.intent').map((intent) => [intent.verdict, intent.policy?.hash]),
    [
      ['refuse', hashOf(FIRST)],
      ['allow', hashOf(WIDER)],
      ['allow', hashOf(WIDER)],
      ['shadow_refuse', hashOf(SHADOW)],
    ],
  );
  assert.deepEqual(open.place.reached(), ['fail', 'fail', 'fail']);
  assert.deepEqual(receiver.faults, []);
}

it('through a tap, which tells it in its log too', async (context) => {
  const open = await openPlace(context);
  const { file, replace } = fileIn(open);
  const env = { TRIPLINE_POLICY: file };
  const host = await connectThroughTap({ place: open.place, url: open.receiver.url, env });
  context.after(() => host.close());
  await changed(open, host.client, replace);
  const logged = host
    .stderr()
    .split('\n')
    .flatMap((line) => /"event":"(policy_\w+)"/u.exec(line)?.[1] ?? []);
  assert.deepEqual(logged, ['policy_changed', 'policy_not_taken', 'policy_changed']);
});

function settingsOf(open: Place, file: string): CaptureSettings {
  return hasty(
    readSettings({
      TRIPLINE_DATA_DIR: open.place.dataDir,
      TRIPLINE_URL: open.receiver.url,
      TRIPLINE_TOKEN: 'test-token',
      TRIPLINE_POLICY: file,
    }),
  );
}

it('through a gate, on the stream of each client', async (context) => {
  const open = await openPlace(context);
  const { file, replace } = fileIn(open);
  const server = await callsServer(context, open.place);
  const gate = await gateBefore(context, open, {
    config: { upstreams: [{ name: 'calls', url: server.url }] },
    options: { settings: settingsOf(open, file) },
  });
  const { client } = await connectTo(context, `${gate.url}/calls`);
  const other = await connectTo(context, `${gate.url}/calls`);
  await changed(open, client, replace);
  await other.client.ping();
  const streams = new Set(distinct(open.receiver, 'stream.open').map(({ stream }) => stream));
  await open.receiver.until(() => changes(open).length === 3 * streams.size);
  assert.deepEqual(new Set(changes(open).map(({ stream }) => stream)), streams);
});

it('through a decorator', async (context) => {
  const open = await openPlace(context);
  const { file, replace } = fileIn(open);
  const inner = new StdioClientTransport({
    command: process.execPath,
    args: [...nodeArguments(CALLS_SERVER)],
    env: { PATH: process.env['PATH'] ?? '', REACHED_FILE: open.place.reachedFile },
  });
  const client = new Client({ name: 'tester', version: '1.0.0' });
  await client.connect(recordTransport(inner, { settings: settingsOf(open, file), server: 'calls' }));
  context.after(() => client.close());
  await changed(open, client, replace);
});
