import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadRules } from '../../../detectors/compile/load.ts';
import { runRuleTests } from '../../../detectors/engine/rule-tests.ts';

const root = fileURLToPath(new URL('../../../detectors/rules', import.meta.url));
const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('rule.yaml'))
  .toSorted()
  .map((name) => ({ path: name, text: readFileSync(join(root, name), 'utf8') }));
const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const { rules, faults } = loadRules(files, { sha256Hex });

test('the shipped rules are found and have no faults', () => {
  assert.ok(files.length >= 4, `found ${files.length} rule files`);
  assert.deepEqual(faults, []);
  assert.equal(rules.length >= files.length, true);
});

for (const rule of rules) {
  test(`${rule.id} brings at least one firing and one silent test`, () => {
    assert.ok(rule.tests.some((t) => t.expect.length > 0));
    assert.ok(rule.tests.some((t) => t.expect.length === 0));
  });
  for (const result of runRuleTests(rule)) {
    test(`${rule.id}: ${result.name}`, () => {
      assert.deepEqual(result.actual, result.expected);
    });
  }
}
