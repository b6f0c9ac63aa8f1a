/** The verifier as one file: in an empty folder, without environment, with Node alone, as `tripline verify --export` says it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { buildStandalone } from '../../support/evidence/standalone.ts';
import { tripline } from '../cli/harness.ts';
import { append, callLine, exported, openBench, recordOf, runWriter, type Bench } from '../record/harness.ts';

const LONG_TEXT = 'long '.repeat(50_000);

describe('the verifier in one file', () => {
  let bench: Bench;
  let dir: string;
  let program: string;
  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'tripline-standalone-'));
    program = await buildStandalone(dir);
    bench = await openBench();
    const lines = Array.from({ length: 8 }, (_, seq) => callLine('a', seq));
    await append(bench, [recordOf('a', 0, lines), recordOf('b', 0, [callLine('b', 0), callLine('b', 1)])]);
    await runWriter(bench, bench);
  });
  after(async () => {
    await bench?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  const run = (...args: string[]) => runFile(program, ...args);
  function runFile(file: string, ...args: string[]) {
    return spawnSync(process.execPath, [file, ...args], {
      cwd: join(dir, 'empty'),
      env: {},
      encoding: 'utf8',
    });
  }
  async function bundle(name: string, change: (text: string) => string = (text) => text): Promise<string> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of exported(bench)) chunks.push(chunk);
    const file = join(dir, name);
    writeFileSync(file, change(Buffer.concat(chunks).toString()));
    return file;
  }

  it('imports nothing but parts of Node that read files and compute', () => {
    const imports = [...readFileSync(program, 'utf8').matchAll(/^import .* from "([^"]+)"/gm)].map(
      (m) => m[1] ?? '',
    );
    const names = imports.toSorted((a, b) => (a < b ? -1 : 1));
    assert.deepEqual(names, [
      'node:crypto',
      'node:fs',
      'node:os',
      'node:path',
      'node:util',
      'node:worker_threads',
    ]);
    const text = readFileSync(program, 'utf8');
    for (const never of ['fetch(', 'Date.now(', 'new Date()', 'Math.random(', 'import('])
      assert.ok(!text.includes(never), never);
  });

  it('answers what the command answers, byte for byte and with its exit code', async () => {
    const sound = await bundle('sound.ndjson');
    const cases = [
      [sound, 10],
      [await bundle('altered.ndjson', (text) => text.replace('"agent":"agent ü"', '"agent":"agent u"')), 40],
      [await bundle('cut.ndjson', (text) => text.slice(0, -200)), 20],
      [await bundle('dropped.ndjson', (text) => text.replace(/\{"type":"rows","idx":3.*\n/, '')), 40],
    ] as const;
    for (const [file, code] of cases) {
      const alone = run(file, '--json');
      const command = await tripline({}, ['verify', '--json', '--export', file]);
      assert.deepEqual([alone.status, alone.stdout], [command.exitCode, command.out], alone.stderr);
      assert.equal(alone.status, code);
      const text = await tripline({}, ['verify', '--export', file]);
      assert.equal(run(file).stdout, text.out);
    }
  });

  it('holds a bundle to a pinned key and a kept checkpoint', async () => {
    const file = await bundle('pinned.ndjson');
    const key = join(dir, 'key');
    writeFileSync(key, Buffer.from(await bench.signer.publicKey()).toString('base64'));
    assert.match(run(file, '--key', key).stdout, /^verified: 10 entries/);
    writeFileSync(key, Buffer.alloc(32, 9).toString('base64'));
    assert.equal(run(file, '--key', key).status, 40);
    writeFileSync(key, Buffer.alloc(32).toString('base64'));
    assert.equal(run(file, '--key', key).status, 2, 'a key of small order');
  });

  it('answers the same on threads, which run the same file, and nothing where one of them ends', async () => {
    const big = await openBench();
    const file = join(dir, 'big.tripline');
    try {
      // More than what threads are started for; of one long body each, so that few are enough.
      const lines = Array.from({ length: 64 }, (_, seq) => callLine('a', seq, { args: { text: LONG_TEXT } }));
      for (let seq = 0; seq < lines.length; seq += 2)
        await append(big, [recordOf('a', seq, lines.slice(seq, seq + 2))]);
      await runWriter(big, big);
      const chunks: Uint8Array[] = [];
      for await (const chunk of exported(big, { format: 'binary' })) chunks.push(chunk);
      writeFileSync(file, Buffer.concat(chunks));
    } finally {
      await big.close();
    }
    const one = run(file, '--json', '--jobs', '1');
    const two = run(file, '--json', '--jobs', '2');
    assert.deepEqual([two.status, two.stdout], [one.status, one.stdout], two.stderr);
    assert.match(one.stdout, /"entries":64,/);
    const broken = join(dir, 'empty', 'broken.mjs');
    const text = readFileSync(program, 'utf8');
    writeFileSync(broken, text.replace(/answerBlocks\(parentPort\);/, 'process.exit(0);'));
    const failed = runFile(broken, file, '--jobs', '2');
    assert.deepEqual(
      [failed.status, failed.stdout],
      [1, ''],
      'no report of a ledger that was not looked into',
    );
    assert.equal(runFile(broken, file, '--jobs', '1').status, one.status);
    for (const jobs of ['0', '9', '1.5', 'two']) assert.equal(run(file, '--jobs', jobs).status, 2, jobs);
  });

  it('says what it cannot do as the command does', async () => {
    assert.equal(run(join(dir, 'absent')).status, 2);
    assert.equal(run().status, 2);
    assert.equal(run('a', 'b').status, 2);
    assert.equal(run('--unknown').status, 2);
    const none = join(dir, 'none');
    writeFileSync(none, 'no bundle\n');
    assert.equal(run(none).status, 2);
    assert.match(run('--help').stdout, /tripline-verify\.mjs BUNDLE/);
  });
});
