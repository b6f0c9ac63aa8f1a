/** What a policy says of a call; every expected answer is worked out by hand from the file below. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
  decidePolicy,
  hiddenBy,
  matchesPattern,
  type PolicyQuestion,
} from '../../../schemas/policy/decide.ts';
import { zPolicy, type Policy } from '../../../schemas/policy/v1.ts';

const policy: Policy = zPolicy.parse({
  v: 1,
  id: 'p',
  version: 1,
  mode: 'enforce',
  allow: [
    { id: 'read', classes: ['search', 'web_read', 'file_read'] },
    {
      id: 'coder-prod',
      agents: ['coder-*'],
      environments: ['prod'],
      servers: ['git'],
      tools: ['push', 'tag_*'],
    },
    { id: 'ops', agents: ['ops'], classes: ['delete', 'external_post', 'admin'] },
    { id: 'prompts', tools: ['prompts/get'] },
  ],
  deny: [
    { id: 'no-secret-out', classes: ['external_post'], labels: ['secret'], reason: 'Secrets stay inside.' },
    { id: 'no-shadow-search', servers: ['shadow-*'] },
  ],
  hide: [{ id: 'triage', tasks: ['triage'], classes: ['delete', 'admin'] }],
  approvals: [{ id: 'irreversible', classes: ['delete'] }],
});

const ask = (over: Partial<PolicyQuestion>): PolicyQuestion => ({
  kind: 'call',
  agent: 'a',
  server: 's',
  tool: 't',
  class: 'other',
  ambiguous: false,
  labels: () => [],
  ...over,
});

const TABLE: readonly (readonly [string, Partial<PolicyQuestion>, string, string])[] = [
  ['a class that a line allows', { class: 'search' }, 'allow', 'allow/read'],
  ['nothing allows it', { class: 'payment' }, 'refuse', 'default'],
  [
    'all lists of a line match',
    { agent: 'coder-7', environment: 'prod', server: 'git', tool: 'push' },
    'allow',
    'allow/coder-prod',
  ],
  [
    'a pattern for tools',
    { agent: 'coder-7', environment: 'prod', server: 'git', tool: 'tag_v1' },
    'allow',
    'allow/coder-prod',
  ],
  [
    'another agent',
    { agent: 'xcoder-7', environment: 'prod', server: 'git', tool: 'push' },
    'refuse',
    'default',
  ],
  [
    'another environment',
    { agent: 'coder-7', environment: 'dev', server: 'git', tool: 'push' },
    'refuse',
    'default',
  ],
  ['a host without an environment', { agent: 'coder-7', server: 'git', tool: 'push' }, 'refuse', 'default'],
  [
    'another server',
    { agent: 'coder-7', environment: 'prod', server: 'gitx', tool: 'push' },
    'refuse',
    'default',
  ],
  [
    'a tool that only begins like it',
    { agent: 'coder-7', environment: 'prod', server: 'git', tool: 'pushy' },
    'refuse',
    'default',
  ],
  [
    'names are told apart by case',
    { agent: 'coder-7', environment: 'prod', server: 'git', tool: 'Push' },
    'refuse',
    'default',
  ],
  ['denied although allowed', { class: 'search', server: 'shadow-1' }, 'refuse', 'deny/no-shadow-search'],
  [
    'a label that is denied',
    { agent: 'ops', class: 'external_post', labels: () => ['secret'] },
    'refuse',
    'deny/no-secret-out',
  ],
  [
    'another label',
    { agent: 'ops', class: 'external_post', labels: () => ['internal'] },
    'allow',
    'allow/ops',
  ],
  ['needs an approval', { agent: 'ops', class: 'delete' }, 'approve', 'approvals/irreversible'],
  ['an approval allows nothing that no line allows', { agent: 'a', class: 'delete' }, 'refuse', 'default'],
  [
    'nobody approves reads',
    { agent: 'ops', class: 'delete', kind: 'read' },
    'refuse',
    'approvals/irreversible',
  ],
  ['a read by its method', { kind: 'read', tool: 'prompts/get' }, 'allow', 'allow/prompts'],
  [
    'hidden for the task, whoever may',
    { agent: 'ops', class: 'delete', task: 'triage' },
    'refuse',
    'hide/triage',
  ],
  ['not hidden for another task', { agent: 'ops', class: 'admin', task: 'cleanup' }, 'allow', 'allow/ops'],
  ['read differently by others', { class: 'search', ambiguous: true }, 'refuse', 'ambiguous'],
];
for (const [name, over, effect, rule] of TABLE)
  it(name, () => {
    const decision = decidePolicy(policy, ask(over));
    assert.deepEqual([decision.effect, decision.rule], [effect, rule]);
  });

it('labels are worked out only where a line that covers the call names some', () => {
  const labels = (): never => assert.fail('asked');
  assert.equal(decidePolicy(policy, ask({ class: 'search', labels })).effect, 'allow');
});

it('tools are hidden by a line, and where the policy says so all that no line allows', () => {
  assert.equal(hiddenBy(policy, ask({ class: 'delete', task: 'triage' })), 'hide/triage');
  assert.equal(hiddenBy(policy, ask({ class: 'payment' })), undefined);
  const strict = { ...policy, hideUnallowed: true };
  assert.equal(hiddenBy(strict, ask({ class: 'payment' })), 'default');
  assert.equal(hiddenBy(strict, ask({ class: 'search' })), undefined);
});

it('a star stands for any characters, everything else for itself', () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ['*', '', true],
    ['*', 'a.b/c', true],
    ['a*c', 'ac', true],
    ['a*c', 'abcbc', true],
    ['a*c', 'abcb', false],
    ['a*b*c', 'a-b-b-c', true],
    ['a.c', 'abc', false],
    ['a?', 'ab', false],
    ['[ab]', 'a', false],
    ['', '', true],
    ['**', 'x', true],
    ['a', 'a*', false],
  ];
  for (const [pattern, text, expected] of cases)
    assert.equal(matchesPattern(pattern, text), expected, `${pattern} ${text}`);
});

it('a pattern that backtracks is done in bounded time', () => {
  const fromMs = performance.now();
  assert.equal(matchesPattern(`${'*a'.repeat(100)}b`, 'a'.repeat(256)), false);
  assert.ok(performance.now() - fromMs < 500);
});
