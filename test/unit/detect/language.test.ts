import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { loadRules } from '../../../detectors/compile/load.ts';
import { alertBody } from '../../../detectors/engine/alert.ts';
import type { AlertBody } from '../../../schemas/alert/v1.ts';
import { runRuleTests } from '../../../detectors/engine/rule-tests.ts';
import type { Finding } from '../../../detectors/engine/finding.ts';
import { settingsFor } from '../../properties/detect/streams.ts';
import { StageOne, type SourceRecord } from '../../../services/detect/step.ts';
import { StageTwo } from '../../../services/detect/merge.ts';
import { FORMAT_EVENTS, HEADERS, TOPICS } from '../../../schemas/topics.ts';

const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

const HEAD = `id: t.rule
title: T
level: low
key: session
events:
  a: { tool.name: a }
  b: { tool.name: b }
  c: { tool.name: c }
  x: { tool.name: x }
`;

const load = (text: string): ReturnType<typeof loadRules> => loadRules([{ path: 'r', text }], { sha256Hex });

/** Parts of the language, each with what fires and what does not, worked out by hand. */
const PARTS: Readonly<Record<string, string>> = {
  'an optional step bridges two gaps, and nothing else': `
sequence: [a, { event: b, within: 10s, optional: true }, { event: c, within: 10s }]
within: 1m
tests:
  - { name: without it, events: [{ e: a, t: 0s }, { e: c, t: 10s }], expect: [1] }
  - { name: bridged, events: [{ e: a, t: 0s }, { e: b, t: 10s }, { e: c, t: 20s }], expect: [2] }
  - { name: gap too wide, events: [{ e: a, t: 0s }, { e: c, t: 11s }], expect: [] }
  - { name: bridge too late, events: [{ e: a, t: 0s }, { e: b, t: 11s }, { e: c, t: 12s }], expect: [] }
`,
  'a step is repeated as often as it says, each time by another call': `
sequence: [{ event: a, repeat: { min: 3 } }, b]
within: 1m
tests:
  - { name: three, events: [{ e: a, t: 0s }, { e: a, t: 1s }, { e: a, t: 2s }, { e: b, t: 3s }], expect: [3] }
  - { name: two, events: [{ e: a, t: 0s }, { e: a, t: 1s }, { e: b, t: 3s }], expect: [] }
  - { name: one after, events: [{ e: a, t: 0s }, { e: a, t: 1s }, { e: b, t: 3s }, { e: a, t: 4s }], expect: [] }
  - { name: window, events: [{ e: a, t: 0s }, { e: a, t: 1s }, { e: a, t: 2s }, { e: b, t: 61s }], expect: [] }
`,
  'repeated up to max, steps bridge gaps': `
sequence: [a, { event: b, within: 5s, repeat: { min: 1, max: 3 } }, { event: c, within: 5s }]
within: 1m
tests:
  - { name: one, events: [{ e: a, t: 0s }, { e: b, t: 5s }, { e: c, t: 10s }], expect: [2] }
  - name: three
    events: [{ e: a, t: 0s }, { e: b, t: 5s }, { e: b, t: 10s }, { e: b, t: 15s }, { e: c, t: 20s }]
    expect: [4]
  - name: four would be needed
    events: [{ e: a, t: 0s }, { e: b, t: 5s }, { e: b, t: 10s }, { e: b, t: 15s }, { e: b, t: 20s }, { e: c, t: 25s }]
    expect: []
`,
  'a set holds in any order, each member by a call of its own': `
all_of: [a, b, c]
within: 10s
tests:
  - { name: forwards, events: [{ e: a, t: 0s }, { e: b, t: 1s }, { e: c, t: 2s }], expect: [2] }
  - { name: backwards, events: [{ e: c, t: 0s }, { e: b, t: 1s }, { e: a, t: 10s }], expect: [2] }
  - { name: one missing, events: [{ e: c, t: 0s }, { e: c, t: 1s }, { e: a, t: 2s }], expect: [] }
  - { name: window, events: [{ e: c, t: 0s }, { e: b, t: 1s }, { e: a, t: 11s }], expect: [] }
  - { name: the newest counts, events: [{ e: c, t: 0s }, { e: b, t: 1s }, { e: c, t: 5s }, { e: a, t: 11s }], expect: [3] }
`,
  'until ends every run that has begun, and takes neither its first nor its last call': `
sequence: [a, b, c]
within: 1m
until: x
tests:
  - { name: none, events: [{ e: a, t: 0s }, { e: b, t: 1s }, { e: c, t: 2s }], expect: [2] }
  - { name: inside, events: [{ e: a, t: 0s }, { e: x, t: 1s }, { e: b, t: 2s }, { e: c, t: 3s }], expect: [] }
  - { name: begun again, events: [{ e: a, t: 0s }, { e: x, t: 1s }, { e: a, t: 2s }, { e: b, t: 3s }, { e: c, t: 4s }], expect: [4] }
  - { name: before and after, events: [{ e: x, t: 0s }, { e: a, t: 1s }, { e: b, t: 2s }, { e: c, t: 3s }, { e: x, t: 4s }], expect: [3] }
`,
  'a clock that stands two months back does not hide a chain from a rule with guards': `
sequence: [a, b, c]
within: 1m
without: [{ event: x, between: [a, c] }]
tests:
  - name: back-dated
    events: [{ e: a, t: 0s, arrives: 5184000s }, { e: b, t: 5s, arrives: 5184006s }, { e: c, t: 9s, arrives: 5184012s }]
    expect: [2]
  - name: back-dated, and guarded
    events: [{ e: a, t: 0s, arrives: 5184000s }, { e: b, t: 5s, arrives: 5184006s }, { e: x, t: 6s, arrives: 5184007s }, { e: c, t: 9s, arrives: 5184012s }]
    expect: []
`,
  'joins compare numbers as numbers': `
sequence: [a, b]
within: 1m
join: [a.args.n < b.args.n]
tests:
  - { name: more, events: [{ e: a, t: 0s, set: { args.n: 9 } }, { e: b, t: 1s, set: { args.n: 10 } }], expect: [1] }
  - { name: less, events: [{ e: a, t: 0s, set: { args.n: 10 } }, { e: b, t: 1s, set: { args.n: 9 } }], expect: [] }
  - { name: equal, events: [{ e: a, t: 0s, set: { args.n: 9 } }, { e: b, t: 1s, set: { args.n: 9 } }], expect: [] }
  - { name: no number, events: [{ e: a, t: 0s, set: { args.n: 1 } }, { e: b, t: 1s, set: { args.n: many } }], expect: [] }
  - name: an earlier call fits though a later one does not
    events: [{ e: a, t: 0s, set: { args.n: 1 } }, { e: a, t: 1s, set: { args.n: 50 } }, { e: b, t: 2s, set: { args.n: 9 } }]
    expect: [2]
`,
  'one event twice, the second by another name': `
sequence: [a, { event: b, as: first }, { event: b, as: second }]
within: 1m
join: [first.args.to != second.args.to]
tests:
  - { name: differ, events: [{ e: a, t: 0s }, { e: b, t: 1s, set: { args.to: p } }, { e: b, t: 2s, set: { args.to: q } }], expect: [2] }
  - { name: same, events: [{ e: a, t: 0s }, { e: b, t: 1s, set: { args.to: p } }, { e: b, t: 2s, set: { args.to: p } }], expect: [] }
`,
  'skip_past_last tells runs that do not overlap': `
sequence: [a, b]
within: 1m
after_match: skip_past_last
tests:
  - { name: once, events: [{ e: a, t: 0s }, { e: b, t: 1s }, { e: b, t: 2s }, { e: b, t: 3s }], expect: [1] }
  - { name: again, events: [{ e: a, t: 0s }, { e: b, t: 1s }, { e: b, t: 2s }, { e: a, t: 3s }, { e: b, t: 4s }], expect: [1, 4] }
`,
  'a count holds with every event of its window': `
any_of: [{ count: a, within: 10s, gte: 3 }]
tests:
  - { name: three, events: [{ e: a, t: 0s }, { e: a, t: 5s }, { e: a, t: 10s }], expect: [2] }
  - { name: window, events: [{ e: a, t: 0s }, { e: a, t: 5s }, { e: a, t: 11s }], expect: [] }
  - { name: others, events: [{ e: a, t: 0s }, { e: b, t: 5s }, { e: a, t: 10s }], expect: [] }
  - { name: a late one, events: [{ e: a, t: 0s }, { e: a, t: 10s }, { e: a, t: 5s, arrives: 12s }], expect: [1] }
  - name: back-dated, they are many by the time that they came
    events: [{ e: a, t: 0s, arrives: 60s }, { e: a, t: 20s, arrives: 61s }, { e: a, t: 40s, arrives: 62s }]
    expect: [2]
`,
  'distinct values and sums': `
any_of:
  - { distinct: args.to, event: a, within: 1m, gte: 3 }
  - { sum: args.amount, event: b, within: 1m, gt: 100 }
tests:
  - { name: three, events: [{ e: a, t: 0s, set: { args.to: p } }, { e: a, t: 1s, set: { args.to: q } }, { e: a, t: 2s, set: { args.to: r } }], expect: [2] }
  - { name: two, events: [{ e: a, t: 0s, set: { args.to: p } }, { e: a, t: 1s, set: { args.to: q } }, { e: a, t: 2s, set: { args.to: q } }], expect: [] }
  - { name: sum, events: [{ e: b, t: 0s, set: { args.amount: 60 } }, { e: b, t: 1s, set: { args.amount: 41 } }], expect: [1] }
  - { name: not above, events: [{ e: b, t: 0s, set: { args.amount: 60 } }, { e: b, t: 1s, set: { args.amount: 40 } }], expect: [] }
`,
};

for (const [name, text] of Object.entries(PARTS)) {
  test(name, () => {
    const { rules, faults } = load(HEAD + text);
    assert.deepEqual(faults, []);
    const [rule] = rules;
    assert.ok(rule !== undefined);
    const results = runRuleTests(rule);
    assert.ok(results.length > 1);
    for (const { name: of, expected, actual } of results) assert.deepEqual(actual, expected, of);
  });
}

test('a selection may be a list: any of its maps holds', () => {
  const { rules, faults } = load(`id: t.any
title: T
level: low
key: session
events:
  either: [{ tool.class: payment }, { tool.name: x, args.to|exists: true }]
sequence: [either]
tests:
  - { name: class, events: [{ event: { tool: send_money, server: bank }, t: 0s }], expect: [0] }
  - { name: name, events: [{ event: { tool: x, args: { to: p } }, t: 0s }], expect: [0] }
  - { name: half, events: [{ event: { tool: x }, t: 0s }], expect: [] }
`);
  assert.deepEqual(faults, []);
  const [rule] = rules;
  assert.ok(rule !== undefined);
  for (const { name, expected, actual } of runRuleTests(rule)) assert.deepEqual(actual, expected, name);
});

const FAULTS: readonly (readonly [text: string, at: string, hint: RegExp])[] = [
  ['sequence: [a]\nall_of: [a, b]\nwithin: 1m', 'sequence', /README/],
  ['sequence: [{ event: a, optional: true }, b]\nwithin: 1m', 'sequence[0]', /never decides/],
  ['sequence: [a, b]', 'sequence', /within: 10m/],
  ['sequence: [a, a]\nwithin: 1m\njoin: [a.agent == a.agent]', 'join[0]', /as:/],
  ['sequence: [a, b]\nwithin: 1m\njoin: [a.agent ~ b.agent]', 'join[0]', /operators are/],
  ['sequence: [a, b]\nwithin: 1m\nflow: [{ from: b.result, to: a.args }]', 'flow[0]', /swap/],
  [
    'sequence: [a, b]\nwithin: 1m\nflow: [{ from: a.result, to: b.args, via: [rot13] }]',
    'flow[0].via',
    /base64/,
  ],
  ['any_of: [{ count: a, within: 1m }]', 'any_of[0]', /gte/],
  ['any_of: [{ rate: a, within: 1h, gt: 5 x baseline(1h) }]', 'any_of[0]', /reach back/],
  ['all_of: [a, b]\nwithin: 1m\nwithout: [{ event: c, between: [a, b] }]', 'without[0]', /until/],
  [
    'sequence: [a, { event: b, repeat: { min: 1, max: 2 } }, c]\nwithin: 1m\nwithout: [{ event: x, between: [b, c] }]',
    'without[0]',
    /min = max/,
  ],
  ['sequence: [a]\ntags: [atlas.AML.T9999]', 'tags[0]', /./],
];

for (const [text, at, hint] of FAULTS) {
  test(`fault at ${at}: ${text.split('\n').join('; ')}`, () => {
    const { rules, faults } = load(HEAD + text);
    assert.deepEqual(rules, []);
    const fault = faults.find((each) => each.at === at);
    assert.ok(fault !== undefined, JSON.stringify(faults));
    assert.ok(fault.line > 1 || at === 'sequence');
    assert.match(fault.hint, hint);
  });
}

let nextOffset = 0;
function recordOf(session: string, tool: string, appendMs: number, agent = 'g'): SourceRecord {
  const offset = nextOffset++;
  const stream = offset.toString(16).padStart(32, '0');
  const time = new Date(appendMs).toISOString();
  const event = {
    v: 1,
    kind: 'call.intent',
    stream,
    seq: 0,
    nonce: '0'.repeat(32),
    time,
    session,
    agent,
    callId: 'c',
    tool,
  };
  const headers = {
    [HEADERS.format]: FORMAT_EVENTS,
    [HEADERS.tenant]: 'default',
    [HEADERS.stream]: stream,
    [HEADERS.firstSeq]: '0',
  };
  const value = new TextEncoder().encode(JSON.stringify(event));
  return { topic: TOPICS.toolcalls.name, partition: 0, offset, appendMs, headers, value };
}

const START_MS = 1_750_000_000_000;

test('an exception tells the alert in mode shadow until it ends', () => {
  const { rules } = load(`${HEAD}sequence: [a]
mode: enforce
action: { type: kill, scope: session, ttl: 1h }
exceptions:
  - { name: nightly, when: { agent: batch }, owner: ops, reason: known, expires: '${new Date(START_MS + 1000).toISOString()}' }
`);
  const stage = new StageOne(settingsFor(rules));
  stage.process(recordOf('s1', 'a', START_MS, 'batch'));
  stage.process(recordOf('s1', 'a', START_MS, 'other'));
  stage.process(recordOf('s1', 'a', START_MS + 1000, 'batch'));
  const told = stage.takeFindings().map((finding) => alertBody(finding, sha256));
  assert.deepEqual(
    told.map(({ mode, exception, action }) => [mode, exception, action?.type]),
    [
      ['shadow', 'nightly', undefined],
      ['enforce', undefined, 'kill'],
      ['enforce', undefined, 'kill'],
    ],
  );
});

const ON_ALERTS = `id: t.alerts
title: Two kinds of alert for one agent
level: high
key: agent
events:
  low: { alert.rule: t.one }
  other: { alert.rule: t.two }
all_of: [low, other]
within: 1m
after_match: every
`;
const ONE = `id: t.one\ntitle: T\nlevel: low\nkey: session\nevents: { a: { tool.name: [a, ab] } }\nsequence: [a]\n`;
const TWO = `id: t.two\ntitle: T\nlevel: low\nkey: agent\nevents: { b: { tool.name: [b, ab] } }\nsequence: [b]\n`;

/** Records through both stages, as the service runs them. */
function alertsOf(records: readonly SourceRecord[]): AlertBody[] {
  const { rules, faults } = load([ONE, TWO, ON_ALERTS].join('---\n'));
  assert.deepEqual(faults, []);
  const settings = settingsFor(rules);
  const one = new StageOne(settings);
  const two = new StageTwo(settings, { sourceCount: 1 });
  const found: Finding[] = [];
  for (const record of records) {
    one.process(record);
    found.push(...one.takeFindings());
    for (const { tenant, fact } of one.takeFacts()) {
      two.fact(tenant, fact);
      // A crash sends it twice.
      two.fact(tenant, fact);
    }
    two.watermark({ source: 0, watermarkMs: record.appendMs });
    found.push(...two.take());
  }
  two.watermark({ source: 0, watermarkMs: START_MS + 1e9 });
  found.push(...two.take());
  return found.map((finding) => alertBody(finding, sha256));
}

const runBoth = (records: readonly SourceRecord[]): string[] =>
  alertsOf(records).map(
    ({ ruleId, calls }) =>
      `${ruleId} ${calls.map(({ session, tool }) => `${session}/${tool ?? ''}`).join(' ')}`,
  );

test('a rule on alerts sees those of both stages, and cites the calls that completed them', () => {
  const records = [recordOf('s1', 'a', START_MS), recordOf('s2', 'b', START_MS + 30_000)];
  assert.deepEqual(runBoth(records), ['t.one s1/a', 't.two s2/b', 't.alerts s1/a s2/b']);
});

test('two alerts that one call completes complete two alerts of a rule on alerts, each with its own id', () => {
  const records = [recordOf('s1', 'a', START_MS), recordOf('s2', 'ab', START_MS + 30_000)];
  const alerts = alertsOf(records);
  const found = alerts.filter(({ ruleId }) => ruleId === 't.alerts');
  const ruleOf = new Map(alerts.map(({ id, ruleId }) => [id, ruleId]));
  assert.deepEqual(
    found.map(({ calls }) =>
      calls.map(({ alert, tool }) => `${ruleOf.get(alert ?? '') ?? ''} ${tool ?? ''}`),
    ),
    [
      ['t.one a', 't.two ab'],
      ['t.two ab', 't.one ab'],
    ],
  );
  assert.equal(new Set(found.map(({ id }) => id)).size, 2);
});

test('a rule on alerts keeps to its window and key', () => {
  const late = [recordOf('s1', 'a', START_MS), recordOf('s2', 'b', START_MS + 61_000)];
  assert.deepEqual(runBoth(late), ['t.one s1/a', 't.two s2/b']);
  const another = [recordOf('s1', 'a', START_MS), recordOf('s2', 'b', START_MS + 1_000, 'h')];
  assert.deepEqual(runBoth(another), ['t.one s1/a', 't.two s2/b']);
});
