import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StatisticPlan } from '../../../detectors/statistics/plan.ts';
import { applyStatistic, newStatisticState } from '../../../detectors/statistics/statistic.ts';
import {
  entropyBits,
  learn,
  newFrequencies,
  surprisalBits,
} from '../../../detectors/statistics/surprisal.ts';

/** Tags are positions. */
function fired(
  plan: StatisticPlan,
  values: readonly (string | null)[],
): { at: number; evidence: readonly number[] }[] {
  const state = newStatisticState<number>(plan);
  return values.flatMap((value, tag) => {
    const sample = { timeMs: 0, partition: 0, offset: tag, line: 0, value, tag };
    return applyStatistic(plan, state, sample).fired.map((f) => ({ at: f.completing, evidence: f.evidence }));
  });
}

const repeat = (values: readonly string[], times: number): string[] =>
  Array.from({ length: times }, () => values).flat();

test('surprisal: Laplace by hand', () => {
  const frequencies = newFrequencies();
  assert.equal(surprisalBits(frequencies, 'a'), 0, 'nothing known: the unseen has all');
  for (const value of ['a', 'a', 'a', 'b', 'b']) learn(frequencies, value);
  // 5 samples, 2 categories: 8 slots; a has 4, b 3, the unseen 1.
  assert.equal(surprisalBits(frequencies, 'a'), 1);
  assert.equal(surprisalBits(frequencies, 'b'), Math.log2(8 / 3));
  assert.equal(surprisalBits(frequencies, 'c'), 3);
  // 1/2 x 1 + 3/8 x log2(8/3) + 1/8 x 3 = 0.5 + 0.5306 + 0.375
  assert.ok(Math.abs(entropyBits(frequencies) - 1.4056390622295662) < 1e-12);
});

test('surprisal: past 64 categories all others are one', () => {
  const frequencies = newFrequencies();
  for (let index = 0; index < 64; index++) learn(frequencies, `v${index}`);
  for (let index = 0; index < 60; index++) learn(frequencies, `w${index}`);
  // 124 samples, 65 categories: 190 slots, 61 of them for all others.
  assert.equal(surprisalBits(frequencies, 'never'), Math.log2(190 / 61));
  assert.equal(frequencies.counts.size, 64);
});

for (const method of ['page_hinkley', 'cusum', 'adwin'] as const) {
  test(`drift by ${method}: silent while the mix stays, told once when it changes, then armed again`, () => {
    const plan: StatisticPlan = {
      kind: 'drift',
      method,
      delta: method === 'adwin' ? 0.002 : 0.3,
      lambda: 20,
      warmup: 100,
    };
    const usual = repeat(['read', 'read', 'search', 'read'], 100);
    assert.deepEqual(fired(plan, usual), []);
    const told = fired(plan, [...usual, ...repeat(['post', 'delete'], 40)]);
    assert.ok(told.length >= 1, 'told');
    const first = told[0]?.at ?? 0;
    assert.ok(first > 400 && first <= 470, `${first}`);
    assert.deepEqual(
      told[0]?.evidence,
      Array.from({ length: 8 }, (_, index) => first - 7 + index),
    );
    const again = fired(plan, [
      ...usual,
      ...repeat(['post', 'delete'], 40),
      ...repeat(['read', 'search'], 300),
      ...repeat(['admin', 'shell', 'exec'], 30),
    ]);
    assert.ok(
      again.some(({ at }) => at > 1_080),
      'a second change',
    );
  });
}

test('drift: null says nothing', () => {
  const plan: StatisticPlan = { kind: 'drift', method: 'cusum', delta: 0, lambda: 1, warmup: 0 };
  assert.deepEqual(
    fired(
      plan,
      Array.from({ length: 50 }, () => null),
    ),
    [],
  );
});

const ngrams = (over: Partial<Extract<StatisticPlan, { kind: 'novel_ngram' }>>): StatisticPlan => ({
  kind: 'novel_ngram',
  n: 2,
  window: 4,
  gte: 2,
  warmup: 3,
  ...over,
});

test('novel n-grams: by hand', () => {
  // Pairs: ab ba ab (learned) | bc new, ca new: two of the last four.
  assert.deepEqual(fired(ngrams({}), ['a', 'b', 'a', 'b', 'c', 'a']), [{ at: 5, evidence: [4, 5] }]);
  // bc is known the second time: cb new at 5, bc known at 6, then ba, ab known.
  assert.deepEqual(fired(ngrams({ gte: 3 }), ['a', 'b', 'a', 'b', 'c', 'b', 'c', 'b', 'a', 'b']), []);
});

test('novel n-grams: those too far apart do not add up', () => {
  // New: bc (1st), then three known (cb is made known in the warm-up), then ax: five apart.
  const learned = ['b', 'c', 'b', 'a', 'b', 'a'];
  const plan = ngrams({ warmup: 5, gte: 2, window: 3 });
  assert.deepEqual(fired(plan, [...learned, 'x', 'b', 'a']), [{ at: 7, evidence: [6, 7] }]);
  assert.deepEqual(fired(plan, [...learned, 'a', 'b', 'a', 'b', 'b']), [], 'aa and bb, four apart');
});

test('novel n-grams: an order never seen of values that are all known is new', () => {
  const learned = repeat(['a', 'b', 'c'], 5);
  assert.equal(fired(ngrams({ n: 3, warmup: 10, gte: 3 }), [...learned, ...learned]).length, 0);
  assert.equal(fired(ngrams({ n: 3, warmup: 10, gte: 3 }), [...learned, 'c', 'b', 'a']).length, 1);
});

test('novel n-grams: 4,096 are kept, the one seen longest ago goes first', () => {
  const pairs = ngrams({ n: 2, warmup: 0, window: 1, gte: 1 });
  // Of 71 values (a prime) the walk in steps of d has 71 pairs (x, x + d mod 71), all of them new with each d.
  const walk = (steps: number): string[] =>
    Array.from(
      { length: steps * 71 },
      (_, index) => `v${((index % 71) * (Math.floor(index / 71) + 1)) % 71}`,
    );
  const isFirstPairNew = (steps: number): boolean => {
    const values = [...walk(steps), 'v0', 'v1'];
    return fired(pairs, values).at(-1)?.at === values.length - 1;
  };
  assert.equal(isFirstPairNew(57), false, '57 x 71 = 4,047 pairs since');
  assert.equal(isFirstPairNew(58), true, '58 x 71 = 4,118 pairs since');
});

test('novel n-grams: what finds the table of values full is new every time', () => {
  const plan = ngrams({ n: 1, warmup: 0, window: 1, gte: 1 });
  const values = Array.from({ length: 1_500 }, (_, index) => `v${index}`);
  assert.equal(fired(plan, [...values, ...values]).length, 1_500 + (1_500 - 1_024));
});
