/**
 * A bare copy of the root log, as `rootLog.copyDir` writes it or a tile client mirrors it: its checkpoints, its leaves, and
 * tiles that follow from them. What can be told without any log is told: signatures and cosignatures, that each head follows
 * the one before, that coverage has no hole, that every kept checkpoint is a beginning of it.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { TriplineError } from '../../schemas/errors.ts';
import { BUNDLE_VERSION } from '../evidence/bundle.ts';
import { decodeRootLeaf } from '../evidence/root-leaf.ts';
import { parseCheckpoint } from '../evidence/tlog/checkpoint.ts';
import { decodeBundle, TILE_WIDTH, tileAt, tilePath } from '../evidence/tlog/tiles.ts';
import type { VerifyOptions, VerifyReport } from '../evidence/verify.ts';
import { verifyWithFiles } from './folder.ts';

const CHECKPOINT = 'checkpoint';
const KEPT = 'checkpoints';
/** Each is looked at; a copy keeps one an epoch that was worth it. */
const MAX_KEPT = 1_000_000;

/** Throws usage where there is no root log, or nobody is named whose word counts. */
export async function verifyRootCopy(
  dir: string,
  options: VerifyOptions,
  signal?: AbortSignal,
): Promise<VerifyReport> {
  if (options.publicKeys === undefined && (options.policy?.logs.length ?? 0) === 0)
    throw new TriplineError('usage', 'a root log names no key: give --policy or --key', {
      path: '--root-log',
    });
  const checkpoint = readText(dir, CHECKPOINT);
  const parsed = checkpoint === undefined ? undefined : parseCheckpoint(checkpoint);
  if (checkpoint === undefined || parsed === undefined)
    throw new TriplineError('usage', `${dir} holds no checkpoint of a root log`, { path: '--root-log' });
  const log: RootCopy = { dir, checkpoint, origin: parsed.origin, size: parsed.size };
  return await verifyWithFiles({ dir, source: () => bundleOf(log, signal) }, options);
}

interface RootCopy {
  readonly dir: string;
  readonly checkpoint: string;
  readonly origin: string;
  readonly size: number;
}

/** As a bundle of no log, so that it is held to what a bundle is held to. */
async function* bundleOf(log: RootCopy, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  yield encode({
    type: 'header',
    v: BUNDLE_VERSION,
    deployment: log.origin.replace(/\/root$/, ''),
    createdAtMs: 0,
    partial: false,
    filter: { rootLog: 'alone' },
    keys: [],
    rotations: [...rotationsOf(log)],
    heads: [],
    mappings: [],
  });
  yield encode({ type: 'root', checkpoint: log.checkpoint, cosigned: null });
  for (const note of keptOf(log)) yield encode({ type: 'root_note', note });
  // Also where no leaf is there: without any such line it would be a bundle that only shows heads.
  yield encode({ type: 'root_entries', first: 0, bundle: '' });
  for (const { first, bytes } of entriesOf(log)) {
    signal?.throwIfAborted();
    yield encode({ type: 'root_entries', first, bundle: bytes.toString('base64') });
  }
  yield encode({ type: 'end', pending: 0 });
}

const encode = (line: object): Uint8Array => Buffer.from(`${JSON.stringify(line)}\n`);

/** Up to the first one that is not there: the log is then shorter than its checkpoint says. */
function* entriesOf({ dir, size }: RootCopy): Generator<{ readonly first: number; readonly bytes: Buffer }> {
  for (let index = 0; ; index += 1) {
    const tile = tileAt('entries', index, size);
    const bytes = tile === undefined ? undefined : readBytes(dir, tilePath(tile));
    if (bytes === undefined) return;
    yield { first: index * TILE_WIDTH, bytes };
  }
}

function* rotationsOf(log: RootCopy): Generator<{ readonly index: number; readonly leaf: string }> {
  for (const { first, bytes } of entriesOf(log))
    for (const [at, leaf] of (decodeBundle(bytes) ?? []).entries())
      if (decodeRootLeaf(leaf)?.type === 'key')
        yield { index: first + at, leaf: Buffer.from(leaf).toString('base64') };
}

function* keptOf({ dir, size }: RootCopy): Generator<string> {
  const folder = join(dir, KEPT);
  if (statSync(folder, { throwIfNoEntry: false }) === undefined) return;
  for (const name of readdirSync(folder).toSorted().slice(0, MAX_KEPT)) {
    const note = readText(folder, name) ?? '';
    // One that is longer was kept by a copy whose end is gone.
    if ((parseCheckpoint(note)?.size ?? 0) <= size) yield note;
    else
      throw new TriplineError('usage', `${name} is of a longer log than the checkpoint`, {
        path: '--root-log',
      });
  }
}

function readBytes(dir: string, name: string): Buffer | undefined {
  const file = join(dir, name);
  return statSync(file, { throwIfNoEntry: false })?.isFile() === true ? readFileSync(file) : undefined;
}

const readText = (dir: string, name: string): string | undefined => readBytes(dir, name)?.toString();
