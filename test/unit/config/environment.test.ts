import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ENVIRONMENT_NAMES } from '../../../services/platform/config/environment.ts';

const capture = fileURLToPath(new URL('../../../services/capture', import.meta.url));

/** A service and its hosts are often started from one environment: the service knows all that hosts read. */
test('the service refuses no variable that a host reads', () => {
  const names = new Set<string>();
  for (const file of readdirSync(capture, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || /(^|\/)(node_modules|dist)\//.test(file)) continue;
    for (const [name] of readFileSync(join(capture, file), 'utf8').matchAll(/TRIPLINE_[A-Z_]+[A-Z]/g))
      names.add(name);
  }
  assert.ok(names.size >= 15, 'it looked at something');
  assert.deepEqual(
    [...names].filter((name) => !ENVIRONMENT_NAMES.includes(name)),
    [],
  );
});
