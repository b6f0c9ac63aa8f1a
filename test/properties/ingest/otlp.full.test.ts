import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBelow } from '../../bench/random.ts';
import { runMutations } from './otlp-mutations.ts';

test('100,000 broken OTLP requests leave the process as it was', () => {
  const random = randomBelow(100_000);
  runMutations(2_000, random);
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  const counts = runMutations(100_000, random);
  const grownBytes = process.memoryUsage().rss - before;
  assert.equal(counts.inputs, 100_000);
  assert.ok(counts.calls > 25_000, `${counts.calls} calls`);
  assert.ok(grownBytes < 300 * 1024 * 1024, `grown by ${Math.round(grownBytes / 1024 / 1024)} MiB`);
});
