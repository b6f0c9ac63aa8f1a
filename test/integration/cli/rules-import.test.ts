/** `tripline rules import --sigma`: rules on stdout, refusals on stderr, and how it ends. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { runCommandLine } from '../../../services/cli/program.ts';

const dir = mkdtempSync(join(tmpdir(), 'tripline-import-'));
after(() => rmSync(dir, { recursive: true }));

const rule = (title: string, field: string): string => `title: ${title}
logsource: { product: mcp }
detection:
  s: { ${field}: x }
  condition: s
`;

async function importing(
  ...argv: readonly string[]
): Promise<{ exitCode: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const exitCode = await runCommandLine(['rules', 'import', ...argv], {
    env: {},
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    isTerminal: false,
    signal: AbortSignal.timeout(10_000),
  });
  return { exitCode, out, err };
}

function file(name: string, text: string): string {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
}

describe('rules import --sigma', () => {
  it('prints YAML documents that a rule file may hold', async () => {
    const [a, b] = [file('a.yml', rule('First', 'server')), file('b.yml', rule('Second', 'agent'))];
    const ran = await importing('--sigma', a, b);
    assert.equal(ran.exitCode, 0);
    assert.deepEqual(
      parseAllDocuments(ran.out).map((document) => (document.toJS() as { readonly id: string }).id),
      ['sigma.first', 'sigma.second'],
    );
    assert.match(ran.err, /2 rules imported, 0 refused/);
  });
  it('says what it refused and ends with 1, whatever else it imported', async () => {
    const path = file('mixed.yml', `${rule('First', 'server')}---\n${rule('Second', 'EventID')}`);
    const ran = await importing('--sigma', path);
    assert.equal(ran.exitCode, 1);
    assert.match(ran.out, /^id: sigma\.first$/m);
    assert.ok(
      ran.err.includes(`REFUSED ${path}:10: detection.s.EventID: there is no field EventID`),
      ran.err,
    );
    const json = await importing('--json', '--sigma', path);
    const kinds = json.out
      .trim()
      .split('\n')
      .map((line) => Object.keys(JSON.parse(line) as object)[0]);
    assert.deepEqual(kinds, ['rule', 'refusal']);
  });
  it('is a usage fault without a file, or with one that is not there', async () => {
    assert.equal((await importing()).exitCode, 2);
    const missing = await importing('--sigma', join(dir, 'missing.yml'));
    assert.equal(missing.exitCode, 2);
    assert.match(missing.err, /missing\.yml cannot be read/);
  });
});
