import assert from 'node:assert/strict';
import { test } from 'node:test';
import { killRounds } from './kill.ts';

test('detect killed 50 times under load tells the same alerts as a reader that was not interrupted', async () => {
  const result = await killRounds(50);
  assert.ok(result.alerts > 100, `only ${result.alerts} alerts of ${result.calls} calls`);
});
