/** A delivery under any sequence of answers ends, and never too early. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { afterAttempt, type AttemptOutcome } from '../../../services/respond/schedule.ts';

const outcome: fc.Arbitrary<AttemptOutcome> = fc.oneof(
  { weight: 1, arbitrary: fc.constant({ kind: 'delivered', status: 204 } as const) },
  { weight: 1, arbitrary: fc.constant({ kind: 'gone', status: 410 } as const) },
  {
    weight: 12,
    arbitrary: fc.record(
      {
        kind: fc.constant('failed' as const),
        reason: fc.constantFrom('http_status' as const, 'timeout' as const, 'network' as const),
        retryAfterMs: fc.integer({ min: 1, max: 86_400_000 }),
      },
      { requiredKeys: ['kind', 'reason'] },
    ),
  },
);

test('at most ten tries, waits within a tenth of the schedule or as long as was asked for', () => {
  const scheduleMs = [
    5_000, 300_000, 1_800_000, 7_200_000, 18_000_000, 36_000_000, 50_400_000, 72_000_000, 86_400_000,
  ];
  fc.assert(
    fc.property(
      fc.array(fc.tuple(outcome, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })), {
        minLength: 10,
        maxLength: 10,
      }),
      (answers) => {
        let ended: string | undefined;
        for (const [index, [answer, random]] of answers.entries()) {
          const next = afterAttempt(answer, index + 1, random);
          if (next.kind !== 'retry') {
            ended = next.kind;
            assert.equal(next.kind === 'delivered', answer.kind === 'delivered');
            break;
          }
          assert.ok(answer.kind === 'failed');
          const asked = answer.retryAfterMs ?? 0;
          const wait = scheduleMs[index] ?? Number.NaN;
          assert.ok(next.waitMs >= Math.max(asked, wait * 0.9) && next.waitMs <= Math.max(asked, wait * 1.1));
        }
        assert.notEqual(ended, undefined);
      },
    ),
  );
});
