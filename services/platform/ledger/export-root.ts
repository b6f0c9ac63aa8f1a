/** The root log in an evidence bundle: all of its leaves, or the newest head of each exported log with its proof. */
import type {
  BundleHeader,
  BundleRoot,
  BundleRootEntries,
  BundleRootHead,
  BundleRootNote,
  BundleRootStamp,
} from '../../evidence/bundle.ts';
import { toHex, ZERO_HASH } from '../../evidence/bytes.ts';
import { decodeRootLeaf } from '../../evidence/root-leaf.ts';
import { parseCheckpoint, parseSize } from '../../evidence/tlog/checkpoint.ts';
import {
  decodeBundle,
  TILE_WIDTH,
  tileAt,
  tilePath,
  TileTree,
  type TileAddress,
} from '../../evidence/tlog/tiles.ts';
import { isTriplineError, TriplineError } from '../../../schemas/errors.ts';
import { sha256 } from './crypto.ts';
import type { HeadSource } from './heads.ts';
import {
  headNotePath,
  LOG_KEYS_PATH,
  notBeforePath,
  STAMP_PARTS,
  STAMP_SIZES_FILE,
  stampPath,
  type RootSnapshot,
  type RootSource,
} from './root-source.ts';

export interface RootEvidence {
  readonly source: RootSource;
  readonly snapshot: RootSnapshot;
}

/** Undefined where there is no root log, or it is at fault: the heads are exported all the same. */
export async function settledRoot({ root }: HeadSource): Promise<RootEvidence | undefined> {
  if (root === undefined) return undefined;
  try {
    return { source: root, snapshot: await root.settle() };
  } catch (error) {
    const isAtFault = isTriplineError(error, 'not_ready') || isTriplineError(error, 'root_log_diverges');
    if (isAtFault) return undefined;
    throw error;
  }
}

/** KEY leaves of the root log; none where the signer is older than they are. */
export async function rotationsOf({ source }: RootEvidence): Promise<BundleHeader['rotations']> {
  const bytes = await source.read(LOG_KEYS_PATH);
  return bytes === undefined ? [] : (JSON.parse(Buffer.from(bytes).toString()) as BundleHeader['rotations']);
}

type RootLine = BundleRoot | BundleRootNote | BundleRootStamp | BundleRootEntries | BundleRootHead;

/** `logs` undefined: all leaves. */
export async function* rootLines(
  { source, snapshot }: RootEvidence,
  logs: readonly { readonly logId: string }[] | undefined,
): AsyncGenerator<RootLine> {
  const { checkpoint, cosigned } = snapshot;
  yield { type: 'root', checkpoint, cosigned: cosigned === checkpoint ? null : cosigned };
  const size = checkpoint === null ? 0 : (parseCheckpoint(checkpoint)?.size ?? 0);
  yield* stamps(source, size, logs === undefined);
  if (logs === undefined) {
    yield* notesBefore(source, size);
    yield* allLeaves(source, size);
  }
  if (logs !== undefined)
    yield* newestHeads({ source, snapshot }, new Set(logs.map(({ logId }) => logId)), size);
}

/** Time stamps of checkpoints that the tree of `size` extends: all of them, or the newest. */
async function* stamps(source: RootSource, size: number, all: boolean): AsyncGenerator<BundleRootStamp> {
  const list = Buffer.from((await source.read(STAMP_SIZES_FILE)) ?? []).toString();
  const sizes = list.split('\n').flatMap((text) => parseSize(text) ?? []);
  const covered = sizes.filter((stamped) => stamped > 0 && stamped <= size);
  const tree = new TileTree(size, (tile) => need(source, tile), sha256);
  for (const stamped of all ? covered : covered.slice(-1)) {
    const [note, query, response] = await Promise.all(
      STAMP_PARTS.map((part) => source.read(stampPath(stamped, part))),
    );
    if (note === undefined || query === undefined || response === undefined) continue;
    const proof = (await tree.consistencyProof(stamped)).map(toHex);
    const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
    const asked = { query: base64(query), response: base64(response) };
    yield { type: 'root_stamp', note: Buffer.from(note).toString(), ...asked, size, proof };
  }
}

/** The checkpoints that COVERAGE leaves name, where they were kept. */
async function* notesBefore(source: RootSource, size: number): AsyncGenerator<BundleRootNote> {
  let last = toHex(ZERO_HASH);
  for await (const { bundle } of allLeaves(source, size)) {
    for (const bytes of decodeBundle(Buffer.from(bundle, 'base64')) ?? []) {
      const leaf = decodeRootLeaf(bytes);
      if (leaf?.type !== 'coverage' || leaf.notBefore === last) continue;
      last = leaf.notBefore;
      const note = await source.read(notBeforePath(last));
      if (note !== undefined) yield { type: 'root_note', note: Buffer.from(note).toString() };
    }
  }
}

async function* allLeaves(source: RootSource, size: number): AsyncGenerator<BundleRootEntries> {
  for (let index = 0; ; index += 1) {
    const tile = tileAt('entries', index, size);
    if (tile === undefined) return;
    const bundle = Buffer.from(await need(source, tile)).toString('base64');
    yield { type: 'root_entries', first: index * TILE_WIDTH, bundle };
  }
}

/** Under the cosigned checkpoint where that holds the head already, else under the newest. */
async function* newestHeads(
  { source, snapshot }: RootEvidence,
  logs: ReadonlySet<string>,
  newest: number,
): AsyncGenerator<BundleRootHead> {
  const cosigned = snapshot.cosigned === null ? 0 : (parseCheckpoint(snapshot.cosigned)?.size ?? 0);
  const trees = new Map(
    [cosigned, newest].map((size) => [size, new TileTree(size, (tile) => need(source, tile), sha256)]),
  );
  for (const { logId, index } of snapshot.heads) {
    if (!logs.has(logId)) continue;
    const size = index < cosigned ? cosigned : newest;
    const proof = (await trees.get(size)?.inclusionProof(index)) ?? [];
    const leaf = await leafAt(source, index, size);
    const note = await source.read(headNotePath(index));
    yield {
      type: 'root_head',
      logId,
      index,
      size,
      leaf: Buffer.from(leaf).toString('base64'),
      proof: proof.map(toHex),
      ...(note === undefined ? {} : { note: Buffer.from(note).toString() }),
    };
  }
}

async function leafAt(source: RootSource, index: number, size: number): Promise<Uint8Array> {
  const tile = tileAt('entries', Math.floor(index / TILE_WIDTH), size);
  const leaves = tile === undefined ? undefined : decodeBundle(await need(source, tile));
  return leaves?.[index % TILE_WIDTH] ?? missing();
}

async function need(source: RootSource, tile: TileAddress): Promise<Uint8Array> {
  return (await source.read(tilePath(tile))) ?? missing();
}

function missing(): never {
  throw new TriplineError('root_log_diverges', 'a tile of the root log is missing');
}
