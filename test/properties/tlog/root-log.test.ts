/**
 * A random root log with random cosignatures, and one mutation of what a bundle says of it (leaf, checkpoint, proof,
 * signature, policy): it never verifies as the sound one does.
 */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { concatBytes, equalBytes, toHex, utf8 } from '../../../services/evidence/bytes.ts';
import type { BundleRootHead } from '../../../services/evidence/bundle.ts';
import { leafHash, ProofTree } from '../../../services/evidence/merkle.ts';
import { logId } from '../../../services/evidence/origin.ts';
import { FaultFound } from '../../../services/evidence/report.ts';
import {
  coverageLeaves,
  decodeRootLeaf,
  encodeRootLeaf,
  type CoveredPartition,
  type RootLeaf,
} from '../../../services/evidence/root-leaf.ts';
import { checkpointText } from '../../../services/evidence/tlog/checkpoint.ts';
import {
  cosign,
  formatNote,
  formatVkey,
  noteKey,
  NOTE_KEY_TYPES,
  signNote,
  type NoteKeyType,
} from '../../../services/evidence/tlog/note.ts';
import { parsePolicy, type Policy } from '../../../services/evidence/tlog/policy.ts';
import { encodeBundle } from '../../../services/evidence/tlog/tiles.ts';
import { RootVerifier } from '../../../services/evidence/verify-root.ts';
import { ed25519Sign, nodeCrypto, rawPublicKey, sha256 } from '../../../services/platform/ledger/crypto.ts';

const ORIGIN = 'test/root';

function signer(name: string, type: NoteKeyType) {
  const { privateKey } = generateKeyPairSync('ed25519');
  const key = noteKey(name, type, rawPublicKey(privateKey), sha256);
  return { key, sign: (message: Uint8Array) => ed25519Sign(privateKey, message) };
}
const LOG = signer(ORIGIN, NOTE_KEY_TYPES.ed25519);
const WITNESSES = ['w1', 'w2', 'w3'].map((name) => signer(`${name}.example`, NOTE_KEY_TYPES.cosignature));

function policyOf(threshold: number, logVkey = formatVkey(LOG.key)): Policy {
  const witnesses = WITNESSES.map(({ key }, at) => `witness w${at + 1} ${formatVkey(key)}`);
  const lines = [`log ${logVkey}`, ...witnesses, `group all ${threshold} w1 w2 w3`, 'quorum all', ''];
  return parsePolicy(lines.join('\n'), sha256);
}

interface RootBundle {
  readonly checkpoint: string;
  readonly leaves: readonly Uint8Array[];
}

const hash = (text: string): Uint8Array => sha256(utf8(text));

/** Epochs of a deployment with a few logs: which of them moved, and by how much. */
function leavesOf(epochs: readonly (readonly number[])[]): Uint8Array[] {
  const leaves: RootLeaf[] = [{ type: 'restart', atMs: 1 }];
  const heads = new Map<string, { size: number; index: number }>();
  let offset = 0;
  for (const [epoch, moves] of epochs.entries()) {
    const moved = moves.flatMap((added, log) =>
      added === 0 ? [] : [{ added, origin: `test/${log}/toolcalls/0` }],
    );
    if (moved.length === 0) continue;
    const logs = moved.map(({ added, origin }) => {
      const { size, index } = heads.get(origin) ?? { size: 0, index: null };
      const nextIndex = size + added;
      const checkpoint = checkpointText({ origin, size: nextIndex, root: hash(`${origin} ${nextIndex}`) });
      heads.set(origin, { size: nextIndex, index: leaves.length });
      leaves.push({ type: 'head', previous: index, checkpoint });
      return { logId: toHex(logId(origin, sha256)), firstIndex: size, nextIndex };
    });
    const nextOffset = offset + moved.reduce((sum, { added }) => sum + added, 0);
    const at: CoveredPartition = { topic: 'toolcalls', partition: 0, firstOffset: offset, nextOffset, logs };
    offset = nextOffset;
    leaves.push(...coverageLeaves({ epoch, epochMs: epoch, notBefore: '00'.repeat(32) }, [at]));
  }
  return leaves.map(encodeRootLeaf);
}

function treeOf(leaves: readonly Uint8Array[]): ProofTree {
  const tree = new ProofTree(sha256);
  for (const leaf of leaves) tree.append(leafHash(leaf, sha256));
  return tree;
}

function bundleOf(leaves: readonly Uint8Array[], cosigners: number): RootBundle {
  const tree = treeOf(leaves);
  const text = checkpointText({ origin: ORIGIN, size: tree.size, root: tree.root() });
  const signatures = WITNESSES.slice(0, cosigners).map((witness) => cosign(text, 1_764_000_000, witness));
  const note = formatNote({ text, signatures: [signNote(text, LOG.key, LOG.sign), ...signatures] });
  return { checkpoint: note, leaves };
}

interface Asked {
  readonly policy: Policy;
  readonly kept?: { readonly origin: string; readonly size: number; readonly root: Uint8Array };
}

/** True when the policy is met and nothing is at fault. */
function isWitnessed({ checkpoint, leaves }: RootBundle, { policy, kept }: Asked): boolean {
  const settings = { deployment: 'test', crypto: nodeCrypto, publicKeys: [], policy, kept, whole: true };
  const verifier = new RootVerifier(settings);
  try {
    verifier.begin({ type: 'root', checkpoint, cosigned: null });
    for (let first = 0; first < leaves.length; first += 256) {
      const bundle = Buffer.from(encodeBundle(leaves.slice(first, first + 256))).toString('base64');
      verifier.entries({ type: 'root_entries', first, bundle });
    }
    verifier.finish();
    return verifier.report(0)?.quorum === true;
  } catch (error) {
    if (error instanceof FaultFound) return false;
    throw error;
  }
}

const epochs = fc.array(fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 4 }), {
  minLength: 1,
  maxLength: 40,
});

test('a sound root log is witnessed exactly when enough witnesses of the policy have cosigned it', () => {
  fc.assert(
    fc.property(epochs, fc.nat({ max: 3 }), fc.integer({ min: 1, max: 3 }), (moves, cosigners, threshold) => {
      const bundle = bundleOf(leavesOf(moves), cosigners);
      assert.equal(isWitnessed(bundle, { policy: policyOf(threshold) }), cosigners >= threshold);
    }),
    { numRuns: 60 },
  );
});

type Mutation = (bundle: RootBundle, random: (below: number) => number) => RootBundle;

function flip(bytes: Uint8Array, random: (below: number) => number): Uint8Array {
  const copy = bytes.slice();
  const at = random(copy.length);
  copy[at] = (copy[at] as number) ^ (1 << random(8));
  return copy;
}

const MUTATIONS: Readonly<Record<string, Mutation>> = {
  'a flipped bit of a leaf': ({ checkpoint, leaves }, random) => {
    const at = random(leaves.length);
    return { checkpoint, leaves: leaves.map((leaf, index) => (index === at ? flip(leaf, random) : leaf)) };
  },
  'a leaf left out': ({ checkpoint, leaves }, random) => {
    const at = random(leaves.length);
    return { checkpoint, leaves: leaves.filter((_, index) => index !== at) };
  },
  'a leaf twice': ({ checkpoint, leaves }, random) => {
    const at = random(leaves.length);
    return { checkpoint, leaves: leaves.flatMap((leaf, index) => (index === at ? [leaf, leaf] : [leaf])) };
  },
  'two leaves in another order': ({ checkpoint, leaves }) => {
    const [first, second, ...rest] = leaves as [Uint8Array, Uint8Array, ...Uint8Array[]];
    return { checkpoint, leaves: [second, first, ...rest] };
  },
  'a changed byte of the checkpoint': ({ checkpoint, leaves }, random) => {
    const bytes = Buffer.from(checkpoint);
    // Not in the last line: one witness more than the policy needs may be lost without harm.
    const end = checkpoint.trimEnd().lastIndexOf('\n');
    const at = random(Buffer.from(checkpoint.slice(0, end)).length);
    bytes[at] = bytes[at] === 65 ? 66 : 65;
    return { checkpoint: bytes.toString('utf8'), leaves };
  },
};

for (const [name, mutate] of Object.entries(MUTATIONS)) {
  test(`${name} never verifies as witnessed`, () => {
    fc.assert(
      fc.property(epochs, fc.array(fc.nat(), { minLength: 4, maxLength: 4 }), (moves, numbers) => {
        const sound = bundleOf(leavesOf([[1], ...moves]), 2);
        let at = 0;
        const changed = mutate(sound, (below) => (numbers[(at += 1) % numbers.length] as number) % below);
        const isSame = changed.checkpoint === sound.checkpoint && sameLeaves(changed.leaves, sound.leaves);
        fc.pre(!isSame);
        assert.ok(!isWitnessed(changed, { policy: policyOf(2) }), changed.checkpoint);
      }),
      { numRuns: 150 },
    );
  });
}

function sameLeaves(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((leaf, at) => equalBytes(leaf, b[at] ?? new Uint8Array(0)));
}

test('a log whose operator signs and has cosigned a bad structure is at fault all the same', () => {
  fc.assert(
    fc.property(epochs, fc.nat(), (moves, seed) => {
      const sound = leavesOf([[1, 2], ...moves]);
      const heads = sound.flatMap((leaf, at) => (decodeRootLeaf(leaf)?.type === 'head' ? [at] : []));
      const at = heads[seed % heads.length] as number;
      const head = decodeRootLeaf(sound[at] as Uint8Array);
      assert.ok(head?.type === 'head');
      // Another head of the same log, over another history, or one that hides the head before it.
      const second = encodeRootLeaf({ ...head, previous: seed % 2 === 0 ? head.previous : at });
      const withTwo = bundleOf([...sound, second], 3);
      assert.ok(!isWitnessed(withTwo, { policy: policyOf(2) }));
    }),
    { numRuns: 100 },
  );
});

test('a kept checkpoint is a beginning of what extends it, and of nothing else', () => {
  fc.assert(
    fc.property(epochs, fc.nat(), (moves, seed) => {
      const leaves = leavesOf([[1], ...moves]);
      const size = 1 + (seed % leaves.length);
      const root = treeOf(leaves.slice(0, size)).root();
      const bundle = bundleOf(leaves, 2);
      const policy = policyOf(2);
      assert.ok(isWitnessed(bundle, { policy, kept: { origin: ORIGIN, size, root } }));
      assert.ok(!isWitnessed(bundle, { policy, kept: { origin: ORIGIN, size, root: hash('other') } }));
      const longer = { origin: ORIGIN, size: leaves.length + 1, root };
      assert.ok(!isWitnessed(bundle, { policy, kept: longer }));
      assert.ok(!isWitnessed(bundle, { policy, kept: { origin: 'other/root', size, root } }));
    }),
    { numRuns: 60 },
  );
});

test('a head with its proof holds for its own index, log, size and bytes only', () => {
  fc.assert(
    fc.property(
      epochs,
      fc.nat(),
      fc.constantFrom('index', 'log', 'leaf', 'proof', 'size'),
      (moves, seed, what) => {
        const leaves = leavesOf([[1, 1], [1, 1], ...moves]);
        const tree = treeOf(leaves);
        const heads = leaves.flatMap((leaf, at) => (decodeRootLeaf(leaf)?.type === 'head' ? [at] : []));
        const index = heads[seed % heads.length] as number;
        const leaf = leaves[index] as Uint8Array;
        const decoded = decodeRootLeaf(leaf);
        assert.ok(decoded?.type === 'head');
        const sound: BundleRootHead = {
          type: 'root_head',
          logId: toHex(logId(decoded.checkpoint.split('\n')[0] ?? '', sha256)),
          index,
          size: tree.size,
          leaf: Buffer.from(leaf).toString('base64'),
          proof: tree.inclusionProof(index).map(toHex),
        };
        const holds = (head: BundleRootHead): boolean => {
          const settings = {
            deployment: 'test',
            crypto: nodeCrypto,
            publicKeys: [],
            kept: undefined,
            whole: false,
          };
          const verifier = new RootVerifier({ ...settings, policy: policyOf(2) });
          verifier.begin({ type: 'root', checkpoint: bundleOf(leaves, 2).checkpoint, cosigned: null });
          try {
            verifier.head(head);
            return true;
          } catch (error) {
            if (error instanceof FaultFound) return false;
            throw error;
          }
        };
        const other = concatBytes([leaf.slice(0, -2), hash('x').slice(0, 1), leaf.slice(-1)]);
        const changes: Readonly<Record<typeof what, Partial<BundleRootHead>>> = {
          index: { index: (index + 1) % tree.size },
          log: { logId: toHex(hash('another')) },
          leaf: { leaf: Buffer.from(other).toString('base64') },
          proof: { proof: sound.proof.slice(1) },
          size: { size: tree.size + 1 },
        };
        assert.ok(holds(sound));
        if (!equalBytes(other, leaf) || what !== 'leaf')
          assert.ok(!holds({ ...sound, ...changes[what] }), what);
      },
    ),
    { numRuns: 100 },
  );
});
