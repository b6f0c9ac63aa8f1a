/** A copy of the root log without its service, as an auditor has it: sound, and after each change that somebody could make to it. */
import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isTriplineError } from '../../../schemas/errors.ts';
import { diskFiles } from '../../../services/sign/root/files.ts';
import { copyRoot } from '../../../services/sign/root/copy.ts';
import { verifyRootCopy } from '../../../services/verifier/root-copy.ts';
import { commitBatch, openRoot, openSigner, rootDir } from '../../support/tlog/root-log.ts';

describe('a bare copy of the root log', () => {
  let dir: string;
  let copy: string;
  let key: Uint8Array;
  let otherKey: Uint8Array;

  before(async () => {
    dir = mkdtempSync(join(tmpdir(), 'tripline-root-copy-'));
    copy = join(dir, 'copy');
    const signer = await openSigner(dir);
    key = await signer.publicKey();
    const root = await openRoot(dir, signer);
    const checkpoint = () => readFileSync(join(rootDir(dir), 'checkpoint'), 'utf8');
    // Beyond one tile, in two copies: full tiles, partial ones and a kept checkpoint in between.
    for (let epoch = 0; epoch < 4; epoch += 1) {
      await commitBatch(signer, 90);
      root.moved();
      await root.epoch();
      if (epoch % 2 === 1) await copyRoot(diskFiles(rootDir(dir)), diskFiles(copy), checkpoint());
    }
    await signer.close();
    const other = await openSigner(join(dir, 'other'));
    otherKey = await other.publicKey();
    await other.close();
  });
  after(() => rmSync(dir, { recursive: true, force: true }));

  const verdict = async (of: string, trusted = key) => {
    const { exitCode, firstFault } = await verifyRootCopy(of, { publicKeys: [trusted] });
    return [exitCode, firstFault?.code ?? null];
  };

  it('is verified by the key alone', async () => {
    assert.deepEqual(await verdict(copy), [10, null]);
    assert.ok(readdirSync(join(copy, 'checkpoints')).length === 2);
  });

  it('is not what another key signs, and nothing without any', async () => {
    assert.deepEqual(await verdict(copy, otherKey), [40, 'root_checkpoint_invalid']);
    await assert.rejects(verifyRootCopy(copy, {}), (error) => isTriplineError(error, 'usage'));
    await assert.rejects(verifyRootCopy(join(dir, 'none'), { publicKeys: [key] }), (error) =>
      isTriplineError(error, 'usage'),
    );
  });

  it('is invalid after any change of a file of it, and without any of its leaves', async () => {
    const changed = join(dir, 'changed');
    cpSync(copy, changed, { recursive: true });
    const files = readdirSync(copy, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(copy.length + 1));
    assert.ok(files.length > 6, String(files));
    // What an earlier copy wrote of a tile that is full, or wider, by now follows from nothing and says nothing.
    const isOld = (name: string): boolean => name.includes('.p/') && !isNewest(name, files);
    for (const name of files.filter((file) => !isOld(file))) {
      const file = join(changed, name);
      const bytes = readFileSync(file);
      const altered = Buffer.from(bytes);
      altered[altered.length >> 1] = (altered[altered.length >> 1] ?? 0) ^ 1;
      writeFileSync(file, altered);
      assert.equal((await verdict(changed).catch(() => [2]))[0] !== 10, true, name);
      writeFileSync(file, bytes);
      if (!name.startsWith('tile/')) continue;
      rmSync(file);
      assert.equal((await verdict(changed))[0], 40, `without ${name}`);
      writeFileSync(file, bytes);
    }
    assert.deepEqual(await verdict(changed), [10, null]);
  });
});

/** The widest partial tile of its place. */
function isNewest(name: string, files: readonly string[]): boolean {
  const place = name.slice(0, name.lastIndexOf('/') + 1);
  const full = place.slice(0, -'.p/'.length);
  const widths = files
    .filter((file) => file.startsWith(place))
    .map((file) => Number(file.slice(place.length)));
  return !files.includes(full) && Number(name.slice(place.length)) === Math.max(...widths);
}
