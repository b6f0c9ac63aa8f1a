import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { toHex } from '../../../services/evidence/bytes.ts';
import {
  CompactRange,
  emptyRoot,
  leafHash,
  nodeHash,
  ProofTree,
  treeRoot,
  verifyConsistency,
  verifyInclusion,
} from '../../../services/evidence/merkle.ts';
import { sha256 } from '../../../services/platform/ledger/crypto.ts';

const VECTORS = path.resolve(import.meta.dirname, '../../../../shared/data/vectors/merkle');
const ascii = (text: string): Uint8Array => Buffer.from(text, 'latin1');

// transparency-dev/merkle rfc6962_test.go
test('the published RFC 6962 constants come out', () => {
  assert.equal(toHex(emptyRoot(sha256)), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  assert.equal(
    toHex(leafHash(ascii(''), sha256)),
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  );
  assert.equal(
    toHex(leafHash(ascii('L123456'), sha256)),
    '395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56',
  );
  // node("N123","N456") is defined over short children, which only the raw hash can take.
  assert.equal(
    toHex(sha256(Buffer.concat([Buffer.from([1]), ascii('N123N456')]))),
    'aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb',
  );
});

// RFC 6962 reference tree of certificate-transparency (merkletree/merkle_tree_test.cc): 8 leaves and their roots.
const LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map((hex) => leafHash(Buffer.from(hex, 'hex'), sha256));
const ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

test('the roots of the reference tree come out, leaf by leaf', () => {
  const range = new CompactRange(0, sha256);
  for (const [at, leaf] of LEAVES.entries()) {
    range.append(leaf);
    assert.equal(toHex(range.root()), ROOTS[at]);
    assert.equal(toHex(treeRoot(LEAVES.slice(0, at + 1), sha256)), ROOTS[at]);
  }
  assert.equal(toHex(nodeHash(LEAVES[0]!, LEAVES[1]!, sha256)), ROOTS[1]);
});

test('a range restored from its hashes goes on with the same roots', () => {
  for (let cut = 0; cut <= LEAVES.length; cut += 1) {
    const first = new CompactRange(0, sha256);
    for (const leaf of LEAVES.slice(0, cut)) first.append(leaf);
    const restored = CompactRange.fromHashes({ begin: 0, end: cut }, first.hashes(), sha256);
    assert.ok(restored);
    const extension = new CompactRange(cut, sha256);
    for (const leaf of LEAVES.slice(cut)) extension.append(leaf);
    assert.ok(restored.appendRange(extension));
    assert.equal(toHex(restored.root()), ROOTS.at(-1));
    assert.equal(restored.end, LEAVES.length);
  }
});

test('a range whose hashes do not fit its size is refused', () => {
  const range = new CompactRange(0, sha256);
  for (const leaf of LEAVES.slice(0, 5)) range.append(leaf);
  assert.equal(CompactRange.fromHashes({ begin: 0, end: 6 }, [range.hashes()[0]!], sha256), undefined);
  assert.equal(CompactRange.fromHashes({ begin: 0, end: 4 }, range.hashes(), sha256), undefined);
  assert.equal(range.appendRange(new CompactRange(4, sha256)), false);
});

test('every inclusion and consistency proof of trees up to 20 leaves verifies', () => {
  const leaves = Array.from({ length: 20 }, (_, at) => leafHash(ascii(`leaf ${at}`), sha256));
  for (let size = 1; size <= leaves.length; size += 1) {
    const tree = leaves.slice(0, size);
    const root = treeRoot(tree, sha256);
    const proofs = new ProofTree(sha256);
    for (const leaf of tree) proofs.append(leaf);
    assert.equal(toHex(proofs.root()), toHex(root));
    for (let index = 0; index < size; index += 1) {
      const proof = proofs.inclusionProof(index);
      const claim = { index: BigInt(index), size: BigInt(size), leafHash: leaves[index]!, root, proof };
      assert.ok(verifyInclusion(claim, sha256));
      assert.ok(!verifyInclusion({ ...claim, leafHash: leafHash(ascii('x'), sha256) }, sha256));
    }
    for (let old = 1; old <= size; old += 1) {
      const claim = {
        oldSize: BigInt(old),
        newSize: BigInt(size),
        oldRoot: treeRoot(leaves.slice(0, old), sha256),
        newRoot: root,
        proof: proofs.consistencyProof(old),
      };
      assert.ok(verifyConsistency(claim, sha256));
    }
  }
});

function jsonFiles(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.json'))
    .map((name) => path.join(directory, name));
}

/** Sizes reach 2^64-1, beyond what JSON.parse keeps. */
function readCase(file: string): Record<string, never> {
  const text = readFileSync(file, 'utf8').replace(/"(leafIdx|treeSize|size1|size2)":\s*(\d+)/gu, '"$1":"$2"');
  return JSON.parse(text);
}
const base64 = (text: string | null): Uint8Array => Buffer.from(text ?? '', 'base64');
const hashes = (texts: string[] | null): Uint8Array[] => (texts ?? []).map(base64);

const missing = existsSync(VECTORS) ? false : 'vectors of transparency-dev/merkle are not here';

test('inclusion vectors of transparency-dev/merkle', { skip: missing }, () => {
  const files = jsonFiles(path.join(VECTORS, 'inclusion'));
  assert.equal(files.length, 98);
  for (const file of files) {
    const vector = readCase(file);
    const claim = {
      index: BigInt(vector['leafIdx']!),
      size: BigInt(vector['treeSize']!),
      root: base64(vector['root']!),
      leafHash: base64(vector['leafHash']!),
      proof: hashes(vector['proof']!),
    };
    assert.equal(verifyInclusion(claim, sha256), !vector['wantErr'], file);
  }
});

test('consistency vectors of transparency-dev/merkle', { skip: missing }, () => {
  const files = jsonFiles(path.join(VECTORS, 'consistency'));
  assert.equal(files.length, 98);
  for (const file of files) {
    const vector = readCase(file);
    const claim = {
      oldSize: BigInt(vector['size1']!),
      newSize: BigInt(vector['size2']!),
      oldRoot: base64(vector['root1']!),
      newRoot: base64(vector['root2']!),
      proof: hashes(vector['proof']!),
    };
    assert.equal(verifyConsistency(claim, sha256), !vector['wantErr'], file);
  }
});
