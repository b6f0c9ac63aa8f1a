import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, suite, test } from 'node:test';
import { parse } from 'yaml';
import { runCommandLine } from '../../../services/cli/program.ts';

const folder = mkdtempSync(join(tmpdir(), 'tripline-eql-'));
after(() => rmSync(folder, { recursive: true }));

const EVENTS = [
  { n: 7, event: { category: 'a' }, '@timestamp': '2026-01-01T00:00:00Z' },
  { n: 8, 'event.category': 'b', '@timestamp': '2026-01-01T00:00:01Z' },
];
const AB = 'sequence with maxspan=1m [a where true] ![c where true] [b where true]';

async function run(...argv: readonly string[]): Promise<{ exitCode: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const exitCode = await runCommandLine(['rules', ...argv], {
    env: {},
    out: (text) => (out += text),
    err: (text) => (err += text),
    isTerminal: false,
    signal: new AbortController().signal,
  });
  return { exitCode, out, err };
}

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

suite('EQL on the command line', () => {
  const lines = file('lines.ndjson', EVENTS.map((event) => JSON.stringify(event)).join('\n'));
  const list = file('list.json', JSON.stringify(EVENTS, null, 2));

  test('rules match: one object a match, from lines and from a list', async () => {
    for (const events of [lines, list]) {
      const ran = await run('match', '--json', '--eql', AB, '--events', events, '--id-field', 'n');
      assert.deepEqual([ran.exitCode, ran.out], [0, '{"ids":[7,-1,8]}\n'], ran.err);
    }
  });
  test('rules match: mistakes end with 2 and say where', async () => {
    const query = await run('match', '--eql', 'sequence [a where\n (x == ]', '--events', lines);
    assert.equal(query.exitCode, 2);
    assert.match(query.err, /--eql, line 2, column 8: a field or value is expected/);
    assert.equal((await run('match', '--events', lines)).exitCode, 2);
    assert.equal((await run('match', '--eql', AB, '--rule', 'x', '--events', lines)).exitCode, 2);
    assert.equal((await run('match', '--eql', AB, '--events', join(folder, 'none'))).exitCode, 2);
    const timeless = await run('match', '--eql', AB, '--events', lines, '--timestamp-field', 'no');
    assert.equal(timeless.exitCode, 2);
    const broken = file('broken.ndjson', '{"n":1}\n{');
    assert.match((await run('match', '--eql', AB, '--events', broken)).err, /broken\.ndjson:2 is no JSON/);
  });
  test('rules import: YAML on stdout; refusals on stderr and exit 1', async () => {
    const query = file(
      'chain.eql',
      'sequence by session with maxspan=1m [secret_read where true] [admin where true]',
    );
    const ran = await run('import', '--eql-file', query, '--id', 'my.rule');
    assert.equal(ran.exitCode, 0, ran.err);
    const rule = parse(ran.out) as Readonly<Record<string, unknown>>;
    assert.deepEqual([rule['id'], rule['within'], rule['key']], ['my.rule', '1m', 'session']);
    const refused = await run('import', '--eql', 'sequence [a where true] [b where true]');
    assert.equal(refused.exitCode, 1);
    assert.match(refused.err, /REFUSED a: no class of tools/);
    assert.equal((await run('import')).exitCode, 2);
  });
});
