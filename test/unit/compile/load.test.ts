import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadRules, type LoadOptions } from '../../../detectors/compile/load.ts';
import { readBuiltinRules, sha256Hex } from '../../../services/detect/rules.ts';

const FILES = readBuiltinRules();
const SHIPPED = FILES.map((file) => ({ ...file, isShipped: true }));

test('shipped rules are the same rules when their tests are left out and their patterns are not tried', () => {
  const whole = loadRules(FILES, { sha256Hex });
  const quick = loadRules(SHIPPED, { sha256Hex });
  assert.deepEqual(quick.faults, []);
  assert.deepEqual(
    quick.rules.map(({ id, hash, steps }) => [id, hash, steps.length]),
    whole.rules.map(({ id, hash, steps }) => [id, hash, steps.length]),
  );
  assert.ok(quick.rules.every(({ tests }) => tests.length === 0));
});

const RULE = `id: t.rule
title: T
level: low
key: session
lists: { words: [ab+c] }
events:
  a: { args_text|re: $words }
sequence: [a]
tests:
  - { name: hit, events: [{ e: a, t: 0s, set: { args: abc } }], expect: [0] }
# told apart from what follows
- { name: as deep as its list }
---
id: t.other
title: T
level: low
key: session
events: { a: { tool.name: x } }
sequence: [a]
`;

const load = (text: string, options: Partial<LoadOptions> = {}) =>
  loadRules([{ path: 'r', text, isShipped: true }], { sha256Hex, ...options });

test('only tests are left out of a shipped file', () => {
  assert.deepEqual(
    load(RULE).rules.map(({ id }) => id),
    ['t.rule', 't.other'],
  );
});

test('a shipped rule takes patterns of the operator only when they compile', () => {
  const lists = { words: ['a(b'] };
  const { rules, faults } = load(RULE.replace(/^- .*\n/m, ''), { lists });
  assert.deepEqual(
    rules.map(({ id }) => id),
    ['t.other'],
  );
  assert.equal(faults.length, 1);
  assert.match(faults[0]?.message ?? '', /cannot take a\(b/);
  assert.equal(faults[0]?.line, 7);
});

test("an operator's exception from a shipped rule is refused where its pattern does not compile", () => {
  const exceptions = [
    {
      rule: 't.rule',
      name: 'e',
      when: { 'args_text|re': 'a(b' },
      owner: 'o',
      reason: 'r',
      expires: '2030-01-01T00:00:00Z',
    },
  ];
  const { rules, faults } = load(RULE.replace(/^- .*\n/m, ''), { exceptions });
  assert.equal(rules.length, 2);
  assert.match(faults[0]?.message ?? '', /cannot take a\(b/);
});

test('a fault of a shipped file stands at its line of the whole file', () => {
  const { faults } = load(`${RULE}unknown: 1\n`.replace(/^- .*\n/m, ''));
  assert.equal(faults[0]?.line, 13);
});
