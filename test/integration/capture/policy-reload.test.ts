/** A policy that changes under a running tap, gate and decorator: the next call meets it, whole or not at all, and it is on record. */
import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Event } from '../../../schemas/event/v1.ts';
import type { CaptureSettings } from '../../../services/capture/settings.ts';
import { distinct } from '../../support/mcp/gate.ts';
import type { Place } from '../../support/mcp/place.ts';
import { heartbeatsWith, testThroughEachHost } from '../../support/capture/changed-file.ts';

const policy = (version: number, mode: string, tools: string): string =>
  `v: 1\nid: bench\nversion: ${version}\nmode: ${mode}\nallow:\n  - { id: some, tools: [${tools}] }\n`;
const FIRST = policy(1, 'enforce', 'echo');
const WIDER = policy(2, 'enforce', 'echo, fail');
const FAULTY = policy(0, 'enforced', 'echo');
const SHADOW = policy(3, 'shadow', 'echo');
const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Of a process of ours, so that nobody waits for a second. */
function hasty(settings: CaptureSettings): CaptureSettings {
  assert.ok(settings.policy !== undefined);
  return { ...settings, policy: { ...settings.policy, lookIntervalMs: 20 } };
}

const changes = (open: Place): readonly Event[] => heartbeatsWith(open, 'policyChange');

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

testThroughEachHost({
  kind: 'policy',
  fileName: 'policy.yaml',
  variable: 'TRIPLINE_POLICY',
  first: FIRST,
  hasty,
  changes,
  play: changed,
});
