/** One log during one batch: the head before it, the leaves of the batch, the head after it. Pure. */
import { hashFromHex, toHex, type Ed25519Verify, type Sha256 } from '../evidence/bytes.ts';
import { CompactRange } from '../evidence/merkle.ts';
import { logId, logOrigin, originLeafHash } from '../evidence/origin.ts';
import type { ClassMappingVersion } from '../evidence/projection.ts';
import { RowWriter } from '../evidence/row-binary.ts';
import type { LogHead, Manifest } from './ports.ts';

export interface PartitionHeads {
  readonly topic: string;
  readonly partition: number;
  readonly nextOffset: number;
  readonly watermarkMs: number;
  /** By log id in hex. */
  readonly heads: ReadonlyMap<string, LogHead>;
}

export interface StepSettings {
  readonly deployment: string;
  readonly mapping: ClassMappingVersion;
  readonly sha256: Sha256;
  readonly ed25519Verify: Ed25519Verify;
}

export interface OpenLog {
  readonly tenant: string;
  readonly id: Uint8Array;
  readonly idHex: string;
  readonly origin: string;
  readonly old: LogHead | null;
  /** Leaves of this batch only. */
  readonly extension: CompactRange;
  readonly leaves: RowWriter;
  lastLeaf: Uint8Array;
}

/** Id of a tenant's log in this partition, hex. */
export function logIdOf(
  tenant: string,
  at: { readonly topic: string; readonly partition: number },
  settings: Pick<StepSettings, 'deployment' | 'sha256'>,
): string {
  const { deployment, sha256 } = settings;
  const { topic, partition } = at;
  return toHex(logId(logOrigin({ deployment, tenant, topic, partition }, sha256), sha256));
}

/** A log as it stands before the batch. */
export function openLog(tenant: string, at: PartitionHeads, settings: StepSettings): OpenLog {
  const { deployment, sha256 } = settings;
  const origin = logOrigin({ deployment, tenant, topic: at.topic, partition: at.partition }, sha256);
  const id = logId(origin, sha256);
  const idHex = toHex(id);
  const old = at.heads.get(idHex) ?? null;
  const extension = new CompactRange(old?.size ?? 0, sha256);
  const lastLeaf = old === null ? originLeafHash(origin, sha256) : hashFromHex(old.lastLeafHash);
  return { tenant, id, idHex, origin, old, extension, leaves: new RowWriter(4096), lastLeaf };
}

/** Its head after the batch. */
function closeLog(log: OpenLog, sha256: Sha256): LogHead {
  const range = CompactRange.fromHashes(
    { begin: 0, end: log.old?.size ?? 0 },
    (log.old?.compactRange ?? []).map(hashFromHex),
    sha256,
  );
  if (range === undefined || !range.appendRange(log.extension)) {
    throw new RangeError('the compact range of a head does not fit its size');
  }
  return {
    logId: log.idHex,
    origin: log.origin,
    size: range.end,
    root: toHex(range.root()),
    lastLeafHash: toHex(log.lastLeaf),
    compactRange: range.hashes().map(toHex),
  };
}

/** What a batch made of its logs: parts of the manifest in order of their ids, all heads, leaves by log id. */
export function closeLogs(
  opened: Iterable<OpenLog>,
  before: PartitionHeads,
  sha256: Sha256,
): {
  readonly logs: Manifest['logs'];
  readonly heads: ReadonlyMap<string, LogHead>;
  readonly leaves: ReadonlyMap<string, Uint8Array>;
} {
  const heads = new Map(before.heads);
  const logs: Manifest['logs'][number][] = [];
  const leaves = new Map<string, Uint8Array>();
  for (const log of opened) {
    if (log.leaves.bytes().length === 0) continue;
    const newHead = closeLog(log, sha256);
    const extension = log.extension.hashes().map(toHex);
    logs.push({ logId: log.idHex, oldHead: log.old, newHead, extension });
    heads.set(log.idHex, newHead);
    leaves.set(log.idHex, log.leaves.bytes());
  }
  logs.sort((a, b) => (a.logId < b.logId ? -1 : 1));
  return { logs, heads, leaves };
}
