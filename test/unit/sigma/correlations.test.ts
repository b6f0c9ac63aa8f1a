/** Correlation rules of every type of the 2.1 specification. Expected rules are written by hand. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkRule, imported, onlyRule } from './support.ts';

const base = (name: string, detection: string): string => `title: Base ${name}
name: ${name}
logsource: { product: mcp }
detection:
  s: ${detection}
  condition: s
---
`;
const READ = base('read', '{ tool.class: secret_read }');
const POST = base('post', '{ tool.class: external_post }');
const SEARCH = base('search', '{ tool.class: search }');
const correlation = (body: string): string => `title: Together
correlation:
${body.replaceAll(/^(?=.)/gm, '  ')}
`;

/** What the correlation says beside metadata. */
function bodyOf(text: string): unknown {
  const { id, title, description, level, ...body } = onlyRule(text);
  assert.equal(id, 'sigma.together');
  assert.equal(title, 'Together');
  assert.equal(description, 'Sigma rule without id.');
  assert.equal(level, 'medium');
  return body;
}

describe('temporal_ordered', () => {
  it('is a sequence', () => {
    const text = `${READ}${POST}${correlation(
      'type: temporal_ordered\nrules: [read, post]\ngroup-by: [session]\ntimespan: 10m',
    )}`;
    assert.deepEqual(bodyOf(text), {
      key: { session: 'session' },
      events: { read: { 'tool.class': 'secret_read' }, post: { 'tool.class': 'external_post' } },
      sequence: ['read', 'post'],
      within: '10m',
    });
  });
  it('joins by aliases, and by nothing but the tenant without group-by', () => {
    const aliases = `type: temporal_ordered
rules: [read, post]
group-by: [path, User]
timespan: 2w
aliases:
  path: { read: args.file, post: args.attachment }
`;
    const body = bodyOf(`${READ}${POST}${correlation(aliases)}`) as { key: unknown; within: unknown };
    assert.deepEqual(body.key, { path: { read: 'args.file', post: 'args.attachment' }, User: 'principal' });
    assert.equal(body.within, '14d');
    const open = bodyOf(
      `${READ}${POST}${correlation('type: temporal_ordered\nrules: [read, post]\ntimespan: 1h')}`,
    ) as { key: unknown };
    assert.equal(open.key, 'tenant');
  });
});

describe('temporal', () => {
  const three = `${READ}${POST}${SEARCH}`;
  const of = (condition: string): string =>
    three +
    correlation(`type: temporal\nrules: [read, post, search]\ngroup-by: [agent]\ntimespan: 5m\n${condition}`);
  const bodies = (text: string): unknown[] => {
    const { rules, refusals } = imported(text);
    assert.deepEqual(refusals, []);
    for (const rule of rules) checkRule(rule);
    return rules.map((rule) => [rule['id'], rule['all_of'] ?? rule['sequence']]);
  };
  it('is a set of events', () => {
    assert.deepEqual(
      bodyOf(
        `${READ}${POST}${correlation('type: temporal\nrules: [post, read]\ngroup-by: [agent]\ntimespan: 90s')}`,
      ),
      {
        key: { agent: 'agent' },
        events: { post: { 'tool.class': 'external_post' }, read: { 'tool.class': 'secret_read' } },
        all_of: ['post', 'read'],
        within: '90s',
      },
    );
  });
  it('with all of its rules as the threshold is the same set', () => {
    const whole = [['sigma.together', ['read', 'post', 'search']]];
    for (const condition of ['', 'condition: { gte: 3 }', 'condition: { gt: 2 }', 'condition: { eq: 3 }'])
      assert.deepEqual(bodies(of(condition)), whole, condition);
    assert.deepEqual(bodies(of('condition: read AND post AND search')), whole);
  });
  it('with a lower threshold is a rule for every pair', () => {
    assert.deepEqual(bodies(of('condition: { gte: 2 }')), [
      ['sigma.together.1', ['read', 'post']],
      ['sigma.together.2', ['read', 'search']],
      ['sigma.together.3', ['post', 'search']],
    ]);
  });
  it('with an expression is a rule for every way to satisfy it', () => {
    assert.deepEqual(bodies(of('condition: (search or post) and read')), [
      ['sigma.together.1', ['read', 'search']],
      ['sigma.together.2', ['read', 'post']],
    ]);
    assert.deepEqual(bodies(of('condition: read or (read and post)')), [['sigma.together', ['read']]]);
  });
});

describe('statistics', () => {
  const of = (body: string): string =>
    `${READ}${correlation(`rules: [read]\ngroup-by: [agent]\ntimespan: 5m\n${body}`)}`;
  const cases: readonly (readonly [body: string, expected: unknown])[] = [
    ['type: event_count\ncondition: { gte: 10 }', { count: 'read', within: '5m', gte: 10 }],
    ['type: event_count\ncondition: { gt: 3, lte: 9 }', { count: 'read', within: '5m', gt: 3, lte: 9 }],
    ['type: event_count\ncondition: { neq: 4 }', { count: 'read', within: '5m', neq: 4 }],
    [
      'type: value_count\ncondition: { field: args.path, lt: 3 }',
      { distinct: 'args.path', event: 'read', within: '5m', lt: 3 },
    ],
    [
      'type: value_sum\ncondition: { field: args_bytes, gt: 1.5 }',
      { sum: 'args_bytes', event: 'read', within: '5m', gt: 1.5 },
    ],
    [
      'type: value_avg\ncondition: { field: args_bytes, eq: 7 }',
      { avg: 'args_bytes', event: 'read', within: '5m', eq: 7 },
    ],
    [
      'type: value_percentile\ncondition: { field: args_bytes, percentile: 95, gte: 1000 }',
      { percentile: 'args_bytes', p: 95, event: 'read', within: '5m', gte: 1000 },
    ],
  ];
  for (const [body, statistic] of cases)
    it(`${body.replace('\n', ', ')} is a measure`, () => {
      assert.deepEqual(bodyOf(of(body)), {
        key: { agent: 'agent' },
        events: { read: { 'tool.class': 'secret_read' } },
        any_of: [statistic],
      });
    });
  it('over several rules count the events of all of them', () => {
    const body =
      'type: event_count\nrules: [read, post]\ntimespan: 1h\ngroup-by: [who]\ncondition: { gte: 2 }\n';
    const aliases = 'aliases: { who: { read: args.user, post: args.user } }';
    assert.deepEqual(bodyOf(`${READ}${POST}${correlation(body + aliases)}`), {
      key: { who: { events: 'args.user' } },
      events: { events: [{ 'tool.class': 'secret_read' }, { 'tool.class': 'external_post' }] },
      any_of: [{ count: 'events', within: '1h', gte: 2 }],
    });
  });
});

describe('references', () => {
  const count = (more = ''): string =>
    correlation(`type: event_count\nrules: [read]\ntimespan: 1h\ncondition: { gte: 2 }\n${more}`);
  const ids = (text: string): unknown[] => imported(text).rules.map((rule) => rule['id']);
  it('make a rule serve the correlation only, unless generate says otherwise', () => {
    assert.deepEqual(ids(READ + count()), ['sigma.together']);
    assert.deepEqual(ids(READ + count('generate: true')), ['sigma.read', 'sigma.together']);
    assert.deepEqual(ids(READ + POST + count()), ['sigma.post', 'sigma.together']);
  });
  it('by id and into other files are found', async () => {
    const { importSigma } = await import('../../../detectors/sigma/import.ts');
    const outcome = importSigma([
      { path: 'a.yml', text: count().replace('[read]', '[0c1d2e3f-0000-4000-8000-000000000001]') },
      { path: 'b.yml', text: READ.replace('name: read', 'id: 0c1d2e3f-0000-4000-8000-000000000001') },
    ]);
    assert.deepEqual(outcome.refusals, []);
    assert.equal(outcome.rules.length, 1);
  });
});

describe('a correlation over a correlation', () => {
  it('looks at its alerts, and both are imported', () => {
    const inner = correlation(
      'type: event_count\nrules: [read]\ngroup-by: [session]\ntimespan: 5m\ncondition: { gte: 3 }',
    ).replace('Together', 'Many reads\nname: many_reads');
    const outer = correlation(
      'type: temporal_ordered\nrules: [many_reads, post]\ngroup-by: [session]\ntimespan: 1h',
    );
    const { rules, refusals } = imported(`${READ}${POST}${inner}---\n${outer}`);
    assert.deepEqual(refusals, []);
    for (const rule of rules) checkRule(rule);
    assert.deepEqual(
      rules.map((rule) => [rule['id'], rule['events']]),
      [
        ['sigma.many_reads', { read: { 'tool.class': 'secret_read' } }],
        [
          'sigma.together',
          {
            many_reads: { 'alert.rule': 'sigma.many_reads' },
            post: { 'tool.class': 'external_post' },
          },
        ],
      ],
    );
  });
});

describe('imported rules', () => {
  it('load, and fire on what they describe', async () => {
    const { loadRules } = await import('../../../detectors/compile/load.ts');
    const { runRuleTests } = await import('../../../detectors/engine/rule-tests.ts');
    const { stringify } = await import('yaml');
    const { createHash } = await import('node:crypto');
    const kinds = [
      'type: temporal_ordered\nrules: [read, post]\ngroup-by: [session]\ntimespan: 10m',
      'type: temporal\nrules: [post, read]\ngroup-by: [session]\ntimespan: 10m',
      'type: event_count\nrules: [read, post]\ngroup-by: [session]\ntimespan: 10m\ncondition: { gte: 2 }',
    ];
    const events = (names: readonly string[]): unknown[] => names.map((e, at) => ({ e, t: `${at * 60}s` }));
    const tests = [
      [{ name: 'hit', events: events(['read', 'post']), expect: [1] }],
      [{ name: 'hit', events: events(['read', 'post']), expect: [1] }],
      [{ name: 'hit', events: events(['events', 'events']), expect: [1] }],
    ];
    for (const [position, body] of kinds.entries()) {
      const rule = { ...onlyRule(`${READ}${POST}${correlation(body)}`), tests: tests[position] };
      const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
      const { rules, faults } = loadRules([{ path: 'x.yaml', text: stringify(rule) }], { sha256Hex });
      assert.deepEqual(faults, []);
      const [compiled] = rules;
      assert.ok(compiled !== undefined);
      for (const result of runRuleTests(compiled)) assert.ok(result.passed, JSON.stringify(result));
    }
  });
});
