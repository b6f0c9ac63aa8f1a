import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, it } from 'node:test';
import { concatBytes, toHex } from '../../../services/evidence/bytes.ts';
import {
  leafHash,
  ProofTree,
  verifyConsistency,
  verifyInclusion,
} from '../../../services/evidence/merkle.ts';
import { parseCheckpoint } from '../../../services/evidence/tlog/checkpoint.ts';
import { formatTlogProof, parseTlogProof, provesInclusion } from '../../../services/evidence/tlog/proof.ts';
import {
  decodeBundle,
  encodeBundle,
  newTiles,
  parseTilePath,
  tileAt,
  tilePath,
  tileRoot,
  TileTree,
  type TileAddress,
} from '../../../services/evidence/tlog/tiles.ts';
import { sha256 } from '../../../services/platform/ledger/crypto.ts';

const LOG = resolve(import.meta.dirname, '../../../../shared/data/vectors/tlog-tiles/log');
const skip = existsSync(LOG) ? false : 'the log of tessera is not here';
const leaves = (count: number): Uint8Array[] =>
  Array.from({ length: count }, (_, at) => leafHash(Buffer.from(`leaf ${at}`), sha256));

/** Tiles of a tree, straight from their definition. */
function tilesOf(hashes: readonly Uint8Array[]) {
  const levels: (readonly Uint8Array[])[] = [hashes];
  for (let below = hashes; below.length >= 256; below = levels.at(-1) ?? []) {
    const above: Uint8Array[] = [];
    for (let at = 0; at + 256 <= below.length; at += 256)
      above.push(tileRoot(concatBytes(below.slice(at, at + 256)), { begin: 0, end: 256 }, sha256));
    levels.push(above);
  }
  const read: string[] = [];
  const readTile = async (tile: TileAddress): Promise<Uint8Array> => {
    read.push(tilePath(tile));
    const level = levels[tile.level as number] ?? [];
    return concatBytes(level.slice(tile.index * 256, tile.index * 256 + tile.width));
  };
  return { readTile, read };
}

describe('tile paths', () => {
  // c2sp.org/tlog-tiles
  it('are those of the specification', () => {
    assert.equal(tilePath({ level: 0, index: 1_234_067, width: 256 }), 'tile/0/x001/x234/067');
    assert.equal(tilePath({ level: 'entries', index: 0, width: 5 }), 'tile/entries/000.p/5');
    assert.equal(tilePath({ level: 3, index: 999, width: 255 }), 'tile/3/999.p/255');
    assert.equal(tilePath({ level: 3, index: 1000, width: 256 }), 'tile/3/x001/000');
  });
  it('are read back, and no other spelling is', () => {
    for (const index of [0, 1, 255, 256, 999, 1000, 1_234_067, 2 ** 45])
      for (const level of [0, 1, 63, 'entries'] as const)
        for (const width of [1, 255, 256]) {
          const address = { level, index, width };
          assert.deepEqual(parseTilePath(tilePath(address)), address);
        }
    const broken = [
      'tile/00/000',
      'tile/64/000',
      'tile/0/00',
      'tile/0/0000',
      'tile/0/x000/001',
      'tile/0/001/002',
      'tile/0/000.p/0',
      'tile/0/000.p/256',
      'tile/0/000.p/01',
      'tile/0/../000',
      'tile/-1/000',
      'tile/0/x999/x999/x999/x999/x999/999',
      'tile/0/000/',
      '',
    ];
    for (const path of broken) assert.equal(parseTilePath(path), undefined, path);
  });
  it('of a tree of 70,000 leaves are as many as the specification counts', () => {
    const tiles = newTiles(0, 70_000);
    const count = (level: number, full: boolean): number =>
      tiles.filter((tile) => tile.level === level && (tile.width === 256) === full).length;
    assert.deepEqual([count(0, true), count(0, false)], [273, 1]);
    assert.equal(tileAt(0, 273, 70_000)?.width, 112);
    assert.deepEqual([count(1, true), count(1, false)], [1, 1]);
    assert.equal(tileAt(1, 1, 70_000)?.width, 17);
    assert.equal(tileAt(2, 0, 70_000)?.width, 1);
    assert.deepEqual(newTiles(0, 256).map(tilePath), ['tile/0/000', 'tile/1/000.p/1']);
    assert.deepEqual(newTiles(256, 257).map(tilePath), ['tile/0/001.p/1']);
    assert.deepEqual(newTiles(7, 7), []);
  });
});

describe('entry bundles', () => {
  it('have big-endian uint16 lengths', () => {
    const bundle = encodeBundle([Buffer.from('one'), Buffer.from(''), Buffer.alloc(258, 1)]);
    assert.equal(toHex(bundle.subarray(0, 9)), '00036f6e6500000102');
    assert.deepEqual(
      decodeBundle(bundle)?.map((leaf) => leaf.length),
      [3, 0, 258],
    );
    assert.throws(() => encodeBundle([Buffer.alloc(65_536)]), RangeError);
  });
  it('that are cut off, or hold more than 256 leaves, are none', () => {
    const bundle = encodeBundle([Buffer.from('one'), Buffer.from('two')]);
    for (const length of [1, 4, 6, 9]) assert.equal(decodeBundle(bundle.subarray(0, length)), undefined);
    assert.equal(decodeBundle(Buffer.alloc(257 * 2)), undefined);
  });
});

describe('a tree behind its tiles', () => {
  it('gives the root and the proofs of the tree in memory, at and around full tiles', async () => {
    for (const size of [1, 2, 255, 256, 257, 511, 512, 700, 65_536, 65_537]) {
      const hashes = leaves(size);
      const memory = new ProofTree(sha256);
      for (const hash of hashes) memory.append(hash);
      const { readTile } = tilesOf(hashes);
      const tree = new TileTree(size, readTile, sha256);
      const root = await tree.root();
      assert.equal(toHex(root), toHex(memory.root()), `${size}`);
      for (const index of [0, Math.floor(size / 2), size - 1]) {
        const proof = await tree.inclusionProof(index);
        const claim = { index: BigInt(index), size: BigInt(size), leafHash: hashes[index]!, root, proof };
        assert.ok(verifyInclusion(claim, sha256), `${index} of ${size}`);
      }
      for (const oldSize of [1, Math.ceil(size / 3), Math.max(1, size - 1)]) {
        const old = new ProofTree(sha256);
        for (const hash of hashes.slice(0, oldSize)) old.append(hash);
        const proof = await tree.consistencyProof(oldSize);
        const sizes = { oldSize: BigInt(oldSize), newSize: BigInt(size) };
        assert.ok(verifyConsistency({ ...sizes, oldRoot: old.root(), newRoot: root, proof }, sha256));
      }
    }
  });
  it('reads a few tiles for a proof', async () => {
    const { readTile, read } = tilesOf(leaves(65_537));
    await new TileTree(65_537, readTile, sha256).inclusionProof(300);
    assert.ok(read.length <= 4, read.join());
  });
  it('takes no tile of another width', async () => {
    const tree = new TileTree(3, async () => new Uint8Array(64), sha256);
    await assert.rejects(tree.root(), RangeError);
  });
  it(
    'of another implementation has its roots, and its bundles hash to its tiles (tessera)',
    { skip },
    async () => {
      const text = readFileSync(join(LOG, 'checkpoint'), 'utf8');
      const size = parseCheckpoint(text)?.size ?? 0;
      assert.equal(size, 15);
      for (let at = 1; at <= size; at += 1) {
        const checkpoint = parseCheckpoint(readFileSync(join(LOG, `checkpoint.${at}`), 'utf8'));
        const readTile = async (tile: TileAddress): Promise<Uint8Array> =>
          new Uint8Array(readFileSync(join(LOG, tilePath(tile))));
        const tree = new TileTree(at, readTile, sha256);
        assert.equal(toHex(await tree.root()), toHex(checkpoint?.root ?? new Uint8Array(0)));
        const bundle = readFileSync(join(LOG, tilePath({ level: 'entries', index: 0, width: at })));
        const entries = decodeBundle(new Uint8Array(bundle)) ?? [];
        const hashes = concatBytes(entries.map((entry) => leafHash(entry, sha256)));
        assert.equal(toHex(hashes), toHex(await readTile({ level: 0, index: 0, width: at })));
        assert.equal(toHex(encodeBundle(entries)), bundle.toString('hex'));
      }
    },
  );
});

describe('tlog-proof v1', () => {
  it('holds an index, a path and a checkpoint', async () => {
    const hashes = leaves(7);
    const { readTile } = tilesOf(hashes);
    const tree = new TileTree(7, readTile, sha256);
    const root = Buffer.from(await tree.root()).toString('base64');
    const checkpoint = `log.example\n7\n${root}\n\n— log.example ${Buffer.alloc(68).toString('base64')}\n`;
    const proof = await tree.inclusionProof(4);
    for (const extra of [undefined, Buffer.from('more')]) {
      const text = formatTlogProof({
        index: 4,
        proof,
        checkpoint,
        ...(extra === undefined ? {} : { extra }),
      });
      assert.ok(text.startsWith('c2sp.org/tlog-proof@v1\n'));
      const parsed = parseTlogProof(text);
      assert.ok(parsed);
      assert.equal(parsed.extra?.length, extra?.length);
      assert.ok(provesInclusion(parsed, hashes[4]!, sha256));
      assert.ok(!provesInclusion(parsed, hashes[5]!, sha256));
      assert.ok(!provesInclusion({ ...parsed, index: 5 }, hashes[4]!, sha256));
    }
    const sound = formatTlogProof({ index: 4, proof, checkpoint });
    const broken = [
      sound.replace('@v1', '@v2'),
      sound.replace('index 4', 'index 04'),
      sound.replace('index 4', 'Index 4'),
      sound.replace('\n7\n', '\n07\n'),
      sound.replace('index 4', 'extra !!!!\nindex 4'),
    ];
    for (const text of broken) assert.equal(parseTlogProof(text), undefined, text);
  });
});
