import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { afterAttempt, parseRetryAfterMs, type AttemptOutcome } from '../../../services/respond/schedule.ts';

const FAILED: AttemptOutcome = { kind: 'failed', reason: 'http_status', status: 503 };

suite('retry schedule', () => {
  test('the waits are those of Standard Webhooks: 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h, then dead', () => {
    const seconds = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];
    for (const [index, wait] of seconds.entries())
      assert.deepEqual(afterAttempt(FAILED, index + 1, 0.5), { kind: 'retry', waitMs: wait * 1000 });
    assert.deepEqual(afterAttempt(FAILED, 10, 0.5), { kind: 'dead', reason: 'attempts_exhausted' });
  });
  test('jitter spreads a wait by ten percent either way', () => {
    assert.deepEqual(afterAttempt(FAILED, 1, 0), { kind: 'retry', waitMs: 4500 });
    assert.deepEqual(afterAttempt(FAILED, 1, 0.999999), { kind: 'retry', waitMs: 5500 });
  });
  test('never earlier than Retry-After', () => {
    const next = afterAttempt({ ...FAILED, retryAfterMs: 60_000 }, 1, 0.5);
    assert.deepEqual(next, { kind: 'retry', waitMs: 60_000 });
  });
  test('410 ends it at once', () => {
    assert.deepEqual(afterAttempt({ kind: 'gone', status: 410 }, 1, 0.5), {
      kind: 'dead',
      reason: 'endpoint_gone',
    });
  });
});

suite('Retry-After', () => {
  const nowMs = Date.parse('2026-01-31T12:00:00Z');
  test('seconds and dates', () => {
    assert.equal(parseRetryAfterMs('120', nowMs), 120_000);
    assert.equal(parseRetryAfterMs('Sat, 31 Jan 2026 12:01:00 GMT', nowMs), 60_000);
  });
  test('a receiver cannot put a delivery off for more than a day, nor with nonsense', () => {
    assert.equal(parseRetryAfterMs('999999999', nowMs), 86_400_000);
    for (const text of [
      '',
      '-5',
      '0',
      'soon',
      '1e9',
      'Sat, 31 Jan 2026 11:00:00 GMT',
      '9'.repeat(100),
      undefined,
    ])
      assert.equal(parseRetryAfterMs(text, nowMs), undefined, String(text));
  });
});
