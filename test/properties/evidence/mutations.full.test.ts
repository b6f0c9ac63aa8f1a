/**
 * Whatever is changed in a bundle or in the files beside it, the verifier that an auditor runs does not call it clean: random
 * logs, random changes of a row, proof, head, checkpoint, leaf, tile or policy.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { BundleFiles } from '../../../services/evidence/bundle-files.ts';
import { readBundle } from '../../../services/evidence/read-bundle.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { sha256 } from '../../../services/platform/ledger/crypto.ts';
import { diskFiles } from '../../../services/sign/root/files.ts';
import { RootLog } from '../../../services/sign/root/root-log.ts';
import { verifyPath } from '../../../services/verifier/folder.ts';
import { changeOf } from '../../support/evidence/changes.ts';
import {
  append,
  callLine,
  DEPLOYMENT,
  exported,
  openBench,
  recordOf,
  runWriter,
  type Bench,
} from '../../integration/record/harness.ts';

const STREAMS = 3;
const LINES = 6;

/** Nothing vouches for these: they say when and for what the bundle was made, and what its maker did not put in. */
const FREE = [
  /^header\.createdAtMs$/,
  /^header\.heads\.\d+\.(signedAtMs|nextOffset)$/,
  /^end\.pending$/,
  /^header\.filter\./,
];

describe('a changed bundle', () => {
  let bench: Bench;
  let dir: string;
  let key: Uint8Array;
  const bundles: string[][] = [];

  before(async () => {
    bench = await openBench();
    dir = mkdtempSync(join(tmpdir(), 'tripline-mutations-'));
    for (let n = 0; n < STREAMS; n += 1) {
      const stream = `s${n}`;
      const lines = Array.from({ length: LINES }, (_, seq) => callLine(stream, seq));
      await append(bench, [
        recordOf(stream, 0, lines.slice(0, n + 1)),
        recordOf(stream, n + 1, lines.slice(n + 1)),
      ]);
    }
    await runWriter(bench, bench);
    const files = diskFiles(join(bench.dir, 'root-log'));
    const ledger = bench.signer.rootLedger;
    const options = { deployment: DEPLOYMENT, ledger, files, clock: systemClock, readOnly: false };
    bench.signer.root = await RootLog.open(options);
    key = await bench.signer.publicKey();
    for (const more of [{}, { session: 'session s1' }]) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of exported(bench, more)) chunks.push(chunk);
      bundles.push(Buffer.concat(chunks).toString().trimEnd().split('\n'));
    }
  });
  after(async () => {
    await bench?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  async function verdictOf(lines: readonly string[]): Promise<number> {
    const file = join(dir, 'bundle.ndjson');
    writeFileSync(file, `${lines.join('\n')}\n`);
    return (await verifyPath(file, { publicKeys: [key] })).exitCode;
  }

  it('was clean', async () => {
    for (const lines of bundles) assert.equal(await verdictOf(lines), 10);
  });

  it('is not clean once a value of it is another', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat(), fc.nat(), fc.nat(), async (of, at, leaf, salt) => {
        const lines = [...(bundles[of % bundles.length] ?? [])];
        const index = at % lines.length;
        const changed = changeOf(lines[index] ?? '', leaf, salt);
        fc.pre(!FREE.some((free) => free.test(changed.path)));
        lines[index] = changed.line;
        // Where its first line is none of a bundle any more, it is refused.
        const code = await verdictOf(lines).catch(() => 2);
        assert.ok(code >= 20 || code === 2, `${changed.path}: ${code}`);
      }),
      { numRuns: 400 },
    );
  });

  it('is not clean once a line is gone, there twice, or in the place of another', async () => {
    const [lines = []] = bundles;
    for (const [at, line] of lines.entries()) {
      const dropped = lines.toSpliced(at, 1);
      const doubled = lines.toSpliced(at, 0, line);
      for (const changed of [dropped, doubled]) {
        const code = await verdictOf(changed).catch(() => 2);
        assert.ok(code >= 20 || code === 2, `${at} ${line.slice(0, 60)}: ${code}`);
      }
    }
  });

  it('is not clean once a file beside it is another', async () => {
    for (const [n, lines] of bundles.entries()) {
      const folder = join(dir, `folder${n}`);
      mkdirSync(folder);
      const files = new BundleFiles(sha256);
      const text = `${lines.join('\n')}\n`;
      const write = (name: string, content: Uint8Array | string): void => {
        mkdirSync(dirname(join(folder, name)), { recursive: true });
        writeFileSync(join(folder, name), content);
      };
      write('bundle.ndjson', text);
      const source = async function* () {
        yield Buffer.from(text);
      };
      for await (const line of readBundle(source())) for (const file of files.take(line)) write(...file);
      for (const file of files.finish()) write(...file);
      const check = async () => (await verifyPath(folder, { publicKeys: [key] })).exitCode;
      assert.equal(await check(), 10);
      const names = readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name !== 'bundle.ndjson')
        .map((entry) => join(entry.parentPath, entry.name));
      assert.ok(names.length > 5, String(names));
      for (const name of names) {
        const bytes = readFileSync(name);
        const changed = Buffer.from(bytes);
        changed[changed.length >> 1] = (changed[changed.length >> 1] ?? 0) ^ 1;
        for (const content of [changed, bytes.subarray(1), Buffer.concat([bytes, Buffer.from('x')])]) {
          writeFileSync(name, content);
          assert.equal(await check(), 40, name);
        }
        writeFileSync(name, bytes);
        // A kind may be left out as a whole: these are of a kind that has several files.
        if (!name.includes('/tile/')) continue;
        rmSync(name);
        assert.equal(await check(), 40, `without ${name}`);
        writeFileSync(name, bytes);
      }
    }
  });
});
