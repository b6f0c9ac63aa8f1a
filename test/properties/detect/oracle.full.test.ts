import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareWithOracle } from './compare.ts';

test('100,000 random streams: completing events equal brute force, through a restart too', () => {
  const result = compareWithOracle({ seed: 7, rules: 2_000, streamsPerRule: 50 });
  assert.equal(result.streams, 100_000);
  assert.ok(result.alerts > 10_000);
  console.log(JSON.stringify(result));
  for (const [part, alerts] of Object.entries(result.byPart)) {
    assert.ok(alerts > 300, `only ${alerts} alerts with ${part}`);
  }
});
