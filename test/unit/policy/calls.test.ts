/** What a policy makes of messages on the wire: what leaves, what is answered, and in which order it stands on record. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { it, type TestContext } from 'node:test';
import { verifySignedApproval } from '../../../schemas/approval/verify.ts';
import type { CallDecision } from '../../../schemas/control/decide.ts';
import { hostControl } from '../../../services/capture/controls/host-control.ts';
import { verifyEd25519 } from '../../../services/capture/controls/keys.ts';
import type { Settled } from '../../../services/capture/holds.ts';
import type { Observation } from '../../../services/capture/line-state.ts';
import { Observer } from '../../../services/capture/observer.ts';
import { silentLog } from '../../../services/capture/log.ts';
import { CallPolicy } from '../../../services/capture/policy/call-policy.ts';
import { ApprovalDesk } from '../../../services/capture/policy/desk.ts';
import { HostPolicy } from '../../../services/capture/policy/host-policy.ts';
import { randomSpans } from '../../../services/capture/spans.ts';
import { decision, pinned, signed, START_MS } from '../../support/policy/approvals.ts';

const POLICY = `
v: 1
id: desk
version: 1
mode: enforce
allow: [{ id: all, tools: ['*'] }]
deny: [{ id: no-secret-out, classes: [external_post], labels: [secret], reason: Secrets stay inside. }]
approvals:
  - { id: deletes, tools: [delete_file] }
  - { id: waits, tools: [drop_table], waitMs: 60000 }
  - { id: eyes, tools: [refund], fourEyes: true }
`;

async function host(
  context: TestContext,
  { policy = POLICY, principal }: { policy?: string; principal?: string } = {},
) {
  const directory = mkdtempSync(path.join(tmpdir(), 'tripline-calls-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const file = path.join(directory, 'policy.yaml');
  writeFileSync(file, policy);
  const hostPolicy = new HostPolicy({ file, environment: undefined, task: undefined }, silentLog);
  await hostPolicy.load();
  const hex = (bytes: number): string => randomBytes(bytes).toString('hex');
  const desk = new ApprovalDesk({
    directory: path.join(directory, 'approvals'),
    verify: (one) => verifySignedApproval(one, [pinned], verifyEd25519),
    nowMs: () => START_MS,
    randomHex: hex,
    watch: () => undefined,
    unwatch: () => undefined,
    log: () => undefined,
  });
  let control: CallDecision = { kind: 'allow' };
  const observer = new Observer({
    server: 'files',
    transport: 'stdio',
    agent: 'bot',
    session: 's',
    clock: { nowMs: () => START_MS, monotonicMs: () => 0 },
    sha256Hex: (bytes) => createHash('sha256').update(bytes).digest('hex'),
    randomHex: hex,
    spans: randomSpans(hex),
    decide: () => control,
    mappings: () => [],
    injectTrace: false,
    callTimeoutMs: 1_000,
    maxPendingCalls: 10,
    policy: new CallPolicy({
      policy: hostPolicy,
      desk,
      agent: 'bot',
      server: 'files',
      transport: 'stdio',
      principal,
      nowMs: () => START_MS,
      log: () => undefined,
    }),
  });
  const line = (text: string): Observation => observer.observe('to_server', Buffer.from(text));
  const call = (name: string, args = '{"path":"/tmp/a"}'): Observation =>
    line(
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":${JSON.stringify(name)},"arguments":${args}}}`,
    );
  const kill = (): void => {
    control = {
      kind: 'refuse',
      control: hostControl({ id: 'hold', reason: 'killed', nowMs: START_MS, forMs: 1 }),
    };
  };
  return { desk, line, call, kill };
}

interface Answered {
  readonly message: string;
  readonly reason: string;
  readonly rule: string | undefined;
  readonly approvalId: string | undefined;
}
function refusal({ forward, answers, held }: Observation): Answered {
  assert.deepEqual([forward, held], [undefined, undefined]);
  const { error } = JSON.parse(answers[0] ?? '') as {
    error: {
      code: number;
      message: string;
      data: { reason: string; policy?: { rule: string }; approvalId?: string };
    };
  };
  assert.equal(error.code, -32090);
  const { reason, policy, approvalId } = error.data;
  return { message: error.message, reason, rule: policy?.rule, approvalId };
}
const told = ({ drafts }: Observation): unknown =>
  drafts.map(({ kind, fields }) => [
    kind,
    fields['verdict'] ?? (fields['approval'] as { verdict?: string })?.verdict,
  ]);

/** As the shell does it for a call that waits. */
async function settled({ held }: Observation): Promise<Observation> {
  if (held === undefined) return assert.fail('it does not wait');
  const decided = held.calls.map(async ({ approved }): Promise<Settled> => ({
    held: undefined,
    approval: await approved?.(),
  }));
  return held.settle(await Promise.all(decided));
}

it('the approval stands on record before the call that uses it', async (context) => {
  const { desk, call } = await host(context);
  const asked = call('delete_file');
  const { approvalId = '', message } = refusal(asked);
  assert.equal(message, 'The call needs an approval.');
  assert.deepEqual(told(asked), [
    ['call.intent', 'approval_required'],
    ['call.result', 'approval_required'],
  ]);
  desk.take(signed(decision(approvalId)));
  const used = call('delete_file');
  assert.notEqual(used.forward, undefined);
  assert.deepEqual(told(used), [
    ['approval', 'granted'],
    ['call.intent', 'allow'],
  ]);
  assert.deepEqual(
    used.drafts.map(({ fields }) => fields['approvalId']),
    [approvalId, approvalId],
  );
  assert.notEqual(refusal(call('delete_file')).approvalId, approvalId);
});

it('a denial stands behind the answer that tells of it, once', async (context) => {
  const { desk, call } = await host(context);
  const { approvalId = '' } = refusal(call('delete_file'));
  desk.take(signed(decision(approvalId, { verdict: 'denied', reason: 'no' })));
  const denied = call('delete_file');
  assert.equal(refusal(denied).reason, 'bob denied it: no');
  assert.deepEqual(told(denied), [
    ['call.intent', 'refuse'],
    ['call.result', 'refuse'],
    ['approval', 'denied'],
  ]);
  assert.deepEqual(told(call('delete_file')), [
    ['call.intent', 'refuse'],
    ['call.result', 'refuse'],
  ]);
});

it('arguments that differ in a blank are other arguments', async (context) => {
  const { desk, call } = await host(context);
  const { approvalId = '' } = refusal(call('delete_file'));
  desk.take(signed(decision(approvalId)));
  assert.notEqual(refusal(call('delete_file', '{"path": "/tmp/a"}')).approvalId, approvalId);
  assert.notEqual(call('delete_file').forward, undefined);
});

it('a call waits, and leaves when it is granted; the same one beside it does not', async (context) => {
  const { desk, call } = await host(context);
  const [first, second] = [call('drop_table'), call('drop_table')];
  const id = String(first.drafts[0]?.fields['approvalId']);
  assert.equal(second.drafts[0]?.fields['approvalId'], id);
  const both = Promise.all([settled(first), settled(second)]);
  desk.take(signed(decision(id, { tool: 'drop_table' })));
  const [left, right] = await both;
  assert.deepEqual(told(left), [['approval', 'granted']]);
  assert.notEqual(left.forward, undefined);
  assert.equal(refusal(right).approvalId, id);
  assert.deepEqual(told(right), [['call.result', 'approval_required']]);
});

it('a kill that comes while a call waits for its approval stops it', async (context) => {
  const { desk, call, kill } = await host(context);
  const waiting = call('drop_table');
  const outcome = settled(waiting);
  kill();
  desk.take(signed(decision(String(waiting.drafts[0]?.fields['approvalId']), { tool: 'drop_table' })));
  const stopped = await outcome;
  assert.equal(refusal(stopped).reason, 'killed');
  assert.deepEqual(told(stopped), [
    ['approval', 'granted'],
    ['call.result', 'refuse'],
  ]);
});

it('one that was cancelled while it waited does not leave', async (context) => {
  const { desk, call, line } = await host(context);
  const waiting = call('drop_table');
  line('{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}');
  desk.take(signed(decision(String(waiting.drafts[0]?.fields['approvalId']), { tool: 'drop_table' })));
  assert.equal((await settled(waiting)).forward, undefined);
});

it('without somebody to be told apart from, four eyes cannot be had', async (context) => {
  const { call } = await host(context);
  const refused = refusal(call('refund'));
  assert.deepEqual([refused.rule, refused.approvalId], ['approvals/eyes', undefined]);
  const named = await host(context, { principal: 'ann' });
  assert.match(refusal(named.call('refund')).approvalId ?? '', /^apr-/u);
});

it('what cannot be shown to anybody cannot be approved', async (context) => {
  const { call } = await host(context);
  for (const args of ['{"a":\n1}', '{"a":1,"a":2}', `{"a":"${'x'.repeat(300_000)}"}`]) {
    const { rule, approvalId } = refusal(call('delete_file', args));
    assert.equal(approvalId, undefined);
    assert.ok(rule === 'approvals/deletes' || rule === 'ambiguous', rule);
  }
});

it('messages that two readers read differently do not leave', async (context) => {
  const { line } = await host(context);
  for (const params of [
    '{"name":"get_weather","name":"delete_file","arguments":{}}',
    '{"name":"get_weather","arguments":{},"arguments":{}}',
    '{"name":"get_\\u0000weather","arguments":{}}',
    `{"name":"${'a'.repeat(257)}","arguments":{}}`,
    '{"arguments":{}}',
    '{"name":7,"arguments":{}}',
  ])
    assert.equal(
      refusal(line(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`)).rule,
      'ambiguous',
    );
});

it('a secret does not go out, nor what was not looked at', async (context) => {
  const { call } = await host(context);
  const key = `AKIA${'IOSFODNN7EXAMPLE'.slice(0, 16)}`;
  const refused = refusal(
    call('http_post', JSON.stringify({ body: `key ${key}`, url: 'https://a.example/' })),
  );
  assert.deepEqual([refused.rule, refused.reason], ['deny/no-secret-out', 'Secrets stay inside.']);
  assert.equal(
    refusal(call('http_post', JSON.stringify({ body: 'x'.repeat(100_000) }))).rule,
    'deny/no-secret-out',
  );
  assert.notEqual(call('http_post', '{"body":"hello"}').forward, undefined);
});

it('of a batch what is refused stays, the rest leaves byte for byte', async (context) => {
  const { line } = await host(context);
  const kept =
    '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"get_weather","arguments":{ "a" : 1 }}}';
  const gone =
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"delete_file","arguments":{}}}';
  const { forward, answers } = line(`[${gone},${kept}]`);
  assert.equal(Buffer.from(forward ?? []).toString(), `[${kept}]`);
  assert.equal((JSON.parse(answers[0] ?? '') as unknown[]).length, 1);
});

it('a line that cannot be read does not reach a server that might read it', async (context) => {
  const { line } = await host(context);
  for (const text of [
    '{"method":"tools/call","params":{"name":"x",}}',
    'tools/call',
    '[1,2',
    '{',
    '"x"',
    '7',
    '[{"method":"ping"},7]',
  ]) {
    const { forward, answers } = line(text);
    assert.equal(forward, undefined, text);
    assert.match(answers[0] ?? '', /-32700|-32090/u);
  }
  assert.notEqual(line(' ').forward, undefined);
  const shadow = await host(context, { policy: POLICY.replace('enforce', 'shadow') });
  assert.notEqual(shadow.line('{').forward, undefined);
});
