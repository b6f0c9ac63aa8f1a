/** rules test, match, new: detection rules on the command line. */
import type { CompiledRule } from '../../../detectors/compile/rule.ts';
import { loadRules, type LoadedRules } from '../../../detectors/compile/load.ts';
import { matchEvents, runRuleTests } from '../../../detectors/engine/rule-tests.ts';
import { TriplineError } from '../../../schemas/errors.ts';
import { readBuiltinRules, readRuleFiles, sha256Hex } from '../../detect/main.ts';
import type { CommandContext } from '../command.ts';
import { readEvents } from '../event-file.ts';
import { EXIT } from '../output.ts';

/** Runs the tests inside the rules; exit 1 when one fails, a file has faults, or a rule has no test. */
export async function testRules(context: CommandContext, files: readonly string[]): Promise<number> {
  const { rules, faults } = loadListed(context, files);
  let failed = 0;
  let ran = 0;
  for (const rule of rules) {
    const results = runRuleTests(rule);
    if (results.length === 0) failed += 1;
    if (results.length === 0)
      context.output.item(
        { rule: rule.id, passed: false, name: 'no test' },
        () => `FAIL  ${rule.id}: it has no test`,
      );
    for (const result of results) {
      ran += 1;
      if (!result.passed) failed += 1;
      const detail = result.passed
        ? ''
        : ` (expected ${JSON.stringify(result.expected)}, got ${JSON.stringify(result.actual)})`;
      context.output.item(
        { rule: rule.id, ...result },
        () => `${result.passed ? 'ok  ' : 'FAIL'}  ${rule.id}: ${result.name}${detail}`,
      );
    }
  }
  context.output.note(`${rules.length} rules, ${ran} tests, ${failed} failed, ${faults} faults in files`);
  return failed > 0 || faults > 0 || ran === 0 ? EXIT.failed : EXIT.done;
}

/** Loads the files and lists every fault. */
export function loadListed(
  context: CommandContext,
  files: readonly string[],
): { rules: readonly CompiledRule[]; faults: number } {
  const loaded = loadFiles(files);
  for (const fault of loaded.faults)
    context.output.item(
      { fault },
      () => `FAULT ${fault.path}:${fault.line}: ${fault.at}: ${fault.message} (${fault.hint})`,
    );
  return { rules: loaded.rules, faults: loaded.faults.length };
}

function loadFiles(files: readonly string[]): LoadedRules {
  try {
    const read = files.length === 0 ? readBuiltinRules() : files.flatMap((file) => readRuleFiles(file));
    return loadRules(read, { sha256Hex });
  } catch (cause) {
    throw new TriplineError('usage', `a rule file cannot be read: ${files.join(', ')}`, {
      path: 'FILE',
      cause,
    });
  }
}

/** Runs one rule over a file of events; prints `{"ids":[…]}` a match. */
export async function matchRule(
  context: CommandContext,
  ruleFile: string,
  eventsFile: string,
): Promise<void> {
  const { rules, faults } = loadFiles([ruleFile]);
  const [rule] = rules;
  const [fault] = faults;
  if (fault !== undefined)
    throw new TriplineError('rule_invalid', `${fault.path}:${fault.line}: ${fault.message}`, {
      path: fault.at,
    });
  if (rule === undefined) throw new TriplineError('rule_invalid', `${ruleFile} holds no rule`);
  for (const match of matchEvents(rule, readEvents(eventsFile)))
    context.output.item({ ids: match.ids }, () => match.ids.join(' → '));
}

/** Prints a rule to start from; its own tests pass. Throws usage for an id that rules may not have. */
export function newRule(context: CommandContext, id: string): void {
  const text = template(id);
  const { faults } = loadRules([{ path: 'new rule', text }], { sha256Hex });
  const [fault] = faults;
  if (fault !== undefined)
    throw new TriplineError('usage', `${id}: ${fault.message} (${fault.hint})`, { path: 'ID' });
  context.output.item({ id, yaml: text }, () => text.trimEnd());
}

const template = (id: string): string => `id: ${id}
title: Secret read, then a post to an outside host
level: medium
key: session
events:
  secret: { tool.class: secret_read }
  post: { tool.class: [external_post, message], dest.host|exists: true }
sequence: [secret, post]
within: 10m
after_match: { once_per: key, for: 1h }
tests:
  - name: hit
    events: [{ e: secret, t: 0s }, { e: post, t: 60s }]
    expect: [1]
  - name: window just missed
    events: [{ e: secret, t: 0s }, { e: post, t: 601s }]
    expect: []
  - name: wrong order
    events: [{ e: post, t: 0s }, { e: secret, t: 60s }]
    expect: []
`;
