/**
 * An evidence bundle: NDJSON, one stream. First the header with the signed heads, then the root log, then each log with its rows in index
 * order, then rows that belong to none, last an end line. Everything in it is a claim of whoever wrote it until the verifier has checked it.
 * Hashes and stream ids are lower-case hex, UInt64 columns decimal strings or numbers, times Unix ms, bytes base64.
 */
import { z } from 'zod';
import { zHex32, zHex64 } from '../../schemas/event/v1.ts';

export const BUNDLE_VERSION = 1;

const zCount = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
/** A UInt64 of a row, which anybody may have written: a value that no entry can have is for the verifier to name. */
const zNumber = z.coerce.number().min(0);
const zText = z.string();

export const zBundleHead = z.object({
  logId: zHex64,
  origin: zText,
  size: zCount,
  root: zHex64,
  lastLeafHash: zHex64,
});
export type BundleHead = z.infer<typeof zBundleHead>;

/** A list of heads in the order that its signature covers. */
export const zSignedHeadList = z.object({
  topic: zText,
  partition: zCount,
  nextOffset: zCount,
  heads: z.array(zBundleHead),
  keyId: zHex64,
  signature: zText,
  signedAtMs: zCount,
});
export type SignedHeadList = z.infer<typeof zSignedHeadList>;

export const zBundleHeader = z.object({
  type: z.literal('header'),
  v: z.literal(BUNDLE_VERSION),
  deployment: zText,
  createdAtMs: zCount,
  /** True when rows were left out by a filter; each row then carries an inclusion proof. */
  partial: z.boolean(),
  filter: z.record(z.string(), z.string()),
  keys: z.array(z.object({ keyId: zHex64, publicKey: zText })),
  /** KEY leaves of the root log, in order: how one log key followed another. */
  rotations: z.array(z.object({ index: zCount, leaf: zText })).default([]),
  heads: z.array(zSignedHeadList),
  mappings: z.array(z.object({ version: zHex64, body: zText })),
  /** Columns of the tables in the blocks of a binary bundle (table-layout.ts). */
  tables: z.unknown().optional(),
});
export type BundleHeader = z.infer<typeof zBundleHeader>;

/** The root log when the heads were taken: signed notes. */
export const zBundleRoot = z.object({
  type: z.literal('root'),
  checkpoint: zText.nullable(),
  /** The newest one that met the policy of the deployment, where `checkpoint` did not. */
  cosigned: zText.nullable(),
});
export type BundleRoot = z.infer<typeof zBundleRoot>;

/** A cosigned checkpoint of before, which COVERAGE leaves name as what they are later than. Before the first leaves. */
export const zBundleRootNote = z.object({ type: z.literal('root_note'), note: zText });
export type BundleRootNote = z.infer<typeof zBundleRootNote>;

/**
 * An RFC 3161 time stamp of a checkpoint of before, with the proof that the tree of `size` leaves, whose checkpoint is here,
 * extends it. Base64 of DER: what was asked, and the answer.
 */
export const zBundleRootStamp = z.object({
  type: z.literal('root_stamp'),
  note: zText,
  query: zText,
  response: zText,
  size: zCount,
  proof: z.array(zHex64),
});
export type BundleRootStamp = z.infer<typeof zBundleRootStamp>;

/** Leaves of the root log from `first` on, as an entry bundle of the tlog-tiles layout; bundles of everything only. */
export const zBundleRootEntries = z.object({
  type: z.literal('root_entries'),
  first: zCount,
  bundle: zText,
});
export type BundleRootEntries = z.infer<typeof zBundleRootEntries>;

/** The newest HEAD leaf of one log, with its inclusion proof in the root log of `size` leaves. */
export const zBundleRootHead = z.object({
  type: z.literal('root_head'),
  logId: zHex64,
  index: zCount,
  size: zCount,
  leaf: zText,
  proof: z.array(zHex64),
  /** The checkpoint that the leaf holds, as a note signed by the log key; for other tools, the leaf says it all. */
  note: zText.optional(),
});
export type BundleRootHead = z.infer<typeof zBundleRootHead>;

export const zBundleLog = z.object({
  type: z.literal('log'),
  logId: zHex64,
  tenant: zText,
  topic: zText,
  partition: zCount,
  size: zCount,
});
export type BundleLog = z.infer<typeof zBundleLog>;

export const zLedgerColumns = z.object({
  type: zCount,
  leaf_hash: zHex64,
  prev_leaf_hash: zHex64,
  topic: zText,
  partition: zCount,
  offset: zNumber,
  line: zCount,
  append_ms: zNumber,
  stream_id: zHex32,
  seq: zNumber,
  ev_hash: zHex64,
  key_id: zHex64,
  flags: zCount,
  tenant: zText,
  session_id: zText,
});
export type LedgerColumns = z.infer<typeof zLedgerColumns>;

export const zPayloadColumns = z.object({
  topic: zText,
  partition: zCount,
  offset: zNumber,
  line: zCount,
  prev_ev_hash: zHex64,
  bytes: zText,
  /** Nobody can read the bytes any more: the key that they were kept under is gone. */
  erased: z.literal(true).optional(),
  /** Base64; bundles of before have none. */
  batch: zText.default(''),
});
export type PayloadColumns = z.infer<typeof zPayloadColumns>;

const zColumns = z.record(z.string(), z.unknown());

/** All rows that the tables hold for one index; a sound index has one ledger row and at most one of each other table. */
export const zBundleRows = z.object({
  type: z.literal('rows'),
  idx: zCount,
  ledger: z.array(zLedgerColumns).default([]),
  payloads: z.array(zPayloadColumns).default([]),
  events: z.array(zColumns).default([]),
  alerts: z.array(zColumns).default([]),
  deadLetters: z.array(zColumns).default([]),
  dispositions: z.array(zColumns).default([]),
  /** Inclusion proof in the tree of the log's signed size; partial bundles only. */
  proof: z.array(zHex64).optional(),
});
export type BundleRows = z.infer<typeof zBundleRows>;

/** A row that no signed head and no batch under way accounts for: somebody else wrote it. The first of its log and table. */
export const zBundleStray = z.object({
  type: z.literal('stray'),
  table: zText,
  logId: zHex64,
  idx: zCount,
  topic: zText.nullable(),
  partition: zCount.nullable(),
  offset: zCount.nullable(),
  session: zText.nullable(),
});
export type BundleStray = z.infer<typeof zBundleStray>;

export const zBundleEnd = z.object({
  type: z.literal('end'),
  /** Entries beyond the signed heads when the bundle was made. */
  pending: zCount,
});

export const zBundleLine = z.discriminatedUnion('type', [
  zBundleHeader,
  zBundleRoot,
  zBundleRootNote,
  zBundleRootStamp,
  zBundleRootEntries,
  zBundleRootHead,
  zBundleLog,
  zBundleRows,
  zBundleStray,
  zBundleEnd,
]);
export type BundleLine = z.infer<typeof zBundleLine>;

const ROOT_LINES = ['root', 'root_note', 'root_stamp', 'root_entries', 'root_head'] as const;
/** A line of the root log. */
export type RootBundleLine = Extract<BundleLine, { readonly type: (typeof ROOT_LINES)[number] }>;

export function isRootLine(line: BundleLine): line is RootBundleLine {
  return ROOT_LINES.some((type) => type === line.type);
}
