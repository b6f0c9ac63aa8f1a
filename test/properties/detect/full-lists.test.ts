/**
 * Rules whose runs differ by what they compare, with lists that are full: as long as nothing is told to be given up, they
 * tell what the same rules tell whose lists never fill. An alert that is told is never another one.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadRules } from '../../../detectors/compile/load.ts';
import type { CompiledRule } from '../../../detectors/compile/rule.ts';
import type { Finding } from '../../../detectors/engine/finding.ts';
import { StageOne, type SourceRecord, type StageOneSnapshot } from '../../../services/detect/step.ts';
import { recordFrom, toldBy } from './records.ts';
import { BASE_MS, seeded, settingsFor, sha256Hex, type Random } from './streams.ts';

const pick = <T>(random: Random, from: readonly T[]): T => from[random(from.length)] as T;

interface RuleText {
  readonly body: string;
  readonly join: string;
  readonly results: boolean;
}

const RULES: readonly RuleText[] = [
  { body: 'sequence: [a, b]', join: 'a.args.k != b.args.k', results: false },
  { body: 'sequence: [a, b, c]', join: 'a.args.k != b.args.k, a.args.k != c.args.k', results: false },
  { body: 'sequence: [a, b]', join: 'a.args.k < b.args.k', results: false },
  { body: 'sequence: [a, b, c]', join: 'a.args.k >= c.args.k', results: false },
  { body: 'sequence: [a, b, c]', join: 'a.args.k <= c.args.k, b.args.k != c.args.k', results: false },
  { body: 'sequence: [a, b, c]', join: 'a.args.j == b.args.j, a.args.k != c.args.k', results: false },
  { body: 'sequence: [a, { event: b, within: 2s }]', join: 'a.args.k == b.args.k', results: false },
  { body: 'sequence: [a, { event: b, within: 3s }, c]', join: 'a.args.k > c.args.k', results: false },
  { body: 'all_of: [a, b, c]', join: 'a.args.k != b.args.k', results: false },
  { body: 'sequence: [a, r]', join: '', results: true },
  { body: 'sequence: [a, b, r]', join: 'a.args.j == r.args.j', results: true },
];

function ruleOf({ body, join, results }: RuleText, policy: string, runs: number): CompiledRule {
  const events = results
    ? '{ a: { tool.name: [a, b] }, b: { tool.name: b }, r: { event.kind: call.result } }'
    : '{ a: { tool.name: a }, b: { tool.name: [a, b] }, c: { tool.name: [b, c] } }';
  const used = ['a', 'b', 'c', 'r'].filter((name) =>
    new RegExp(`\\b${name}\\b`).test(body.replace('event: ', '')),
  );
  const text = `id: r.full
title: T
level: low
key: session
events: { ${events
    .slice(2, -2)
    .split(/, (?=[abcr]: )/)
    .filter((each) => used.includes(each[0] ?? ''))
    .join(', ')} }
${body}
within: 20s
${join === '' ? '' : `join: [${join}]\n`}after_match: ${policy}
limits: { runs_per_key: ${runs} }
`;
  const { rules, faults } = loadRules([{ path: 'r', text }], { sha256Hex });
  assert.deepEqual(faults, [], text);
  return rules[0] as CompiledRule;
}

function randomRecords(random: Random): SourceRecord[] {
  const records: SourceRecord[] = [];
  const open: { writer: string; tool: string; args: Record<string, string> }[] = [];
  let appendMs = BASE_MS;
  for (let n = 0; n < 120; n++) {
    appendMs += random(2_000);
    const lateMs = random(5) === 0 ? random(4_000) : 0;
    const at = { timeMs: appendMs - lateMs, appendMs, session: 's' };
    const ended = random(3) === 0 ? open.splice(random(open.length), 1)[0] : undefined;
    if (ended !== undefined) {
      const spec = { ...ended, ...at, seq: 1, call: ended.writer, kind: 'call.result' as const };
      records.push(recordFrom(spec, { offset: n }));
      continue;
    }
    const args = { k: String(random(6)), j: String(random(2)) };
    const call = { writer: `w${n}`, tool: pick(random, ['a', 'a', 'b', 'c']), args };
    open.push(call);
    records.push(recordFrom({ ...call, ...at, call: call.writer }, { offset: n }));
  }
  return records;
}

/** Alerts, each with the ids of its calls, and whether something was given up. */
function run(
  rule: CompiledRule,
  records: readonly SourceRecord[],
  restarts?: Random,
): { readonly alerts: readonly string[]; readonly degraded: boolean } {
  const settings = settingsFor([rule]);
  let stage = new StageOne(settings);
  const found: Finding[] = [];
  for (const record of records) {
    if (restarts?.(30) === 0)
      stage = new StageOne(settings, JSON.parse(JSON.stringify(stage.snapshot())) as StageOneSnapshot);
    stage.process(record);
    found.push(...stage.takeFindings());
  }
  stage.finish();
  found.push(...stage.takeFindings());
  const degraded = found.some((each) => each.kind === 'degraded' && each.reason === 'prefixes_evicted');
  return { alerts: toldBy(found.filter(({ kind }) => kind === 'match')).toSorted(), degraded };
}

test('a full list gives up what others cover, and tells when it had to give up more', () => {
  const random = seeded(31);
  const seen = { whole: 0, alerts: 0, degraded: 0, lost: 0 };
  for (let n = 0; n < 88; n++) {
    const text = RULES[n % RULES.length] as RuleText;
    const runs = pick(random, [2, 3, 4, 6]);
    const records = randomRecords(random);
    // Thinned alerts hang on each other; without thinning one is lost only where its runs are.
    const unlimited = run(ruleOf(text, 'every', 4_096), records);
    const rule = ruleOf(text, 'every', runs);
    const limited = run(rule, records);
    const where = JSON.stringify({ n, text, runs });
    assert.equal(unlimited.degraded, false, where);
    if (!limited.degraded) {
      assert.deepEqual(limited.alerts, unlimited.alerts, where);
      seen.whole++;
    } else seen.degraded++;
    const all = new Set(unlimited.alerts.map(completing));
    for (const alert of limited.alerts) assert.ok(all.has(completing(alert)), where);
    seen.lost += unlimited.alerts.length - limited.alerts.length;
    seen.alerts += unlimited.alerts.length;
    assert.deepEqual(run(rule, records, random), limited, `restarted: ${where}`);
  }
  console.log(JSON.stringify(seen));
  assert.ok(seen.whole > 15 && seen.degraded > 20 && seen.alerts > 1_500);
});

/** Its last call: what is lost by event time may still be told by append time. */
const completing = (alert: string): string => alert.split(' ').at(-1) ?? '';
