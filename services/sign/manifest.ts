/** What the signer checks of a manifest before it trusts it. Pure. */
import { z } from 'zod';
import { TriplineError } from '../../schemas/errors.ts';
import { zHex64 } from '../../schemas/event/v1.ts';
import { hashFromHex, toHex, utf8, type Sha256 } from '../evidence/bytes.ts';
import { CompactRange } from '../evidence/merkle.ts';
import { logId } from '../evidence/origin.ts';
import type { LogHead, Manifest } from '../record/ports.ts';

const zCount = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
/** A compact range has at most one hash per bit of its size, twice that for a range that starts inside. */
const zRange = z.array(zHex64).max(106);
const zHead = z.strictObject({
  logId: zHex64,
  origin: z.string().max(1024),
  size: zCount,
  root: zHex64,
  lastLeafHash: zHex64,
  compactRange: zRange,
});

export const zManifest = z.strictObject({
  topic: z.string().min(1).max(256),
  partition: zCount,
  firstOffset: zCount,
  nextOffset: zCount,
  logs: z.array(
    z.strictObject({ logId: zHex64, oldHead: zHead.nullable(), newHead: zHead, extension: zRange }),
  ),
  rowsHash: zHex64,
  watermarkMs: zCount,
});

/** SHA-256 over all that a manifest fixes, hex. */
export function manifestDigest(manifest: Manifest, sha256: Sha256): string {
  const fields = [
    manifest.topic,
    manifest.partition,
    manifest.firstOffset,
    manifest.nextOffset,
    manifest.rowsHash,
    manifest.watermarkMs,
    manifest.logs.map(({ newHead }) => [newHead.logId, newHead.size, newHead.root, newHead.lastLeafHash]),
  ];
  return toHex(sha256(utf8(JSON.stringify(fields))));
}

function refuse(path: string, message: string): never {
  throw new TriplineError('signer_refused', message, { path });
}

/** Throws signer_refused unless every new head extends the head that `signedHead` answers for its log. */
export function checkManifest(
  manifest: Manifest,
  signedHead: (logId: string) => LogHead | undefined,
  sha256: Sha256,
): void {
  if (manifest.nextOffset <= manifest.firstOffset) refuse('nextOffset', 'the manifest covers no record');
  let before = '';
  for (const log of manifest.logs) {
    if (log.logId <= before) refuse('logs', 'the logs are not in order or named twice');
    before = log.logId;
    checkExtension(manifest, log, { signed: signedHead(log.logId), sha256 });
  }
}

function checkExtension(
  manifest: Manifest,
  log: Manifest['logs'][number],
  known: { readonly signed: LogHead | undefined; readonly sha256: Sha256 },
): void {
  const { newHead } = log;
  if (newHead.logId !== log.logId || toHex(logId(newHead.origin, known.sha256)) !== log.logId) {
    refuse(log.logId, 'the log id is not the hash of the origin');
  }
  if (!newHead.origin.endsWith(`/${manifest.topic}/${manifest.partition}`)) {
    refuse(log.logId, 'the log belongs to another partition');
  }
  if (!sameHead(log.oldHead, known.signed ?? null)) {
    refuse(log.logId, 'the old head is not the one signed last');
  }
  const range = extendedRange(log, known.signed, known.sha256);
  if (
    toHex(range.root()) !== newHead.root ||
    range.hashes().map(toHex).join() !== newHead.compactRange.join()
  ) {
    refuse(log.logId, 'the new head does not extend the old one');
  }
}

function extendedRange(
  log: Manifest['logs'][number],
  signed: LogHead | undefined,
  sha256: Sha256,
): CompactRange {
  const oldSize = signed?.size ?? 0;
  const newSize = log.newHead.size;
  const old = (signed?.compactRange ?? []).map(hashFromHex);
  const range = CompactRange.fromHashes({ begin: 0, end: oldSize }, old, sha256);
  const extension = log.extension.map(hashFromHex);
  const added = CompactRange.fromHashes({ begin: oldSize, end: newSize }, extension, sha256);
  if (newSize > oldSize && range !== undefined && added !== undefined && range.appendRange(added))
    return range;
  return refuse(log.logId, 'the extension does not fit the sizes');
}

function sameHead(a: LogHead | null, b: LogHead | null): boolean {
  if (a === null || b === null) return a === b;
  return a.size === b.size && a.root === b.root && a.lastLeafHash === b.lastLeafHash;
}
