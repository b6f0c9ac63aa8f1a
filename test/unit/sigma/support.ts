/** Sigma rules in YAML and what the importer makes of them. */
import assert from 'node:assert/strict';
import { importSigma, type SigmaImport } from '../../../detectors/sigma/import.ts';
import { parseCondition, type Scalar } from '../../../detectors/compile/predicate.ts';
import { zRule } from '../../../schemas/rule/v1.ts';

export type Selection = Readonly<Record<string, Scalar | readonly Scalar[]>>;

export function imported(text: string): SigmaImport {
  return importSigma([{ path: 'rules.yml', text }]);
}

/** The only rule of a file, which must fit the schema and whose conditions must be ones. */
export function onlyRule(text: string): Readonly<Record<string, unknown>> {
  const { rules, refusals } = imported(text);
  assert.deepEqual(refusals, []);
  assert.equal(rules.length, 1);
  const [rule] = rules;
  checkRule(rule);
  return rule ?? {};
}

/** The schema takes the rule, and every line of its selections is a condition. */
export function checkRule(rule: unknown): void {
  const parsed = zRule.safeParse(rule);
  assert.deepEqual(parsed.error?.issues ?? [], []);
  for (const selection of Object.values(parsed.data?.events ?? {})) {
    for (const map of Array.isArray(selection) ? selection : [selection]) {
      for (const [name, values] of Object.entries(map))
        assert.equal(parseCondition(name, values, new Map()).kind, 'condition', name);
    }
  }
}

/** A rule about calls with this detection (YAML, indented by two). */
export const eventRule = (detection: string, more = ''): string => `title: A rule
logsource: { product: mcp, category: tool_call }
${more}detection:
${detection.replaceAll(/^(?=.)/gm, '  ')}
`;

/** The selection that a detection becomes. */
export const selectionOf = (detection: string): unknown =>
  (onlyRule(eventRule(detection))['events'] as { readonly selection: unknown }).selection;

/** The selection of one search: `condition: s`. */
export const searchOf = (search: string): unknown => selectionOf(`s: ${search}\ncondition: s`);
