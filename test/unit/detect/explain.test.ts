/** What an explanation says of hand-made streams: each expectation is worked out from the rule's text. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { loadRules } from '../../../detectors/compile/load.ts';
import type { CompiledRule } from '../../../detectors/compile/rule.ts';
import { explainRule } from '../../../detectors/engine/explain.ts';
import type { ExplainedKey, Explanation } from '../../../detectors/engine/explanation.ts';
import type { Event } from '../../../schemas/event/v1.ts';

const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
const BASE_MS = Date.parse('2026-01-31T12:00:00.000Z');

function ruleOf(body: string): CompiledRule {
  const text = `id: t.rule
title: T
level: low
key: session
events:
  a: { tool.name: a }
  b: { tool.name: [b, bb] }
  c: [{ tool.name: c }, { tool.class: delete, dest.host|exists: true }]
  x: { tool.name: x }
${body}`;
  const { rules, faults } = loadRules([{ path: 'r', text }], { sha256Hex });
  assert.deepEqual(faults, []);
  return rules[0] as CompiledRule;
}

/** `a@0 b@60.s2`: tool, second, session. */
function explain(rule: CompiledRule, stream: string, delaySeconds = 0): Explanation {
  const arrivals = stream.split(' ').map((word, seq) => {
    const [, tool = '', second = '0', session = 's1', path = ''] =
      /^(\w+)@(\d+)(?:\.(\w+))?(?:=(\w+))?$/.exec(word) ?? [];
    const timeMs = BASE_MS + Number(second) * 1000;
    const event = {
      v: 1,
      kind: 'call.intent',
      stream: seq.toString(16).padStart(32, '0'),
      seq,
      nonce: '0'.repeat(32),
      time: new Date(timeMs).toISOString(),
      session,
      agent: 'bot',
      callId: `${tool}${second}`,
      tool,
      args: path === '' ? {} : { path },
    } as Event;
    return { event, timeMs, appendMs: timeMs + delaySeconds * 1000 };
  });
  return explainRule(rule, arrivals);
}

const only = (explanation: Explanation): ExplainedKey => {
  assert.equal(explanation.keys.length, 1);
  return explanation.keys[0] as ExplainedKey;
};
const at = (ms: number): number => (ms - BASE_MS) / 1000;
const steps = (calls: readonly { readonly step: string; readonly timeMs: number }[]): string =>
  calls.map(({ step, timeMs }) => `${step}@${at(timeMs)}`).join(' ');

describe('a sequence', () => {
  const rule = ruleOf('sequence: [a, { event: b, within: 1m }, c]\nwithin: 10m\n');
  test('that fired tells its calls and what of its windows they used', () => {
    const key = only(explain(rule, 'a@0 b@60 c@600'));
    const [match] = key.matches;
    assert.equal(steps(match?.calls ?? []), 'a@0 b@60 c@600');
    assert.deepEqual(
      [match?.spanMs, match?.withinMs, match?.gaps, match?.timeBasis, match?.told, match?.decidedAtMs],
      [600_000, 600_000, [{ step: 'b', usedMs: 60_000, withinMs: 60_000 }], 'event', true, null],
    );
    assert.deepEqual([key.partials, key.refused], [[], []]);
  });
  test('that is open tells what it waits for, in words, and until when', () => {
    const key = only(explain(rule, 'a@0 b@30'));
    assert.deepEqual(key.matches, []);
    const [partial, ...others] = key.partials;
    assert.deepEqual(others, []);
    assert.deepEqual(
      [partial?.state, steps(partial?.met ?? []), at(partial?.untilMs ?? 0)],
      ['open', 'a@0 b@30', 600],
    );
    assert.deepEqual(partial?.waitsFor, [
      {
        step: 'c',
        optional: false,
        conditions: [
          ['event.kind is call.intent', 'tool.name is c'],
          ['event.kind is call.intent', 'tool.class is delete', 'dest.host is there'],
        ],
        joins: [],
        untilMs: BASE_MS + 600_000,
      },
    ]);
  });
  test('whose gap passed says so of the call that came too late, and that its window has ended', () => {
    const key = only(explain(rule, 'a@0 b@61'));
    assert.deepEqual(
      key.partials.map(({ state, met, untilMs }) => [state, steps(met), at(untilMs)]),
      [['window_passed', 'a@0', 60]],
    );
    assert.deepEqual(
      key.refused.map(({ call, reason, detail }) => [call.step, reason, detail]),
      [['b', 'gap', '61s after the call before, within is 1m']],
    );
  });
  test('whose step came first says that nothing stood before it; sessions are told apart', () => {
    const { keys, selections } = explain(rule, 'b@0 a@10.s2');
    assert.deepEqual(selections, [
      { name: 'a', events: 1 },
      { name: 'b', events: 1 },
      { name: 'c', events: 0 },
      { name: 'x', events: 0 },
    ]);
    assert.deepEqual(
      keys.map(({ key, partials, refused }) => [
        key['session'],
        partials.map(({ met }) => steps(met)),
        refused.map(({ reason }) => reason),
      ]),
      [
        ['s1', [], ['nothing_before']],
        ['s2', ['a@10'], []],
      ],
    );
  });
  test('of one step longer ago than a day is still told', () => {
    const { keys } = explain(rule, 'a@0 a@200000.s2');
    assert.deepEqual(
      keys.map(({ partials }) => partials.map(({ state }) => state)),
      [['window_passed'], ['open']],
    );
  });
});

test('a match that after_match thinned is told as one', () => {
  const rule = ruleOf('sequence: [a, b]\nwithin: 10m\nafter_match: { once_per: key, for: 1h }\n');
  const { matches } = only(explain(rule, 'a@0 b@1 b@2'));
  assert.deepEqual(
    matches.map(({ calls, told }) => [steps(calls), told]),
    [
      ['a@0 b@1', true],
      ['a@0 b@2', false],
    ],
  );
});

test('calls that a join keeps apart are told with the join', () => {
  const rule = ruleOf('sequence: [a, b]\nwithin: 10m\njoin: [a.args.path == b.args.path]\n');
  const key = only(explain(rule, 'a@0=x b@1=y'));
  assert.deepEqual(
    key.partials.map(({ met, waitsFor }) => [steps(met), waitsFor[0]?.joins]),
    [['a@0', ['a.args.path == b.args.path']]],
  );
  assert.deepEqual(
    only(
      explain(ruleOf('sequence: [a, b]\nwithin: 10m\njoin: [a.args.path != b.args.path]\n'), 'a@0=x b@1=x'),
    ).refused.map(({ reason, detail }) => [reason, detail]),
    [['join', 'does not hold: a.args.path != b.args.path']],
  );
});

test('what was back-dated still waits by append time', () => {
  const rule = ruleOf('sequence: [a, b]\nwithin: 10m\n');
  const key = only(explain(rule, 'a@0', 86_400));
  assert.deepEqual(
    key.partials.map(({ state, timeBasis, untilMs }) => [state, timeBasis, at(untilMs)]),
    [
      ['window_passed', 'event', 600],
      ['open', 'append', 87_000],
    ],
  );
});

describe('guards', () => {
  test('between kills what stands before it, and the explanation names both', () => {
    const rule = ruleOf('sequence: [a, b]\nwithin: 10m\nwithout: [{ event: x, between: [a, b] }]\n');
    const key = only(explain(rule, 'a@0 x@5 b@10'));
    assert.deepEqual(key.matches, []);
    const [partial] = key.partials;
    assert.deepEqual(
      [partial?.state, steps(partial?.met ?? []), partial?.killedBy?.guard],
      ['killed', 'a@0', 'no x between a and b'],
    );
    assert.equal(steps(partial?.killedBy === undefined ? [] : [partial.killedBy.call]), 'x@5');
  });
  test('before forbids the step', () => {
    const rule = ruleOf('sequence: [a]\nwithout: [{ event: x, before: a, for: 15m }]\n');
    const key = only(explain(rule, 'x@0 a@900'));
    assert.deepEqual(key.matches, []);
    assert.deepEqual(
      key.refused.map(({ call, reason, detail }) => [call.step, reason, detail]),
      [['a', 'guard', 'no x in the 15m before a']],
    );
  });
  test('after leaves it undecided until its interval and the wait are over', () => {
    const rule = ruleOf('sequence: [a]\nwithout: [{ event: x, after: a, for: 1m }]\nlate: { wait: 5s }\n');
    const [match] = only(explain(rule, 'a@0')).matches;
    assert.deepEqual([match?.told, at(match?.decidedAtMs ?? 0)], [true, 65]);
  });
  test('until ends every run', () => {
    const rule = ruleOf('sequence: [a, b]\nwithin: 10m\nuntil: x\n');
    const [partial] = only(explain(rule, 'a@0 x@5 b@10')).partials;
    assert.deepEqual([partial?.state, partial?.killedBy?.guard], ['killed', 'x ends every run']);
  });
});

describe('measures', () => {
  test('tell what they read against their threshold', () => {
    const rule = ruleOf('any_of: [{ count: a, within: 1m, gte: 3 }]\n');
    const key = only(explain(rule, 'a@0 a@100 a@130'));
    assert.deepEqual(key.matches, []);
    assert.deepEqual(key.measures, [
      { measure: 'count of a within 1m', reads: 2, against: ['gte 3'], samples: 2, needs: 1 },
    ]);
    const [match] = only(explain(rule, 'a@0 a@30 a@60')).matches;
    assert.deepEqual([match?.measured, steps(match?.calls ?? [])], [3, 'count@0 count@30 count@60']);
  });
  test('tell how much they have learned', () => {
    const rule = ruleOf(
      'any_of: [{ novel_ngram: tool.name, event: a, n: 2, window: 5, gte: 2, warmup: 10 }]\n',
    );
    assert.deepEqual(only(explain(rule, 'a@0 a@1 a@2')).measures, [
      {
        measure: 'new runs of 2 values of tool.name of a in the last 5',
        reads: 0,
        against: ['gte 2'],
        samples: 2,
        needs: 10,
      },
    ]);
  });
});
