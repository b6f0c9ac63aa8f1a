/** What a rule is said to cost and what is warned of; expectations by hand. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { loadRules, type LoadedRules } from '../../../detectors/compile/load.ts';
import type { CompiledRule } from '../../../detectors/compile/rule.ts';
import { ruleCost } from '../../../detectors/engine/cost.ts';
import { ruleWarnings } from '../../../detectors/engine/warnings.ts';

const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const load = (head: string, body: string): LoadedRules =>
  loadRules(
    [
      {
        path: 'r',
        text: `id: t.rule
title: T
${head}
events:
  a: { tool.class: search }
  b: { tool.class: [external_post], dest.host|exists: true }
  n: { tool.name: n }
  any: { dest.host|exists: true }
  r: { args.q|re: "\\\\w+" }
  approval: { event.kind: approval, approval.verdict: granted }
${body}
`,
      },
    ],
    { sha256Hex },
  );
function sound(head: string, body: string): CompiledRule {
  const { rules, faults } = load(head, body);
  assert.deepEqual(faults, []);
  return rules[0] as CompiledRule;
}
const SESSION = 'level: low\nkey: session';
const AGENT = 'level: low\nkey: agent';
const TESTS =
  'tests: [{ name: f, events: [{ e: a, t: 0s }], expect: [0] }, { name: s, events: [{ e: n, t: 0s }], expect: [] }]';
const codes = (rule: CompiledRule): string[] => ruleWarnings(rule).map(({ code }) => code);

test('the state of a rule is the least that its parts allow', () => {
  const kind = (body: string): unknown => {
    const { state } = ruleCost(sound(SESSION, body));
    return state;
  };
  assert.deepEqual(kind('sequence: [a, b]\nwithin: 1m'), { kind: 'shared_row', perState: 1 });
  assert.deepEqual(kind('all_of: [a, b]\nwithin: 1m'), { kind: 'latest_start', perState: 1, ring: 64 });
  assert.deepEqual(
    kind('sequence: [a, b]\nwithin: 1m\njoin: [a.args.x == b.args.x]\nlimits: { runs_per_key: 9 }'),
    {
      kind: 'run_list',
      perState: 9,
      ring: 64,
    },
  );
  assert.deepEqual(kind('sequence: [a]\nwithout: [{ event: n, before: a, for: 1m }]'), {
    kind: 'guarded_list',
    events: 1024,
  });
  assert.deepEqual(kind('any_of: [{ count: a, within: 1m, gte: 3 }]'), {
    kind: 'counters',
    measures: 1,
    samples: 4096,
  });
});

test('selections are found by class, by a value, or by their tests', () => {
  const { selections, stage, facts } = ruleCost(sound(SESSION, 'sequence: [a, b, n]\nwithin: 1m'));
  assert.deepEqual([stage, facts], [1, null]);
  assert.deepEqual(
    selections.map(({ name, lookup, tests, classes }) => [name, lookup, tests, classes]),
    [
      ['a', { by: 'class' }, 0, ['search']],
      ['b', { by: 'test' }, 1, ['external_post']],
      ['n', { by: 'field', field: 'tool.name' }, 1, null],
    ],
  );
});

test('a rule that joins sessions says what crosses the facts topic', () => {
  const rule = sound(
    AGENT,
    'sequence: [a, b]\nwithin: 1m\njoin: [a.session != b.session]\nwithout: [{ event: approval, before: b, for: 1m }]\nflow: [{ from: a.result, to: b.args }]',
  );
  const { stage, facts } = ruleCost(rule);
  assert.equal(stage, 2);
  assert.deepEqual(facts?.kinds.toSorted(), ['approval', 'call.intent', 'call.result']);
  assert.deepEqual(facts?.classes, ['search', 'external_post']);
  assert.deepEqual(facts?.fields['a']?.toSorted(), ['agent', 'session']);
  assert.deepEqual(facts?.fields['approval'], ['agent']);
  assert.deepEqual(Object.keys(facts?.fingerprints ?? {}), ['a', 'b']);
});

test('what is hardly meant is warned of', () => {
  assert.deepEqual(codes(sound(SESSION, `sequence: [a, any]\nwithin: 1m\n${TESTS}`)), []);
  assert.deepEqual(codes(sound(AGENT, `sequence: [a, any]\nwithin: 1m\n${TESTS}`)), ['facts_of_every_class']);
  assert.deepEqual(codes(sound(AGENT, `sequence: [a, n]\nwithin: 1m\n${TESTS}`)), []);
  assert.deepEqual(codes(sound(SESSION, `sequence: [a]\n${TESTS}`)), ['every_on_noisy']);
  assert.deepEqual(
    codes(sound(SESSION, `sequence: [a]\nafter_match: { once_per: key, for: 1h }\n${TESTS}`)),
    [],
  );
  assert.deepEqual(codes(sound(SESSION, `sequence: [a, r]\nwithin: 1m\n${TESTS}`)), [
    'pattern_without_literal',
  ]);
  assert.deepEqual(
    codes(sound(SESSION, `sequence: [a, b]\nwithin: 8d\njoin: [a.args.x == b.args.x]\n${TESTS}`)),
    ['long_window_with_joins'],
  );
  assert.deepEqual(codes(sound('level: high\nkey: session', 'sequence: [a, b]\nwithin: 1m')), [
    'high_without_action',
    'no_tests',
  ]);
});

test('a count that no key can reach is a fault; the most that one keeps is not', () => {
  const faults = (threshold: string): string[] =>
    load(SESSION, `any_of: [{ count: a, within: 1m, ${threshold} }]`).faults.map(
      ({ at, message }) => `${at}: ${message}`,
    );
  assert.deepEqual(faults('gte: 4096'), []);
  assert.deepEqual(faults('gte: 4097'), [
    'any_of[0].gte: gte 4097 can never be reached: a key keeps 4096 events',
  ]);
  assert.equal(faults('gt: 4096').length, 1);
  assert.equal(faults('lt: 5000').length, 0);
  assert.equal(load(SESSION, 'any_of: [{ sum: args.n, event: a, within: 1m, gte: 5000 }]').faults.length, 0);
});
