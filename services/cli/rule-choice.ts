/** The rule that a command names: the id of a shipped one, or a file. */
import { loadRules, type LoadOptions, type RuleFile } from '../../detectors/compile/load.ts';
import type { CompiledRule } from '../../detectors/compile/rule.ts';
import { TriplineError } from '../../schemas/errors.ts';
import type { Config } from '../../schemas/config/v1.ts';
import { readBuiltinRules, readRuleFiles, sha256Hex } from '../detect/main.ts';

/** The rule, with the operator's lists. Throws usage where nothing has that name, rule_invalid with the first fault. */
export function chooseRule(name: string, config: Pick<Config, 'rules'>): CompiledRule {
  const options: LoadOptions = { sha256Hex, lists: config.rules.lists, exceptions: config.rules.exceptions };
  const shipped = readBuiltinRules().filter(({ text }) => text.includes(`id: ${name}`));
  const found = loadRules(shipped, options).rules.find(({ id }) => id === name);
  if (found !== undefined) return found;
  const { rules, faults } = loadRules(filesOf(name), options);
  const [rule] = rules;
  const [fault] = faults;
  if (fault !== undefined)
    throw new TriplineError('rule_invalid', `${fault.path}:${fault.line}: ${fault.message} (${fault.hint})`, {
      path: fault.at,
    });
  if (rule === undefined) throw new TriplineError('rule_invalid', `${name} holds no rule`);
  if (rules.length > 1)
    throw new TriplineError('usage', `${name} holds ${rules.length} rules; name a file with one`, {
      path: 'RULE',
    });
  return rule;
}

function filesOf(name: string): RuleFile[] {
  try {
    return readRuleFiles(name);
  } catch (cause) {
    throw new TriplineError('usage', `${name} is neither a shipped rule's id nor a file`, {
      path: 'RULE',
      cause,
    });
  }
}
