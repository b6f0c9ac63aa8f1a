/** Repairs and erasures take turns: neither works on rows while the other does, and neither waits for ever. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Clock } from '../../../services/platform/clock.ts';
import { RepairTurns } from '../../../services/sign/erasure/repair-turns.ts';

const REFUSED = { code: 'erasure_under_way', retryable: true };

/** Time passes where somebody sleeps; `onSleep` is what happens meanwhile. */
function newTurns(onSleep: (nowMs: number) => void = () => undefined) {
  let nowMs = 0;
  const clock: Clock = {
    nowMs: () => nowMs,
    monotonicMs: () => nowMs,
    sleep: async (ms) => onSleep((nowMs += ms)),
  };
  return { turns: new RepairTurns(clock), nowMs: () => nowMs };
}
const { signal } = new AbortController();

describe('a repair', () => {
  it('is refused from the listing of an erasure to its end', async () => {
    const { turns } = newTurns();
    await turns.take();
    await turns.done();
    await turns.begin(signal);
    await assert.rejects(turns.take(), REFUSED);
    turns.end();
    await turns.take();
  });

  it('is let in while an erasure waits for step record, which may wait for it; the erasure then lists again', async () => {
    const { turns } = newTurns();
    await turns.begin(signal);
    turns.yield();
    await turns.resume(signal);
    assert.equal(turns.isDisturbed, false);
    turns.yield();
    await turns.take();
    await turns.done();
    await turns.resume(signal);
    await assert.rejects(turns.take(), REFUSED);
    assert.equal(turns.isDisturbed, true);
    await turns.begin(signal);
    assert.equal(turns.isDisturbed, false);
  });

  it('before an erasure disturbs none', async () => {
    const { turns } = newTurns();
    turns.yield();
    await turns.take();
    await turns.done();
    await turns.resume(signal);
    await turns.take();
    await turns.done();
    await turns.begin(signal);
    assert.equal(turns.isDisturbed, false);
  });
});

describe('an erasure', () => {
  it('waits until the repair is done', async () => {
    const { turns, nowMs } = newTurns((now) => void (now >= 1_000 && turns.done()));
    await turns.take();
    await turns.begin(signal);
    assert.equal(nowMs(), 1_000);
  });

  it('waits five minutes for a repair of which nothing is heard any more', async () => {
    const { turns, nowMs } = newTurns();
    await turns.take();
    await turns.begin(signal);
    assert.equal(nowMs(), 300_000);
    await assert.rejects(turns.take(), REFUSED);
  });

  it('that is stopped while it waits has not begun', async () => {
    const stopping = new AbortController();
    const { turns } = newTurns(() => stopping.abort());
    await turns.take();
    await assert.rejects(turns.begin(stopping.signal), { name: 'AbortError' });
    await turns.take();
  });
});
