/** The catalogue of the shipped rules as Markdown: what an operator reads before putting one in force. */
import { LEVELS } from '../../schemas/alert/v1.ts';
import { loadRules, type RuleFile } from '../compile/load.ts';
import type { CompileOptions } from '../compile/compile.ts';
import type { CompiledRule, Statistic } from '../compile/rule.ts';

/** What a family looks for, by the name of its folder. */
const FAMILIES: Readonly<Record<string, string>> = {
  correlation: 'Rules on alerts of other rules: signals that make each other likely',
  'denial-of-wallet': 'Loops, bursts, storms of errors, floods of results: what burns money or capacity',
  destructive: 'Deletions, overwriting, payments and publications that nobody approved',
  drift: 'An agent leaves its own past: signals for hunting and for rules on alerts',
  evasion: 'Gaps in the record, refusals that are worked around, controls that are lost',
  exfiltration: 'Data that was read leaves: chains and value flows from a source to a sink',
  injection: 'Untrusted content turns into action',
  privilege: 'Borders of environments, principals, approvals and permissions are crossed',
  registry: 'What servers say of their tools changes, conceals, shadows or understates',
  relay: 'Content or orders pass from one agent or session to another',
  secrets: 'Secrets are looked for, read, stored or carried to where they do not belong',
};

const UNITS: readonly (readonly [ms: number, unit: string])[] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'm'],
  [1_000, 's'],
];

function duration(ms: number): string {
  const [size, unit] = UNITS.find(([each]) => ms >= each && ms % each === 0) ?? [1, 'ms'];
  return `${ms / size}${unit}`;
}

const unique = (texts: readonly string[]): string[] => [...new Set(texts)];
const familyOf = (rule: CompiledRule): string => rule.path.split('/')[0] ?? '';
const cell = (text: string): string => text.replaceAll('|', '\\|').replace(/\s+/g, ' ').trim();

function ofMeasure({ plan }: Statistic): string {
  if (plan.kind === 'drift' || plan.kind === 'novel_ngram') return `the key's past, from ${plan.warmup} on`;
  if (plan.kind === 'rate') return `${duration(plan.withinMs)} against ${duration(plan.baselineMs)}`;
  return duration(plan.withinMs);
}

function windowOf(rule: CompiledRule): string {
  if (rule.body === 'any_of') return unique(rule.statistics.map(ofMeasure)).join(', ');
  const around = rule.guards.flatMap((guard) =>
    'forMs' in guard ? [`${duration(guard.forMs)} ${guard.kind}`] : [],
  );
  const gaps = rule.steps.flatMap((step) =>
    Number.isFinite(step.gapMs) ? [`${step.name} within ${duration(step.gapMs)}`] : [],
  );
  const whole = rule.steps.length > 1 ? [duration(rule.withinMs)] : [];
  const all = unique([...whole, ...gaps, ...around]);
  return all.length === 0 ? 'one event' : all.join(', ');
}

function actionOf({ action }: CompiledRule): string {
  return action === undefined ? 'alert' : `kill ${action.scope} for ${duration(action.ttlMs)}`;
}

function testsOf({ tests }: CompiledRule): string {
  const firing = tests.filter((test) => test.expect.length > 0).length;
  return `${tests.length} (${firing} firing, ${tests.length - firing} silent)`;
}

const row = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [row(head), row(head.map(() => '---')), ...rows.map(row)].join('\n');

function overview(families: readonly string[], rules: readonly CompiledRule[]): string {
  const counts = (name: string, of: readonly CompiledRule[], what: string): string[] => [
    name,
    String(of.length),
    ...LEVELS.toReversed().map((level) => String(of.filter((rule) => rule.level === level).length)),
    String(of.reduce((sum, rule) => sum + rule.tests.length, 0)),
    what,
  ];
  const rows = families.map((family) => {
    const own = rules.filter((rule) => familyOf(rule) === family);
    return counts(`[${family}](#${family})`, own, FAMILIES[family] ?? '');
  });
  return table(
    ['family', 'rules', ...LEVELS.toReversed(), 'tests', 'looks for'],
    [...rows, counts('all', rules, '')],
  );
}

function section(rule: CompiledRule): string {
  const facts = [
    `**Level** ${rule.level}`,
    `**mode** ${rule.mode}`,
    `**status** ${rule.status}`,
    `**scope** ${rule.scope}`,
    `**window** ${windowOf(rule)}`,
    `**action in mode enforce** ${actionOf(rule)}`,
    `**tests** ${testsOf(rule)}`,
  ].join(' · ');
  return [
    `### ${rule.id}`,
    `**${rule.title.trim()}**`,
    rule.description.trim(),
    facts,
    `Tags: ${rule.tags.map((tag) => `\`${tag}\``).join(' ')}`,
    `False positives:\n\n${rule.falsePositives.map((note) => `- ${note.trim()}`).join('\n')}`,
    `References: ${rule.references.map((url) => `<${url}>`).join(', ')}`,
    `Source: [${rule.path}](${rule.path})`,
  ].join('\n\n');
}

function familySection(family: string, rules: readonly CompiledRule[]): string {
  const own = rules.filter((rule) => familyOf(rule) === family);
  const rows = own.map((rule) => [
    `[${rule.id}](#${rule.id.replaceAll('.', '')})`,
    rule.title,
    rule.level,
    rule.scope,
    windowOf(rule),
    actionOf(rule),
  ]);
  const list = table(['rule', 'title', 'level', 'scope', 'window', 'action'], rows);
  return [`## ${family}`, FAMILIES[family] ?? '', list, ...own.map((rule) => section(rule))].join('\n\n');
}

/** Paths are relative to the folder of the rules. A rule with a fault is an error: nothing half is shown. */
export function catalogueOf(files: readonly RuleFile[], options: CompileOptions): string {
  const { rules, faults } = loadRules(files, options);
  const [fault] = faults;
  if (fault !== undefined) throw new Error(`${fault.path}:${fault.line} ${fault.at}: ${fault.message}`);
  const sorted = rules.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const families = unique(sorted.map((rule) => familyOf(rule))).toSorted();
  const parts = [
    '# Catalogue of the shipped rules',
    'Generated from the rule files by `npm run generate`. The form of a rule, and what it means, is in [README.md](README.md).',
    overview(families, sorted),
    ...families.map((family) => familySection(family, sorted)),
  ];
  return `${parts.join('\n\n')}\n`;
}
