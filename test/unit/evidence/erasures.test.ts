import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatRanges, parseRanges, rangesOf } from '../../../services/evidence/index-ranges.ts';
import type { Fault } from '../../../services/evidence/report.ts';
import { Erasures } from '../../../services/evidence/verify-erasures.ts';

describe('lists of indexes', () => {
  it('are written as ranges', () => {
    assert.equal(formatRanges(rangesOf([0, 1, 2, 3, 4, 9, 12, 13])), '0-4,9,12-13');
    assert.deepEqual(parseRanges('0-4,9'), [
      { from: 0, to: 4 },
      { from: 9, to: 9 },
    ]);
  });

  it('are refused in any other form', () => {
    for (const text of [
      '',
      '-',
      '1-',
      '4-2',
      '3,3',
      '5,4',
      '01',
      '1,',
      ' 1',
      '1e3',
      '99999999999999999',
      '0-3,3',
    ])
      assert.equal(parseRanges(text), undefined, text);
  });

  it('come back as they were', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(10_000)), (indexes) => {
        const sorted = indexes.toSorted((a, b) => a - b);
        if (sorted.length === 0) return;
        const ranges = parseRanges(formatRanges(rangesOf(sorted))) ?? [];
        const back = ranges.flatMap(({ from, to }) =>
          Array.from({ length: to - from + 1 }, (_, at) => from + at),
        );
        assert.deepEqual(back, sorted);
      }),
    );
  });
});

const LOG = 'aa'.repeat(32);
const fault = (index: number): Fault => ({
  code: 'payload_missing',
  log: 'o',
  index,
  topic: 't',
  partition: 0,
  offset: index,
  session: 's',
  detail: null,
});
const lacking = (...runs: [number, number][]) => runs.map(([from, to]) => ({ from, to, fault: fault(from) }));
const erasure = (log: string, indexes: string) => ({
  id: 'bb'.repeat(16),
  by: 'principal' as const,
  logs: [{ log, indexes }],
});

describe('erased or missing', () => {
  const cases = [
    { name: 'all covered', indexes: ['1-5'], tenant: 'a', log: LOG, missing: undefined },
    {
      name: 'covered by two that overlap',
      indexes: ['1-3', '2-5'],
      tenant: 'a',
      log: LOG,
      missing: undefined,
    },
    { name: 'the end is not', indexes: ['1-4'], tenant: 'a', log: LOG, missing: 5 },
    { name: 'the middle is not', indexes: ['1-2', '4-5'], tenant: 'a', log: LOG, missing: 3 },
    { name: 'the first is not', indexes: ['2-9'], tenant: 'a', log: LOG, missing: 1 },
    { name: 'of another tenant', indexes: ['1-5'], tenant: 'b', log: LOG, missing: 1 },
    { name: 'of another log', indexes: ['1-5'], tenant: 'a', log: 'cc'.repeat(32), missing: 1 },
    { name: 'malformed', indexes: ['5-1'], tenant: 'a', log: LOG, missing: 1 },
  ];
  for (const { name, indexes, tenant, log, missing } of cases) {
    it(name, () => {
      const erasures = new Erasures();
      // The audit log may stand before or behind the log that it speaks of.
      erasures.take({ tenant: 'a', logId: LOG, lacking: lacking([1, 2], [3, 5]), erasures: [] });
      erasures.take({
        tenant,
        logId: 'dd'.repeat(32),
        lacking: [],
        erasures: indexes.map((one) => erasure(log, one)),
      });
      assert.equal(erasures.uncovered()?.index, missing);
      if (missing === undefined) assert.equal(erasures.covered, 5);
    });
  }
});
