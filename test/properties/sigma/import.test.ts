/** The importer answers with rules and refusals whatever it is given, and multiplies conditions out without a change. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { stringify } from 'yaml';
import type { FieldSource } from '../../../detectors/compile/fields.ts';
import { conditionTest, parseCondition } from '../../../detectors/compile/predicate.ts';
import { importSigma } from '../../../detectors/sigma/import.ts';
import { checkRule, eventRule, selectionOf, type Selection } from '../../unit/sigma/support.ts';

const SEED_FILE = `title: One
name: one
id: 0c1d2e3f-0000-4000-8000-000000000001
tags: [attack.t1567, x.y]
logsource: { product: mcp, category: tool_call }
detection:
  a: { tool.name|contains|all: [x, 'y*z'], args.n|gte: 5 }
  b:
    - { args.ip|cidr: 10.0.0.0/8, args.x|re: '^a+$' }
    - { args.y: null, user.name: ['*', b] }
  condition: (1 of a* or not all of b) and not (a and b)
---
title: Two
name: two
logsource: { product: mcp }
detection: { s: { server: x }, condition: s }
---
title: Together
correlation:
  type: temporal
  rules: [one, two]
  group-by: [who, session]
  timespan: 5m
  aliases: { who: { one: agent, two: args.agent } }
  condition: one and two
  generate: true
---
title: Count
correlation: { type: value_percentile, rules: [one], timespan: 1h, condition: { field: args_bytes, percentile: 9, gt: 4 } }
`;

/** A file with pieces cut out, doubled and put in. */
const zMutations = fc.array(
  fc.record({
    at: fc.nat(SEED_FILE.length),
    length: fc.nat(24),
    insert: fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.constantFrom(
        '\n',
        ': ',
        '- ',
        '{',
        '}',
        '[',
        ']',
        '|not',
        '*a',
        '&a ',
        "'",
        '"',
        '---\n',
        'null',
        '1e999',
        '<<',
        '__proto__: ',
      ),
      fc.nat(SEED_FILE.length).map((from) => SEED_FILE.slice(from, from + 16)),
    ),
  }),
  { minLength: 1, maxLength: 4 },
);

describe('importSigma', () => {
  it('throws nothing on mutated files, and what it imports fits the schema', () => {
    let rulesSeen = 0;
    let refusalsSeen = 0;
    fc.assert(
      fc.property(zMutations, (mutations) => {
        let text = SEED_FILE;
        for (const { at, length, insert } of mutations)
          text = text.slice(0, at) + insert + text.slice(at + length);
        const { rules, refusals } = importSigma([{ path: 'x.yml', text }]);
        for (const rule of rules) checkRule(rule);
        for (const refusal of refusals) {
          assert.ok(refusal.line >= 1 && refusal.line <= text.split('\n').length, String(refusal.line));
          assert.notEqual(refusal.what, '');
          assert.notEqual(refusal.why, '');
        }
        rulesSeen += rules.length;
        refusalsSeen += refusals.length;
      }),
      { numRuns: 1_500 },
    );
    assert.ok(rulesSeen > 100 && refusalsSeen > 100, 'it looked at both outcomes');
  });
  it('throws nothing on whatever data stands where a rule should', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), fc.jsonValue({ maxDepth: 3 }), (detection, correlation) => {
        const logsource = { product: 'mcp' };
        const text = [
          { title: 'x', logsource, detection },
          { title: 'y', logsource, detection: { s: detection, condition: 's' } },
          { title: 'z', correlation },
        ].map((value) => stringify(value));
        importSigma([{ path: 'x.yml', text: text.join('---\n') }]);
      }),
      { numRuns: 500 },
    );
  });
});

/** A condition over selections a, b, c, as text and as what it says. */
interface Formula {
  readonly text: string;
  readonly holds: (truth: Readonly<Record<string, boolean>>) => boolean;
}
const { formula } = fc.letrec<{ formula: Formula }>((tie) => ({
  formula: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc
      .constantFrom('a', 'b', 'c')
      .map((name): Formula => ({ text: name, holds: (truth) => truth[name] === true })),
    tie('formula').map((part): Formula => ({
      text: `not ${part.text}`,
      holds: (truth) => !part.holds(truth),
    })),
    fc.tuple(tie('formula'), tie('formula')).map(([left, right]): Formula => ({
      text: `(${left.text} and ${right.text})`,
      holds: (truth) => left.holds(truth) && right.holds(truth),
    })),
    fc.tuple(tie('formula'), tie('formula')).map(([left, right]): Formula => ({
      text: `(${left.text} or ${right.text})`,
      holds: (truth) => left.holds(truth) || right.holds(truth),
    })),
  ),
}));

function fits(selection: Selection, args: object): boolean {
  const source: FieldSource = { event: { args }, toolClass: 'other', destHost: () => '' };
  return Object.entries(selection).every(([name, values]) => {
    const outcome = parseCondition(name, values, new Map());
    return outcome.kind === 'condition' && conditionTest(outcome.condition)(source);
  });
}

describe('conditions', () => {
  it('say the same once they are multiplied out', () => {
    const searches = `a: { args.x|contains: [p, q] }
b:
  - { args.x|contains: [q, r], args.y: 1 }
  - { args.y: null }
c: { args.x|contains|all: [p, r] }
`;
    const zArgs = fc.record(
      { x: fc.constantFrom('', 'p', 'q', 'r', 'pq', 'pr', 'qr', 'pqr'), y: fc.constantFrom(1, 2, '1') },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(formula, zArgs, ({ text, holds }, args) => {
        const has = (part: string): boolean => args.x?.includes(part) ?? false;
        const isOne = args.y !== undefined && String(args.y) === '1';
        const truth = {
          a: has('p') || has('q'),
          b: ((has('q') || has('r')) && isOne) || args.y === undefined,
          c: has('p') && has('r'),
        };
        const { rules } = importSigma([{ path: 'x.yml', text: eventRule(`${searches}condition: ${text}`) }]);
        // More than 64 alternatives are refused.
        if (rules.length === 0) return;
        const selection = selectionOf(`${searches}condition: ${text}`) as Selection | readonly Selection[];
        const maps = Array.isArray(selection) ? (selection as Selection[]) : [selection as Selection];
        assert.equal(
          maps.some((map) => fits(map, args)),
          holds(truth),
          text,
        );
      }),
      { numRuns: 2_000 },
    );
  });
});
