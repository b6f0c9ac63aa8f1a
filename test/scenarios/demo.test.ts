/** `npm run demo -- --once` from source: its own checks decide, and a person can read it in 80 columns. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';

const root = resolve(import.meta.dirname, '../..');
/** A hang is a fault; a busy machine is none. */
const WITHIN_MS = 240_000;

test('the demo happens as it says, and leaves nothing behind', async () => {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', join(root, 'services/cli/demo/main.ts'), '--once'],
    {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
      signal: AbortSignal.timeout(WITHIN_MS),
    },
  );
  let shown = '';
  child.stdout.on('data', (chunk: Buffer) => (shown += chunk.toString('utf8')));
  child.stderr.on('data', (chunk: Buffer) => (shown += chunk.toString('utf8')));
  const exitCode = await new Promise((done, failed) => {
    child.once('error', failed);
    child.once('close', done);
  });
  assert.equal(exitCode, 0, shown);
  const lines = stripVTControlCharacters(shown).split('\n');
  assert.equal(lines.filter((line) => line.includes('✓')).length >= 7, true, shown);
  assert.deepEqual(
    lines.filter((line) => line.includes('✗') && !line.includes('refused')),
    [],
  );
  for (const words of ['ALERT', 'REFUSED', 'VERIFIED', 'chain.search-vault-post', 'collect.attacker.example'])
    assert.ok(shown.includes(words), words);
  assert.deepEqual(
    lines.filter((line) => line.length > 80),
    [],
    'lines fit 80 columns',
  );
});
