/** The shipped rules: each runs its own tests, and each brings what an operator and an analyst need. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadRules } from '../../../detectors/compile/load.ts';
import type { CompiledRule } from '../../../detectors/compile/rule.ts';
import { runRuleTests } from '../../../detectors/engine/rule-tests.ts';
import { durationMs, type RuleTest } from '../../../schemas/rule/v1.ts';

/** Rules that are shipped, at least: who removes one says so here. */
const SHIPPED_RULES = 86;

const root = fileURLToPath(new URL('../../../detectors/rules', import.meta.url));
const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('rule.yaml'))
  .toSorted()
  .map((name) => ({ path: name, text: readFileSync(join(root, name), 'utf8') }));
const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const { rules, faults } = loadRules(files, { sha256Hex });

test('the shipped rules are found and have no faults', () => {
  assert.deepEqual(faults, []);
  assert.ok(rules.length >= SHIPPED_RULES, `${rules.length} rules, ${SHIPPED_RULES} are shipped`);
  assert.equal(rules.length, files.length, 'one rule a folder');
  assert.equal(new Set(rules.map((rule) => rule.id)).size, rules.length, 'ids are unique');
});

/** Characters; a shorter description gives no reason. */
const MIN_DESCRIPTION = 80;

interface Made {
  readonly e: string;
  readonly timeMs: number;
}

/** The events of a test in order of time; undefined where one is not made from a selection. */
function madeFrom(of: RuleTest): readonly Made[] | undefined {
  const made = of.events.flatMap((event) =>
    'e' in event ? [{ e: event.e, timeMs: durationMs(event.t) ?? 0 }] : [],
  );
  return made.length === of.events.length ? made.toSorted((a, b) => a.timeMs - b.timeMs) : undefined;
}

const silentOf = (rule: CompiledRule): readonly (readonly Made[])[] =>
  rule.tests.flatMap((each) => {
    const made = each.expect.length === 0 ? madeFrom(each) : undefined;
    return made === undefined ? [] : [made];
  });

/** Selections of the steps that every match has. */
const needed = (rule: CompiledRule): readonly string[] =>
  rule.steps.filter((step) => !step.optional).map((step) => step.selection.name);

function holdsAll(rule: CompiledRule, events: readonly Made[]): boolean {
  const left = events.map(({ e }) => e);
  return needed(rule).every((name) => {
    const at = left.indexOf(name);
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  });
}

function inOrder(rule: CompiledRule, events: readonly Made[]): boolean {
  const names = needed(rule);
  let at = 0;
  for (const { e } of events) if (e === names[at]) at++;
  return at === names.length;
}

/** The events lie further apart than some window of the rule allows. */
function overruns(rule: CompiledRule, events: readonly Made[]): boolean {
  const times = events.map(({ timeMs }) => timeMs);
  const limits = [rule.withinMs, ...rule.steps.map((step) => step.gapMs)].filter(Number.isFinite);
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
  const whole = (times.at(-1) ?? 0) - (times[0] ?? 0);
  return whole > rule.withinMs || gaps.some((gap) => limits.some((limit) => gap > limit));
}

/** What no silent test of a chain shows. */
function lacking(rule: CompiledRule): string[] {
  const silent = silentOf(rule);
  const whole = silent.filter((events) => holdsAll(rule, events));
  // Steps that say the same have no order of their own, and any two events hold them all.
  const sameEvent = new Set(rule.steps.map((step) => step.selection.hash)).size === 1;
  const lacks: string[] = [];
  if (!silent.some((events) => !holdsAll(rule, events)) && !sameEvent) lacks.push('a step missing');
  if (!whole.some((events) => overruns(rule, events))) lacks.push('a window just missed');
  if (rule.body === 'sequence' && !sameEvent && !whole.some((events) => !inOrder(rule, events)))
    lacks.push('the steps in another order');
  return lacks;
}

for (const rule of rules) {
  test(`${rule.id} says why it is there, where to read on, and when it is wrong`, () => {
    assert.ok(rule.description.length >= MIN_DESCRIPTION, 'a description that gives the reason');
    assert.ok(rule.references.length > 0, 'references');
    for (const url of rule.references) assert.match(url, /^https:\/\/[a-z0-9.-]+\/\S*$/);
    assert.ok(rule.falsePositives.length > 0, 'false positives');
    assert.ok(rule.tags.length > 0, 'tags');
    // Ids are checked when the rule is compiled.
    assert.ok(
      rule.tags.some((tag) => tag.includes('.')),
      'at least one id of a public taxonomy',
    );
  });
  test(`${rule.id} brings at least one firing and one silent test`, () => {
    assert.ok(rule.tests.some((t) => t.expect.length > 0));
    assert.ok(rule.tests.some((t) => t.expect.length === 0));
    assert.equal(new Set(rule.tests.map(({ name }) => name)).size, rule.tests.length, 'names are unique');
  });
  if (rule.body !== 'any_of' && needed(rule).length > 1) {
    test(`${rule.id} is silent without a step, in another order, and past its window`, () => {
      assert.deepEqual(lacking(rule), []);
    });
    test(`${rule.id} is tried with another session or agent in between`, () => {
      const isOther = (event: RuleTest['events'][number]): boolean =>
        event.session !== undefined || event.agent !== undefined;
      assert.ok(rule.tests.some((each) => each.events.some(isOther)));
    });
  }
  for (const result of runRuleTests(rule)) {
    test(`${rule.id}: ${result.name}`, () => {
      assert.deepEqual(result.actual, result.expected);
    });
  }
}
