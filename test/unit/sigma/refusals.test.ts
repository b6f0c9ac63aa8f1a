/** What the importer refuses, with the place, the line and the reason. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { eventRule, imported } from './support.ts';

/** The only refusal of a file that gives no rule. */
function refusalOf(text: string): { readonly line: number; readonly what: string; readonly why: string } {
  const { rules, refusals } = imported(text);
  assert.deepEqual(rules, []);
  assert.equal(refusals.length, 1, JSON.stringify(refusals));
  const [refusal] = refusals;
  assert.equal(refusal?.path, 'rules.yml');
  return refusal ?? { line: 0, what: '', why: '' };
}

describe('a search', () => {
  const cases: readonly (readonly [search: string, why: RegExp])[] = [
    ['[evil, bad]', /keywords search the whole log line/],
    ["{ '|all': [a, b] }", /keywords search/],
    ['text', /keywords search/],
    ['{}', /is empty/],
    ['[]', /is empty/],
    ['{ CommandLine: x }', /no field CommandLine in an MCP call/],
    ['{ args: x }', /args is an object/],
    ['{ args.x: [] }', /lists no value/],
    ['{ args.x: { a: b } }', /takes texts/],
    ['{ args.x: [[a]] }', /takes texts/],
    ['{ args.x: .inf }', /takes texts/],
    ['{ args.x|base64offset|contains: x }', /modifier base64offset searches one encoding/],
    ['{ args.x|wide: x }', /modifier wide encodes values as bytes/],
    ['{ args.x|windash: x }', /modifier windash means the command lines of Windows/],
    ['{ args.x|expand: x }', /modifier expand needs placeholders/],
    ['{ args.x|hour: 3 }', /modifier hour reads the clock/],
    ['{ args.x|magic: x }', /no modifier magic/],
    ['{ args.x|contains|startswith: x }', /do not fit each other/],
    ['{ args.x|i: x }', /belong to re/],
    ['{ args.x|neq: [a, b] }', /any or none/],
    ['{ args.x|contains: null }', /null does not fit contains/],
    ['{ args.x|gt: many }', /compares numbers/],
    ['{ args.x|gt|all: [1, 2] }', /all does not fit gt/],
    ['{ args.x|exists: 1 }', /takes true or false/],
    ['{ args.x|exists: [true, false] }', /at once/],
    ['{ args.x|cidr: 10.0.0.1 }', /is none/],
    ["{ args.x|re: '(?<=a)b' }", /RE2/],
    ["{ args.x|re: '(a' }", /missing closing/],
    ["{ args.x|re: '$' }", /begins with \$/],
    ['{ args.x|re: 1 }', /takes texts/],
    ['{ server|fieldref: Image }', /no field Image/],
    [`{ args.x: ${'a'.repeat(1025)} }`, /longer than 1024/],
    [`{ args.x: 'a*${'b'.repeat(1024)}' }`, /longer than 1024/],
    [`{ args.${'y'.repeat(200)}: a }`, /too long a name/],
  ];
  for (const [search, why] of cases)
    it(`${search.slice(0, 60)} is refused`, () => {
      const refusal = refusalOf(eventRule(`s: ${search}\ncondition: s`));
      assert.match(refusal.why, why);
      assert.match(refusal.what, /^detection\.s/);
      assert.equal(refusal.line, 4);
    });
});

describe('a condition', () => {
  const cases: readonly (readonly [condition: string, why: RegExp])[] = [
    ['a | count() > 5', /write a correlation rule/],
    ['2 of a*', /not 2 of/],
    ['1 of c*', /finds nothing for c\*/],
    ['1 of', /misses what to take of/],
    ['a and c', /names c, which is not there/],
    ['a and', /ends where a name must stand/],
    ["''", /ends where a name/],
    ['(a', /misses a closing parenthesis/],
    ['a)', /does not go on with \)/],
    ['a b', /does not go on with b/],
    ['a & b', /cannot be read from & b/],
    [`${'('.repeat(65)}a${')'.repeat(65)}`, /nests deeper/],
    [`${'a or '.repeat(1000)}a`, /longer than/],
    ['7', /must be a condition/],
    ['[]', /must be a condition/],
  ];
  for (const [condition, why] of cases)
    it(`${condition.slice(0, 40)} is refused`, () => {
      const refusal = refusalOf(eventRule(`a: { server: x }\nb: { agent: y }\ncondition: ${condition}`));
      assert.match(refusal.why, why);
      assert.equal(refusal.what, 'detection.condition');
      assert.equal(refusal.line, 6);
    });
  it('of more than 64 alternatives is refused', () => {
    const search = (name: string): string =>
      `${name}:\n${Array.from({ length: 9 }, (_, index) => `  - { args.${name}: ${index} }\n`).join('')}`;
    const refusal = refusalOf(eventRule(`${search('a')}${search('b')}condition: a and b`));
    assert.match(refusal.why, /more than 64 alternatives/);
  });
  it('with a timeframe is refused', () => {
    const refusal = refusalOf(eventRule('a: { server: x }\ntimeframe: 5m\ncondition: a'));
    assert.deepEqual(refusal.what, 'detection.timeframe');
    assert.equal(refusal.line, 5);
  });
});

describe('a document', () => {
  const rule = eventRule('a: { server: x }\ncondition: a');
  it('about other logs is refused', () => {
    const logs = [
      '{ product: windows, category: process_creation }',
      '{ product: mcp, service: x }',
      '{ category: tool_call, product: linux }',
    ];
    for (const log of logs) {
      const refusal = refusalOf(rule.replace('{ product: mcp, category: tool_call }', log));
      assert.match(refusal.why, /no calls of MCP tools/);
      assert.deepEqual([refusal.what, refusal.line], ['logsource', 2]);
    }
    assert.match(refusalOf(rule.replace(/\{ product.*\}/, '{}')).why, /names no log/);
  });
  it('that is no rule is refused', () => {
    assert.match(refusalOf('- a\n- b\n').why, /no Sigma rule/);
    assert.match(refusalOf('').why, /holds no rule/);
    assert.match(refusalOf('a: [\n').why, /./);
    assert.match(refusalOf('title: x\ntitle: y\n').why, /unique/);
    assert.match(refusalOf('action: global\ntitle: x\n').why, /version 2/);
    assert.match(refusalOf(rule.replace('title: A rule', 'title: 7')).what, /^title$/);
    assert.match(refusalOf(`${rule}level: urgent\n`).what, /^level$/);
    assert.match(refusalOf(`${rule}status: unsupported\n`).why, /cannot be used/);
    assert.match(refusalOf(`${rule}taxonomy: ecs\n`).why, /follow ecs/);
    assert.match(refusalOf(rule.replace('A rule', "'***'")).why, /no letter/);
    assert.match(refusalOf('x'.repeat(1024 * 1024 + 1)).why, /1 MiB/);
  });
  it('full of aliases is refused, not expanded', () => {
    const bomb = 'a: &a [x, x, x, x, x, x, x, x, x, x]\n'.concat(
      ...Array.from('bcdefg', (name, index) => {
        const before = String.fromCodePoint('a'.codePointAt(0)! + index);
        return `${name}: &${name} [${Array.from({ length: 10 }, () => `*${before}`).join(', ')}]\n`;
      }),
    );
    assert.match(refusalOf(bomb).why, /cannot be read/);
  });
  it('with an id that another one became already is refused, the first stays', () => {
    const { rules, refusals } = imported(`${rule}---\n${rule}`);
    assert.equal(rules.length, 1);
    assert.match(refusals[0]?.why ?? '', /another rule became sigma\.a-rule/);
    assert.equal(refusals[0]?.line, 7);
  });
  it('leaves the other documents alone', () => {
    const { rules, refusals } = imported(
      `${rule}---\ntitle: broken\n---\n${rule.replace('A rule', 'Other')}`,
    );
    assert.equal(rules.length, 2);
    assert.ok(refusals.length > 0);
  });
});

describe('a correlation', () => {
  const member = (name: string): string =>
    `${eventRule('a: { server: x }\ncondition: a', `name: ${name}\n`).replace('A rule', name)}---\n`;
  const members = member('one') + member('two');
  const refusalFor = (body: string, before = members): { readonly what: string; readonly why: string } => {
    const text = `${before}title: Together\ncorrelation:\n${body.replaceAll(/^(?=.)/gm, '  ')}\n`;
    const { rules, refusals } = imported(text);
    assert.ok(!rules.some(({ id }) => id === 'sigma.together'));
    const told = refusals.filter(({ what }) => what.startsWith('correlation'));
    assert.equal(told.length, 1, JSON.stringify(refusals));
    return told[0] ?? { what: '', why: '' };
  };
  const TEMPORAL = 'type: temporal\nrules: [one, two]\ntimespan: 5m\n';
  const cases: readonly (readonly [body: string, what: RegExp, why: RegExp])[] = [
    [
      'type: value_median\nrules: [one]\ntimespan: 5m\ncondition: { gte: 1, field: server }',
      /type/,
      /no correlation value_median/,
    ],
    ['type: event_count\nrules: [one]\ntimespan: 5m', /condition/, /threshold/],
    ['type: event_count\nrules: [one]\ntimespan: 5m\ncondition: {}', /condition/, /needs one of gt/],
    ['type: event_count\nrules: [one]\ntimespan: 5m\ncondition: { gte: many }', /condition\.gte/, /number/],
    [
      'type: event_count\nrules: [one]\ntimespan: 5m\ncondition: { gte: 1, field: server }',
      /condition\.field/,
      /no place/,
    ],
    ['type: event_count\nrules: [one]\ntimespan: 5m\ncondition: one', /condition/, /threshold/],
    ['type: value_count\nrules: [one]\ntimespan: 5m\ncondition: { gte: 1 }', /condition/, /needs the field/],
    [
      'type: value_count\nrules: [one]\ntimespan: 5m\ncondition: { gte: 1, field: [server, agent] }',
      /field/,
      /several fields/,
    ],
    [
      'type: value_count\nrules: [one]\ntimespan: 5m\ncondition: { gte: 1, field: Image }',
      /field/,
      /no field Image/,
    ],
    [
      'type: value_percentile\nrules: [one]\ntimespan: 5m\ncondition: { gte: 1, field: args.n }',
      /condition/,
      /percentile/,
    ],
    ['type: temporal\nrules: [one, two]\ntimespan: 5 min', /timespan/, /no number with/],
    ['type: temporal\nrules: [one, two]\ntimespan: 0s', /timespan/, /more than nothing/],
    ['type: temporal\nrules: [one, two]\ntimespan: 91d', /timespan/, /90 days/],
    ['type: temporal\nrules: [one, two]\ntimespan: 3M', /timespan/, /no number with/],
    ['type: temporal\nrules: [one, three]\ntimespan: 5m', /rules\.1/, /no rule three/],
    ['type: temporal\nrules: [one, one]\ntimespan: 5m', /rules/, /names one rule twice/],
    [`${TEMPORAL}condition: one and not two`, /condition/, /do not occur/],
    [`${TEMPORAL}condition: one and three`, /condition/, /names three/],
    [`${TEMPORAL}condition: { lt: 2 }`, /condition\.lt/, /do not occur/],
    [`${TEMPORAL}condition: { eq: 1 }`, /condition\.eq/, /do not occur/],
    [`${TEMPORAL}condition: { gte: 3 }`, /condition\.gte/, /cannot hold for 2/],
    [`${TEMPORAL}condition: { gte: 1.5 }`, /condition/, /whole number/],
    [`${TEMPORAL}condition: { gte: 2, field: server }`, /condition\.field/, /no place/],
    [`${TEMPORAL}group-by: [Image]`, /group-by/, /no field Image/],
    [`${TEMPORAL}group-by: [who]\naliases: { who: { one: agent } }`, /aliases\.who/, /no field for rule two/],
    [
      'type: event_count\nrules: [one, two]\ntimespan: 5m\ncondition: { gte: 1 }\ngroup-by: [who]\naliases: { who: { one: agent, two: server } }',
      /aliases\.who/,
      /different fields/,
    ],
    [`${TEMPORAL}window: sliding`, /correlation/, /window/],
  ];
  for (const [body, what, why] of cases)
    it(`${body.replaceAll('\n', ', ').slice(0, 100)} is refused`, () => {
      const refusal = refusalFor(body);
      assert.match(refusal.what, what);
      assert.match(refusal.why, why);
    });
  it('over rules that are refused says which and why', () => {
    const refusal = refusalFor(TEMPORAL, member('one') + member('two').replace('server: x', 'Image: x'));
    assert.match(refusal.why, /two is refused: detection\.a\.Image: there is no field Image/);
  });
  it('over a name that two rules have is refused', () => {
    const refusal = refusalFor(TEMPORAL, members + member('two'));
    assert.match(refusal.why, /two names several rules/);
  });
  it('over more rules than a set holds is refused', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    const refusal = refusalFor(
      `type: temporal\nrules: [${names.join(', ')}]\ntimespan: 5m`,
      names.map(member).join(''),
    );
    assert.match(refusal.why, /at most 6/);
  });
  const inner = (name: string, rules: string): string =>
    `title: ${name}\nname: ${name}\ncorrelation:\n  type: temporal_ordered\n  rules: [${rules}]\n  timespan: 5m\n---\n`;
  it('over alerts asks for what alerts carry', () => {
    const refusal = refusalFor(
      'type: temporal_ordered\nrules: [chain, two]\ntimespan: 5m\ngroup-by: [args.path]',
      members + inner('chain', 'one, two'),
    );
    assert.match(refusal.why, /alerts of chain carry session, .*, not args\.path/);
  });
  it('over itself, directly or through another one, is refused', () => {
    const { rules, refusals } = imported(members + inner('c', 'one, d') + inner('d', 'two, c'));
    assert.deepEqual(rules, []);
    assert.equal(refusals.length, 2);
    for (const { why } of refusals) assert.match(why, /chains more than 3 correlations/);
  });
});
