/**
 * An evidence bundle out of the store. Signed heads are taken first, then rows up to those sizes, so that a running
 * writer never makes a sound ledger look wrong; last the rows that no head covers. What the tables hold is written as it is: twin, missing and altered rows
 * are for the verifier to find. Memory: one range of rows; for partial bundles also 64 bytes an entry of one log.
 */
import { BUNDLE_VERSION, type BundleHead, type BundleLine } from '../../evidence/bundle.ts';
import { BlockEntry, plainRows } from '../../evidence/block-entry.ts';
import { BUNDLE_MAGIC, lineSection, rowsSection, type BlockWriter } from '../../evidence/bundle-binary.ts';
import { concatBytes, hashFromHex } from '../../evidence/bytes.ts';
import { RowsBlock } from '../../evidence/rows-block.ts';
import { TABLE_LAYOUTS } from '../../evidence/table-layout.ts';
import type { Sample } from '../../evidence/depth.ts';
import { ProofTree } from '../../evidence/merkle.ts';
import { logOrigin } from '../../evidence/origin.ts';
import type { SubjectKeys } from '../payloads/keys.ts';
import { PayloadReader } from '../payloads/read.ts';
import type { Store } from '../store/port.ts';
import { sha256 } from './crypto.ts';
import { headsOfSigner, headsOfStore, keysOfSigner, type HeadSource, type SignedHeads } from './heads.ts';
import { rootLines, rotationsOf, settledRoot, type RootEvidence } from './export-root.ts';
import { readRows, type ExportedLog, type LogPlan } from './log-rows.ts';
import { filteredIndexes, readLeaves, type Columns, type RowFilter, type StoredRows } from './rows.ts';
import { strayRows } from './strays.ts';

export interface ExportOptions extends RowFilter {
  readonly deployment: string;
  readonly nowMs: number;
  /** Absent: all tenants. */
  readonly tenant?: string | undefined;
  /** Absent: the heads that `checkpoints` keeps. */
  readonly heads?: HeadSource | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Keys of sealed payloads. */
  readonly keys?: SubjectKeys | undefined;
  /** For a verifier that looks into every so many entries: the bytes and columns of no others. Not for partial bundles. */
  readonly sample?: Sample | undefined;
  /** NDJSON where absent. */
  readonly format?: BundleFormat | undefined;
  /** For one that goes on where it stopped: sizes of logs below which entries were looked into, by log id. */
  readonly verified?: ReadonlyMap<string, number> | undefined;
}

export type BundleFormat = 'ndjson' | 'binary';

/** Leaf hashes of one read. */
const MAX_TREE_ROWS = 65_536;

/** A piece of a bundle, and how many entries it holds. */
export interface BundlePiece {
  readonly bytes: Uint8Array;
  readonly entries: number;
}

/** A bundle (services/evidence/bundle.ts), chunk by chunk; at its pace the store is read. */
export async function* exportLedger(store: Store, options: ExportOptions): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of exportPieces(store, options)) yield bytes;
}

/** As exportLedger, and how many entries stand in each piece. */
export async function* exportPieces(store: Store, options: ExportOptions): AsyncGenerator<BundlePiece> {
  const { signed, root } = await signedNow(store, options.heads);
  const partial = leavesOut(options);
  const form = FORMS[options.format ?? 'ndjson'];
  const encode = (lines: readonly Line[]): BundlePiece => ({ bytes: form.lines(lines), entries: 0 });
  const first = { ...(await header(store, signed, { ...options, partial })), ...form.header };
  yield { bytes: concatBytes([form.magic, form.lines([first])]), entries: 0 };
  const logs = await logsOf(store, signed, options);
  if (root !== undefined) {
    const whole = !partial && options.tenant === undefined;
    for await (const line of rootLines(root, whole ? undefined : logs)) yield encode([line]);
  }
  const plans = await plansOf(store, logs, { ...options, isPartial: partial });
  const reader = new PayloadReader(store, options.keys);
  for await (const part of rowPieces({ store, reader }, plans, partial)) {
    options.signal?.throwIfAborted();
    if (part.kind === 'line') yield encode([part.line]);
    else yield form.rows(part.block.block());
  }
  if (!partial) yield encode(await straysOf(store, signed, options));
  yield encode([{ type: 'end', pending: await pendingRows(store, logs) }]);
}

function leavesOut({ session, event, sinceMs, untilMs }: RowFilter): boolean {
  return [session, event, sinceMs, untilMs].some((one) => one !== undefined);
}

/** How lines and rows are written. */
interface Form {
  readonly magic: Uint8Array;
  /** What its header says besides. */
  readonly header: Readonly<Record<string, unknown>>;
  lines(lines: readonly Line[]): Uint8Array;
  rows(block: Uint8Array): BundlePiece;
}

const FORMS: Readonly<Record<BundleFormat, Form>> = {
  ndjson: {
    magic: new Uint8Array(0),
    header: {},
    lines: (lines) => Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join('')),
    rows: (bytes) => {
      const block = new RowsBlock(bytes, TABLE_LAYOUTS);
      let text = '';
      for (let entry = 0; entry < block.count; entry += 1)
        text += `${JSON.stringify(plainRows(new BlockEntry(block, entry)))}\n`;
      return { bytes: Buffer.from(text), entries: block.count };
    },
  },
  binary: {
    magic: BUNDLE_MAGIC,
    header: { tables: TABLE_LAYOUTS },
    lines: (lines) => Buffer.concat(lines.map(lineSection)),
    rows: (bytes) => ({ bytes: rowsSection(bytes), entries: new RowsBlock(bytes, TABLE_LAYOUTS).count }),
  },
};

interface SignedNow {
  readonly signed: SignedHeads;
  readonly root: RootEvidence | undefined;
}

/** Heads and root log of one moment where there is a root log, else the heads alone. */
async function signedNow(store: Store, source: HeadSource | undefined): Promise<SignedNow> {
  if (source === undefined) return { signed: await headsOfStore(store), root: undefined };
  const root = await settledRoot(source);
  if (root === undefined) return { signed: await headsOfSigner(source), root };
  const rotations = await rotationsOf(root);
  return { signed: { keys: await keysOfSigner(source), rotations, lists: root.snapshot.lists }, root };
}

/** None where no signer can be asked: then a row of a batch under way cannot be told from one that is nobody's. */
async function straysOf(store: Store, signed: SignedHeads, options: ExportOptions): Promise<readonly Line[]> {
  const { heads: signer, tenant } = options;
  if (signer === undefined) return [];
  const sizes = new Map([...largestHeads(signed)].map(([logId, { head }]) => [logId, head.size]));
  const strays = await strayRows(store, { signer, sizes, tenant });
  return strays.map((stray) => ({ ...stray }));
}

type Line = Readonly<Record<string, unknown>> & { readonly type: BundleLine['type'] };

async function header(
  store: Store,
  signed: SignedHeads,
  options: ExportOptions & { readonly partial: boolean },
): Promise<Line> {
  const filter: Record<string, string> = {};
  if (options.tenant !== undefined) filter['tenant'] = options.tenant;
  if (options.session !== undefined) filter['session'] = options.session;
  if (options.event !== undefined) filter['event'] = options.event;
  if (options.sinceMs !== undefined) filter['sinceMs'] = String(options.sinceMs);
  if (options.untilMs !== undefined) filter['untilMs'] = String(options.untilMs);
  const mappings = await store.query<Columns>(
    'SELECT version, body FROM class_mappings ORDER BY first_used LIMIT 1 BY version',
  );
  const { deployment, nowMs: createdAtMs, partial } = options;
  const about = { deployment, createdAtMs, partial, filter };
  const { keys, rotations = [], lists } = signed;
  return { type: 'header', v: BUNDLE_VERSION, ...about, keys, rotations, heads: lists, mappings };
}

interface SignedLog {
  readonly head: BundleHead;
  readonly topic: string;
  readonly partition: number;
}

function largestHeads(signed: SignedHeads): ReadonlyMap<string, SignedLog> {
  const largest = new Map<string, SignedLog>();
  for (const { topic, partition, heads } of signed.lists) {
    for (const head of heads) {
      const known = largest.get(head.logId)?.head.size ?? 0;
      if (known < head.size) largest.set(head.logId, { head, topic, partition });
    }
  }
  return largest;
}

/** Logs with signed heads, by id, at their largest signed size. A log without a single row has no tenant and is left out. */
async function logsOf(store: Store, signed: SignedHeads, options: ExportOptions): Promise<ExportedLog[]> {
  const tenants = await tenantsOf(store);
  const { deployment } = options;
  const asked = options.tenant;
  const logs: ExportedLog[] = [];
  for (const [logId, { head, topic, partition }] of largestHeads(signed)) {
    const names = asked === undefined ? (tenants.get(logId) ?? []) : [asked];
    const tenant = names.find(
      (name) => logOrigin({ deployment, tenant: name, topic, partition }, sha256) === head.origin,
    );
    if (tenant !== undefined) logs.push({ logId, tenant, topic, partition, size: head.size });
  }
  return logs.toSorted((a, b) => (a.logId < b.logId ? -1 : 1));
}

/** Names that the rows of a log give; more than one only where somebody wrote to the table. */
async function tenantsOf(store: Store): Promise<ReadonlyMap<string, readonly string[]>> {
  const rows = await store.query<{ log: string; tenants: readonly string[] }>(
    'SELECT lower(hex(log_id)) AS log, groupUniqArray(16)(tenant) AS tenants FROM ledger GROUP BY log_id',
  );
  return new Map(rows.map((row) => [row.log, row.tenants]));
}

/** Which entries a filter keeps of each log; logs of which it keeps none are shown without a row. */
async function plansOf(
  store: Store,
  logs: readonly ExportedLog[],
  { isPartial, ...filter }: ExportOptions & { readonly isPartial: boolean },
): Promise<LogPlan[]> {
  const { sample, verified } = filter;
  if (!isPartial) {
    if (sample === undefined && verified === undefined) return logs.map((log) => ({ log }));
    return logs.map((log) => ({ log, depth: { sample, below: verified?.get(log.logId) ?? 0 } }));
  }
  const plans: LogPlan[] = [];
  for (const log of logs) {
    const range = { logId: log.logId, from: 0, to: log.size };
    plans.push({ log, indexes: await filteredIndexes(store, range, filter) });
  }
  return plans;
}

type RowsPiece =
  { readonly kind: 'line'; readonly line: Line } | { readonly kind: 'rows'; readonly block: BlockWriter };

async function* rowPieces(
  source: StoredRows,
  plans: readonly LogPlan[],
  isPartial: boolean,
): AsyncGenerator<RowsPiece> {
  let at: ExportedLog | undefined;
  let tree: ProofTree | undefined;
  for await (const { log, block, indexes } of readRows(source, plans)) {
    if (log !== at) {
      const { logId, tenant, topic, partition, size } = log;
      yield { kind: 'line', line: { type: 'log', logId, tenant, topic, partition, size } };
      tree = isPartial && block !== undefined ? await loadTree(source.store, log) : undefined;
      at = log;
    }
    if (block === undefined) continue;
    for (const idx of indexes) addProof(block, idx, tree);
    yield { kind: 'rows', block };
  }
}

/** An index that was added to the tables beyond the end of its log has none. */
function addProof(block: BlockWriter, idx: number, tree: ProofTree | undefined): void {
  if (tree !== undefined && idx < tree.size) block.add('proofs', idx, concatBytes(tree.inclusionProof(idx)));
}

async function loadTree(store: Store, log: ExportedLog): Promise<ProofTree> {
  const tree = new ProofTree(sha256);
  for (let from = 0; from < log.size; from += MAX_TREE_ROWS) {
    const range = { logId: log.logId, from, to: Math.min(from + MAX_TREE_ROWS, log.size) };
    for (const leaf of await readLeaves(store, range)) tree.append(hashFromHex(leaf.leaf_hash));
  }
  return tree;
}

/** Entries beyond the signed sizes when the export ended, over the logs that were exported. */
async function pendingRows(store: Store, logs: readonly ExportedLog[]): Promise<number> {
  let pending = 0;
  for (const { logId: log, size } of logs) {
    const [row] = await store.query<{ rows: string }>(
      'SELECT toString(count()) AS rows FROM ledger WHERE log_id = unhex({log:String}) AND idx >= {size:UInt64}',
      { params: { log, size } },
    );
    pending += Number(row?.rows ?? 0);
  }
  return pending;
}
