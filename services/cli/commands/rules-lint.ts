/** rules lint: the faults of rule files, what each sound rule costs, and what in it is most likely not meant. */
import { flowSpec } from '../../../detectors/compile/flow-field.ts';
import type { CompiledRule } from '../../../detectors/compile/rule.ts';
import {
  ruleCost,
  takesCalls,
  type FactsCost,
  type RuleCost,
  type StateCost,
} from '../../../detectors/engine/cost.ts';
import { ruleWarnings, type RuleWarning } from '../../../detectors/engine/warnings.ts';
import type { CommandContext } from '../command.ts';
import { EXIT } from '../output.ts';
import { loadListed } from './rules.ts';

export interface LintOptions {
  /** Warnings fail too. */
  readonly strict: boolean;
}

/** Exit 1 where a file has a fault, none holds a rule, or (strict) a rule has a warning. */
export async function lintRules(
  context: CommandContext,
  files: readonly string[],
  { strict }: LintOptions,
): Promise<number> {
  const { rules, faults } = loadListed(context, files);
  let warned = 0;
  for (const rule of rules) {
    const cost = ruleCost(rule);
    const warnings = ruleWarnings(rule);
    warned += warnings.length;
    const { id, scope, mode } = rule;
    context.output.item({ rule: id, scope, mode, cost, warnings }, () => lintText(rule, cost, warnings));
  }
  context.output.note(`${rules.length} rules, ${faults} faults, ${warned} warnings`);
  return faults > 0 || rules.length === 0 || (strict && warned > 0) ? EXIT.failed : EXIT.done;
}

function lintText(rule: CompiledRule, cost: RuleCost, warnings: readonly RuleWarning[]): string {
  return [
    `ok    ${rule.id} (scope ${rule.scope}, ${rule.mode}, stage ${cost.stage === 1 ? 'one' : 'two'})`,
    ...cost.selections.map((selection) => `        ${selectionText(selection)}`),
    `        state: ${stateText(cost.state)}`,
    ...(cost.facts === null ? [] : factsLines(cost.facts).map((line) => `        ${line}`)),
    ...warnings.map(({ code, message, hint }) => `  WARN  ${message} (${hint}) [${code}]`),
  ].join('\n');
}

/** Only calls have a class. */
function kindsText(kinds: readonly string[], classes: readonly string[] | null): string {
  const text = kinds.join(', ');
  return takesCalls({ kinds }) ? `${text} of ${classes === null ? 'every class' : classes.join(', ')}` : text;
}

function selectionText({ name, lookup, tests, kinds, classes }: RuleCost['selections'][number]): string {
  const asked = kindsText(kinds, classes);
  switch (lookup.by) {
    case 'class':
      return `${name}: by kind and class alone (${asked})`;
    case 'field':
      return `${name}: by the value of ${lookup.field}, ${tests} tests (${asked})`;
    case 'test':
      return `${name}: ${tests} tests on each ${asked}`;
  }
}

function stateText(state: StateCost): string {
  switch (state.kind) {
    case 'shared_row':
      return 'a row that simple rules of this key share, the latest start a step';
    case 'latest_start':
      return `the latest start a step, and the newest ${state.ring} events for repair`;
    case 'run_list':
      return `up to ${state.perState} runs a step, and the newest ${state.ring} events for repair`;
    case 'guarded_list':
      return `up to ${state.events} events, decided when late ones had their time`;
    case 'counters':
      return `${state.measures} counters, each by event time and by append time, up to ${state.samples} events`;
  }
}

function factsLines(facts: FactsCost): string[] {
  const listed = (fields: Readonly<Record<string, readonly string[]>>): string =>
    Object.entries(fields)
      .map(([name, own]) => `${name}: ${own.map((field) => flowSpec(field)?.field ?? field).join(', ')}`)
      .join('; ') || 'none';
  return [
    `facts: ${kindsText(facts.kinds, facts.classes)}`,
    `  fields carried: ${listed(facts.fields)}`,
    `  fingerprints carried: ${listed(facts.fingerprints)}`,
  ];
}
