/** A signer and its root log in a directory, batches that move many logs, and a judge of what is on disk. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { concatBytes, toHex, utf8 } from '../../../services/evidence/bytes.ts';
import { CompactRange, leafHash, verifyConsistency } from '../../../services/evidence/merkle.ts';
import { logId, rootOrigin } from '../../../services/evidence/origin.ts';
import { decodeRootLeaf, type RootLeaf } from '../../../services/evidence/root-leaf.ts';
import { parseCheckpoint, type SignedCheckpoint } from '../../../services/evidence/tlog/checkpoint.ts';
import { decodeBundle, tileAt, tilePath, TileTree } from '../../../services/evidence/tlog/tiles.ts';
import { RootVerifier } from '../../../services/evidence/verify-root.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { nodeCrypto, sha256 } from '../../../services/platform/ledger/crypto.ts';
import type { LogHead, Manifest } from '../../../services/record/ports.ts';
import type { Cosigner } from '../../../services/sign/root/cosigner.ts';
import { diskFiles, type RootFiles } from '../../../services/sign/root/files.ts';
import { RootLog } from '../../../services/sign/root/root-log.ts';
import { openLocalSigner, type LocalSigner } from '../../../services/sign/local-signer.ts';

export const DEPLOYMENT = 'test';
const TOPIC = 'tripline.toolcalls.v1';

export const rootDir = (dir: string): string => join(dir, 'root-log');

export function openRoot(
  dir: string,
  signer: LocalSigner,
  more: { readonly files?: RootFiles; readonly cosigner?: Cosigner; readonly readOnly?: boolean } = {},
): Promise<RootLog> {
  const { files = diskFiles(rootDir(dir)), cosigner, readOnly = false } = more;
  const ledger = signer.rootLedger;
  return RootLog.open({ deployment: DEPLOYMENT, ledger, files, clock: systemClock, cosigner, readOnly });
}

export const openSigner = (dir: string): Promise<LocalSigner> => openLocalSigner({ dir, clock: systemClock });

const hex32 = (text: string): string => toHex(sha256(utf8(text)));

function headOf(origin: string, size: number): { readonly head: LogHead; readonly range: CompactRange } {
  const range = new CompactRange(0, sha256);
  for (let at = 0; at < size; at += 1) range.append(sha256(utf8(`${origin} ${at}`)));
  const head = {
    logId: toHex(logId(origin, sha256)),
    origin,
    size,
    root: toHex(range.root()),
    lastLeafHash: hex32(`${origin} ${size - 1}`),
    compactRange: range.hashes().map(toHex),
  };
  return { head, range };
}

/** One more entry in each of `count` logs of partition 0, reserved and committed. */
export async function commitBatch(signer: LocalSigner, count: number): Promise<void> {
  const state = await signer.state(TOPIC, 0);
  const known = new Map(state.heads.map((head) => [head.origin, head]));
  const logs = Array.from({ length: count }, (_, at) => {
    const origin = `${DEPLOYMENT}/${String(at).padStart(32, '0')}/${TOPIC}/0`;
    const old = known.get(origin) ?? null;
    const size = (old?.size ?? 0) + 1;
    const extension = new CompactRange(size - 1, sha256);
    extension.append(sha256(utf8(`${origin} ${size - 1}`)));
    const newHead = headOf(origin, size).head;
    return { logId: newHead.logId, oldHead: old, newHead, extension: extension.hashes().map(toHex) };
  });
  const manifest: Manifest = {
    topic: TOPIC,
    partition: 0,
    firstOffset: state.nextOffset,
    nextOffset: state.nextOffset + count,
    logs: logs.toSorted((a, b) => (a.logId < b.logId ? -1 : 1)),
    rowsHash: hex32(`rows ${state.nextOffset}`),
    watermarkMs: 1,
  };
  assert.equal((await signer.reserve(manifest)).kind, 'reserved');
  await signer.commit(manifest);
}

export interface OnDisk {
  readonly checkpoint: SignedCheckpoint;
  readonly leaves: readonly RootLeaf[];
  /** Lines of an export, for a verifier. */
  readonly bundles: readonly Uint8Array[];
}

/** Reads the directory as a foreign client would, checks every tile against the checkpoint, and every leaf. */
export async function readDisk(dir: string, publicKey: Uint8Array): Promise<OnDisk> {
  const root = rootDir(dir);
  const text = readFileSync(join(root, 'checkpoint'), 'utf8');
  const checkpoint = parseCheckpoint(text);
  assert.ok(checkpoint);
  const read = async (path: string): Promise<Uint8Array> => new Uint8Array(readFileSync(join(root, path)));
  const tree = new TileTree(checkpoint.size, (tile) => read(tilePath(tile)), sha256);
  assert.equal(toHex(await tree.root()), toHex(checkpoint.root));
  const bundles: Uint8Array[] = [];
  const leaves: Uint8Array[] = [];
  for (let index = 0; ; index += 1) {
    const tile = tileAt('entries', index, checkpoint.size);
    if (tile === undefined) break;
    const bundle = await read(tilePath(tile));
    const entries = decodeBundle(bundle) ?? [];
    const hashes = concatBytes(entries.map((entry) => leafHash(entry, sha256)));
    assert.equal(toHex(hashes), toHex(await read(tilePath({ ...tile, level: 0 }))));
    bundles.push(bundle);
    leaves.push(...entries);
  }
  checkClaims(text, bundles, publicKey);
  const decoded = leaves.map((leaf) => decodeRootLeaf(leaf));
  return { checkpoint, bundles, leaves: decoded.filter((leaf) => leaf !== undefined) };
}

/** Heads follow each other and coverage has no hole: what a verifier of a bundle holds it to. */
function checkClaims(checkpoint: string, bundles: readonly Uint8Array[], publicKey: Uint8Array): void {
  const verifier = new RootVerifier({
    deployment: DEPLOYMENT,
    crypto: nodeCrypto,
    publicKeys: [publicKey],
    policy: undefined,
    kept: undefined,
    whole: true,
  });
  verifier.begin({ type: 'root', checkpoint, cosigned: null });
  for (const [at, bundle] of bundles.entries()) {
    const text = Buffer.from(bundle).toString('base64');
    verifier.entries({ type: 'root_entries', first: at * 256, bundle: text });
  }
  verifier.finish();
  assert.equal(rootOrigin(DEPLOYMENT), 'test/root');
}

/** The newer tree extends the older one, by the proof that its tiles give. */
export async function assertExtends(
  dir: string,
  older: SignedCheckpoint,
  newer: SignedCheckpoint,
): Promise<void> {
  const read = async (path: string): Promise<Uint8Array> =>
    new Uint8Array(readFileSync(join(rootDir(dir), path)));
  const tree = new TileTree(newer.size, (tile) => read(tilePath(tile)), sha256);
  const proof = await tree.consistencyProof(older.size);
  const sizes = { oldSize: BigInt(older.size), newSize: BigInt(newer.size) };
  assert.ok(verifyConsistency({ ...sizes, oldRoot: older.root, newRoot: newer.root, proof }, sha256));
}

/** Files of the root log by path. */
export function filesOf(dir: string): string[] {
  return readdirSync(rootDir(dir), { recursive: true, encoding: 'utf8', withFileTypes: false }).toSorted();
}
