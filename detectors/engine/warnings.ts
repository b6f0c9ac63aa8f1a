/** What is allowed in a rule and yet most likely not meant, or dearer than it needs to be. */
import { hasLiteral } from '../compile/literal.ts';
import type { Condition } from '../compile/predicate.ts';
import type { CompiledRule, Selection } from '../compile/rule.ts';
import { durationWords } from '../compile/words.ts';
import { heardSelections, takesCalls } from './cost.ts';

export interface RuleWarning {
  readonly code:
    | 'facts_of_every_class'
    | 'every_on_noisy'
    | 'long_window_with_joins'
    | 'pattern_without_literal'
    | 'high_without_action'
    | 'no_tests'
    | 'no_firing_test'
    | 'no_silent_test';
  readonly message: string;
  readonly hint: string;
}

const LONG_WINDOW_MS = 7 * 86_400_000;

/** Whether one map holds a call to a class, a tool or a server. */
function isHeld(conditions: readonly Condition[]): boolean {
  return conditions.some(
    ({ field, operator, negated }) =>
      !negated &&
      ['eq', 'startswith', 'endswith', 'contains'].includes(operator) &&
      ['tool.class', 'tool.name', 'server', 'tool.server'].includes(field),
  );
}

function isUnbounded(selection: Selection): boolean {
  return takesCalls(selection) && !selection.maps.every(isHeld);
}

function factsWarnings(rule: CompiledRule): RuleWarning[] {
  if (rule.scope === 'session') return [];
  return heardSelections(rule)
    .filter(isUnbounded)
    .map(({ name }) => ({
      code: 'facts_of_every_class',
      message: `${name} names no class, tool or server: calls of every class are asked, and those that fit cross the facts topic`,
      hint: 'write tool.class or tool.name, or key the rule by session',
    }));
}

/** A measure fires at every event while its threshold holds; a lone step at every event that fits. */
function noiseWarnings(rule: CompiledRule): RuleWarning[] {
  const isNoisy = rule.body === 'any_of' || (rule.steps.length === 1 && rule.guards.length === 0);
  if (rule.afterMatch.kind !== 'every' || !isNoisy) return [];
  const what = rule.body === 'any_of' ? 'while its measure holds' : 'that fits its one step';
  const hint = 'write after_match: { once_per: key, for: 1h }';
  return [{ code: 'every_on_noisy', message: `it alerts at every event ${what}`, hint }];
}

function windowWarnings(rule: CompiledRule): RuleWarning[] {
  const compares = rule.steps.some(({ joins }) => joins.length > 0);
  if (!compares || rule.withinMs <= LONG_WINDOW_MS) return [];
  const message = `a window of ${durationWords(rule.withinMs)} with joins: each key keeps up to ${rule.runsPerKey} runs a state for so long`;
  return [{ code: 'long_window_with_joins', message, hint: 'shorten within, or give the steps gaps' }];
}

function patternWarnings(rule: CompiledRule): RuleWarning[] {
  const patterns = heardSelections(rule).flatMap(({ name, maps }) =>
    maps.flat().flatMap(({ field, operator, values }) => {
      const [base] = operator.split('|');
      const bare = base === 're' ? values.filter((value) => !hasLiteral(String(value))) : [];
      return bare.map((value) => ({ name, field, value: String(value) }));
    }),
  );
  return patterns.map(({ name, field, value }) => ({
    code: 'pattern_without_literal',
    message: `${name}: ${field}|re ${value} holds no text of three characters that must be there`,
    hint: 'every value is run through the automaton: add plain text, or another condition that most events fail',
  }));
}

function actionWarnings(rule: CompiledRule): RuleWarning[] {
  if (rule.action !== undefined || (rule.level !== 'high' && rule.level !== 'critical')) return [];
  const message = `level ${rule.level} without an action: in mode enforce it stops nothing`;
  return [
    { code: 'high_without_action', message, hint: 'write action: { type: kill, scope: session, ttl: 1h }' },
  ];
}

function testWarnings(rule: CompiledRule): RuleWarning[] {
  const hint = 'a rule ships with sequences on which it fires and on which it is silent';
  if (rule.tests.length === 0) return [{ code: 'no_tests', message: 'it has no test', hint }];
  const firing = rule.tests.some(({ expect }) => expect.length > 0);
  const silent = rule.tests.some(({ expect }) => expect.length === 0);
  return [
    ...(firing ? [] : [{ code: 'no_firing_test', message: 'no test of it fires', hint } as const]),
    ...(silent ? [] : [{ code: 'no_silent_test', message: 'no test of it is silent', hint } as const]),
  ];
}

export function ruleWarnings(rule: CompiledRule): RuleWarning[] {
  return [
    ...factsWarnings(rule),
    ...noiseWarnings(rule),
    ...windowWarnings(rule),
    ...patternWarnings(rule),
    ...actionWarnings(rule),
    ...testWarnings(rule),
  ];
}
