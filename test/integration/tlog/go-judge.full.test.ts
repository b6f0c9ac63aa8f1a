/** Go's sumdb packages read our tiles, notes and proofs. Skipped where Go, or its module proxy, is not at hand. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { CompactRange, leafHash } from '../../../services/evidence/merkle.ts';
import { parseCheckpoint } from '../../../services/evidence/tlog/checkpoint.ts';
import {
  cosign,
  formatNote,
  formatVkey,
  noteKey,
  NOTE_KEY_TYPES,
} from '../../../services/evidence/tlog/note.ts';
import { decodeBundle, tilePath, TileTree } from '../../../services/evidence/tlog/tiles.ts';
import { ed25519Sign, rawPublicKey, sha256 } from '../../../services/platform/ledger/crypto.ts';
import { commitBatch, openRoot, openSigner, readDisk, rootDir } from '../../support/tlog/root-log.ts';

const PROGRAM = resolve(import.meta.dirname, '../../support/tlog/go');
const GO = ['go', '/usr/local/go/bin/go'].find((name) => spawnSync(name, ['version']).status === 0);

function go(args: readonly string[]) {
  const env = { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '-mod=readonly' };
  return spawnSync(GO ?? 'go', args, { cwd: PROGRAM, env, encoding: 'utf8', timeout: 180_000 });
}

const skip =
  GO === undefined
    ? 'Go is not here'
    : go(['mod', 'download']).status === 0
      ? false
      : 'its modules are not here';

const base64 = (hash: Uint8Array): string => Buffer.from(hash).toString('base64');

test(
  'every root, inclusion and consistency proof up to 700 leaves, the note and a cosignature',
  { skip },
  async () => {
    const dir = mkdtempSync(join(tmpdir(), 'tripline-go-'));
    try {
      const signer = await openSigner(dir);
      const root = await openRoot(dir, signer);
      for (const count of [1, 3, 250, 1, 300, 140]) {
        await commitBatch(signer, count);
        root.moved();
        await root.epoch();
      }
      const { checkpoint, bundles } = await readDisk(dir, await signer.publicKey());
      assert.ok(checkpoint.size > 700, `${checkpoint.size}`);
      const read = async (path: string): Promise<Uint8Array> =>
        new Uint8Array(readFileSync(join(rootDir(dir), path)));
      const tree = new TileTree(checkpoint.size, (tile) => read(tilePath(tile)), sha256);
      const range = new CompactRange(0, sha256);
      const roots: string[] = [];
      for (const leaf of bundles.flatMap((bundle) => decodeBundle(bundle) ?? [])) {
        range.append(leafHash(leaf, sha256));
        roots.push(base64(range.root()));
      }
      const inclusion: string[][] = [];
      const consistent: string[][] = [];
      for (let at = 0; at < checkpoint.size; at += 1) {
        inclusion.push((await tree.inclusionProof(at)).map(base64));
        consistent.push((await tree.consistencyProof(at + 1)).map(base64));
      }
      const { privateKey } = generateKeyPairSync('ed25519');
      const key = noteKey('w.example/1', NOTE_KEY_TYPES.cosignature, rawPublicKey(privateKey), sha256);
      const sign = (message: Uint8Array): Uint8Array => ed25519Sign(privateKey, message);
      const { text, signatures } = checkpoint.note;
      const cosigned = formatNote({
        text,
        signatures: [...signatures, cosign(text, 1_764_000_000, { key, sign })],
      });
      assert.ok(parseCheckpoint(cosigned));
      const claims = {
        vkey: readFileSync(join(rootDir(dir), 'vkey'), 'utf8').trim(),
        witness: formatVkey(key),
        checkpoint: cosigned,
        roots,
        inclusion,
        consistent,
      };
      const file = join(dir, 'claims.json');
      writeFileSync(file, JSON.stringify(claims));
      const judged = go(['run', '.', rootDir(dir), file]);
      assert.equal(judged.status, 0, judged.stderr);
      assert.equal(judged.stdout.trim(), String(checkpoint.size));
      writeFileSync(file, JSON.stringify({ ...claims, roots: [roots[1], ...roots.slice(1)] }));
      assert.notEqual(go(['run', '.', rootDir(dir), file]).status, 0, 'the judge refuses what is wrong');
      await signer.close();
      assert.ok(existsSync(file));
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  },
);
