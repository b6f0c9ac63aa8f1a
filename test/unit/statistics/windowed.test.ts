import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ExactSum } from '../../../detectors/statistics/exact-sum.ts';
import { packStatistic } from '../../../detectors/statistics/pack.ts';
import type { StatisticPlan } from '../../../detectors/statistics/plan.ts';
import { statisticHorizonMs } from '../../../detectors/statistics/plan.ts';
import type { Sample } from '../../../detectors/statistics/sample.ts';
import { applyStatistic, newStatisticState } from '../../../detectors/statistics/statistic.ts';

type Given = readonly [timeMs: number, value?: string | null];

function feeder(plan: StatisticPlan) {
  const state = newStatisticState<number>(plan);
  let arrived = 0;
  return (timeMs: number, value: string | null = 'x') => {
    const tag = arrived++;
    const sample: Sample<number> = { timeMs, partition: 0, offset: tag, line: 0, value, tag };
    return applyStatistic(plan, state, sample);
  };
}

function firedAt(plan: StatisticPlan, given: readonly Given[]): [completing: number, measured: number][] {
  const feed = feeder(plan);
  return given.flatMap(([timeMs, value]) =>
    feed(timeMs, value).fired.map((f) => [f.completing, f.measured] as [number, number]),
  );
}

const gte = (value: number) => [{ operator: 'gte', value } as const];

test('count: a window that just fits fires, one that is a millisecond too long does not', () => {
  const plan: StatisticPlan = { kind: 'count', withinMs: 1_000, conditions: gte(3) };
  assert.deepEqual(firedAt(plan, [[0], [500], [1_000]]), [[2, 3]]);
  assert.deepEqual(firedAt(plan, [[0], [500], [1_001]]), []);
  assert.deepEqual(
    firedAt(plan, [
      [0, null],
      [1, null],
      [2, null],
    ]),
    [[2, 3]],
    'null counts',
  );
});

test('count: all conditions must hold', () => {
  const plan: StatisticPlan = {
    kind: 'count',
    withinMs: 10,
    conditions: [
      { operator: 'gt', value: 1 },
      { operator: 'neq', value: 3 },
    ],
  };
  assert.deepEqual(firedAt(plan, [[0], [0], [0], [0]]), [
    [1, 2],
    [3, 4],
  ]);
});

test('a late sample completes the one that came before it', () => {
  const feed = feeder({ kind: 'count', withinMs: 1_000, conditions: gte(3) });
  feed(0);
  feed(1_000);
  assert.deepEqual(feed(400).fired, [{ completing: 1, evidence: [0, 2, 1], measured: 3 }]);
  assert.deepEqual(feed(600).fired, [{ completing: 3, evidence: [0, 2, 3], measured: 3 }], 'not 1 again');
});

test('a sample too late to see its window is told as unrepaired', () => {
  const feed = feeder({ kind: 'count', withinMs: 1_000, conditions: gte(2) });
  feed(0);
  feed(1_000_000);
  assert.equal(feed(940_000).unrepaired, false);
  assert.deepEqual(feed(938_000), { fired: [], evicted: 0, unrepaired: true });
});

test('distinct: repeated values count once, evidence shows one sample of each', () => {
  const feed = feeder({ kind: 'distinct', withinMs: 1_000, conditions: gte(3) });
  feed(0, 'a');
  feed(1, 'b');
  feed(2, 'b');
  feed(3, null);
  assert.deepEqual(feed(4, 'c').fired, [{ completing: 4, evidence: [0, 2, 4], measured: 3 }]);
  assert.deepEqual(feed(1_001, 'b').fired.length, 0, 'a has left');
});

test('distinct: long values are told apart', () => {
  const plan: StatisticPlan = { kind: 'distinct', withinMs: 10, conditions: gte(2) };
  const long = (middle: string): string => 'a'.repeat(5_000) + middle + 'a'.repeat(5_000);
  assert.deepEqual(
    firedAt(plan, [
      [0, long('b')],
      [1, long('b')],
      [2, long('c')],
    ]),
    [[2, 2]],
  );
});

test('sum and avg: numbers only; what is no decimal contributes nothing', () => {
  const values: Given[] = [
    [0, '10'],
    [1, '0x10'],
    [2, 'x'],
    [3, ''],
    [4, null],
    [5, '1e400'],
    [6, '-2.5'],
    [7, '3'],
  ];
  assert.deepEqual(firedAt({ kind: 'sum', withinMs: 6, conditions: gte(0.5) }, values), [
    [0, 10],
    [6, 7.5],
    [7, 0.5],
  ]);
  assert.deepEqual(firedAt({ kind: 'avg', withinMs: 100, conditions: gte(3.5) }, values), [
    [0, 10],
    [6, 3.75],
    [7, 3.5],
  ]);
});

test('sum: a huge value that has left takes nothing with it', () => {
  const plan: StatisticPlan = { kind: 'sum', withinMs: 2, conditions: [{ operator: 'eq', value: 3 }] };
  assert.deepEqual(
    firedAt(plan, [
      [0, '1e300'],
      [1, '1'],
      [2, '1'],
      [3, '1'],
    ]),
    [[3, 3]],
  );
});

// The second example is the one of CPython's test of math.fsum; half-even cases by hand: 1 + 2^-53 is a tie.
test('the exact sum rounds once', () => {
  const sumOf = (values: readonly number[]): number => {
    const sum = new ExactSum();
    for (const value of values) sum.add(value);
    return sum.value();
  };
  assert.equal(sumOf([0.1, 0.2, 0.3, -0.3, -0.2]), 0.1);
  assert.equal(sumOf([1e100, 1, -1e100, 1e-100, 1e50, -1, -1e50]), 1e-100);
  assert.equal(sumOf([1, 2 ** -53]), 1);
  assert.equal(sumOf([1, 2 ** -53, 2 ** -106]), 1 + 2 ** -52);
  assert.equal(sumOf([]), 0);
});

// Wikipedia, "Percentile", worked examples of the nearest-rank method.
test('percentile: nearest rank', () => {
  const measured = (p: number, values: readonly number[]): number | undefined => {
    const plan: StatisticPlan = {
      kind: 'percentile',
      p,
      withinMs: 100,
      minCount: values.length,
      conditions: gte(0),
    };
    return firedAt(
      plan,
      values.map((value, index) => [index, String(value)]),
    )[0]?.[1];
  };
  const five = [50, 15, 40, 20, 35];
  assert.deepEqual(
    [5, 30, 40, 50, 100].map((p) => measured(p, five)),
    [15, 20, 20, 35, 50],
  );
  const ten = [3, 6, 7, 8, 8, 10, 13, 15, 16, 20];
  assert.deepEqual(
    [25, 50, 75, 100].map((p) => measured(p, ten)),
    [7, 8, 15, 20],
  );
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1);
  assert.equal(measured(7, hundred), 7);
});

test('4,096 samples of a window are kept; each one that a further one pushes out is counted', () => {
  const feed = feeder({ kind: 'count', withinMs: 100_000, conditions: gte(4_096) });
  let fired = 0;
  let evicted = 0;
  for (let index = 0; index < 4_100; index++) {
    const outcome = feed(index);
    fired += outcome.fired.length;
    evicted += outcome.evicted;
  }
  assert.deepEqual([fired, evicted], [5, 4]);
  assert.equal(feed(1).evicted, 1, 'a late one takes the place of the oldest');
  assert.deepEqual([feed(0).evicted, feed(0).unrepaired], [1, true]);
});

test('what leaves by age is no eviction', () => {
  const feed = feeder({ kind: 'count', withinMs: 10, conditions: gte(4) });
  let evicted = 0;
  for (let index = 0; index < 20_000; index++) evicted += feed(index * 10).evicted;
  assert.equal(evicted, 0);
});

test('rate: without a baseline minCount decides, with one the factor does too', () => {
  // Baseline 168 s: buckets of 1 s. Window 10 s.
  const plan: StatisticPlan = {
    kind: 'rate',
    withinMs: 10_000,
    factor: 2,
    baselineMs: 168_000,
    operator: 'gt',
    minCount: 3,
  };
  assert.deepEqual(firedAt(plan, [[0], [1], [2]]), [[2, 3]], 'new key');
  // One sample every 5 s from 0 to 100 s: at 120,000 the window is [110,000, 120,000], the baseline covers buckets 0 to
  // 109, so 110 s with 21 samples: mean 21 x 10 / 110 = 1.909; more than 3.818 are needed.
  const feed = feeder(plan);
  for (let timeMs = 0; timeMs <= 100_000; timeMs += 5_000) feed(timeMs);
  assert.equal(feed(119_997).fired.length, 0);
  assert.equal(feed(119_998).fired.length, 0);
  assert.equal(feed(119_999).fired.length, 0, 'three of 3.818');
  assert.deepEqual(feed(120_000).fired[0]?.measured, 4);
});

test('rate: a key that slept for longer than the baseline is judged by minCount', () => {
  const plan: StatisticPlan = {
    kind: 'rate',
    withinMs: 1_000,
    factor: 100,
    baselineMs: 168_000,
    operator: 'gte',
    minCount: 2,
  };
  const feed = feeder(plan);
  for (let timeMs = 0; timeMs < 100_000; timeMs += 100) feed(timeMs);
  assert.equal(feed(1_000_000).fired.length, 0);
  assert.equal(feed(1_000_001).fired.length, 1);
});

test('rate: a drop is told with a baseline only', () => {
  const plan: StatisticPlan = {
    kind: 'rate',
    withinMs: 1_000,
    factor: 0.5,
    baselineMs: 168_000,
    operator: 'lt',
    minCount: 1,
  };
  const feed = feeder(plan);
  let fired = 0;
  for (let timeMs = 0; timeMs < 100_000; timeMs += 100) fired += feed(timeMs).fired.length;
  assert.equal(fired, 0);
  assert.equal(feed(110_000).fired.length, 1);
});

test('rate: back-dated samples do not raise the baseline', () => {
  const plan: StatisticPlan = {
    kind: 'rate',
    withinMs: 1_000,
    factor: 5,
    baselineMs: 600_000,
    operator: 'gt',
    minCount: 1,
  };
  const burst = (isBackdated: boolean): number => {
    const feed = feeder(plan);
    for (let timeMs = 0; timeMs <= 600_000; timeMs += 1_000) feed(timeMs);
    if (isBackdated) for (let index = 0; index < 10_000; index++) feed(200_000 + index);
    return Array.from({ length: 9 }, () => feed(600_001).fired.length).reduce((a, b) => a + b, 0);
  };
  assert.ok(burst(false) > 0);
  assert.equal(burst(true), burst(false));
});

test('an idle key packs to little, and a horizon covers window and late span', () => {
  const plan: StatisticPlan = { kind: 'count', withinMs: 1_000, conditions: gte(3) };
  const packed = JSON.stringify(packStatistic(newStatisticState<number>(plan), (tag) => tag));
  assert.ok(packed.length < 100, packed);
  assert.equal(statisticHorizonMs(plan), 61_000);
});
