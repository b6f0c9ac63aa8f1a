/**
 * The records of a span read again and entered as they were: from the entries before them, as the tables hold those, and
 * from what streams have said, as the tables and the spans before hold it. Part by part, so that memory stays bounded by a
 * part and the hashes of the streams that are met.
 */
import { HASH_BYTES, toHex } from '../../evidence/bytes.ts';
import type { Bus, BusRecord } from '../../platform/bus/port.ts';
import type { Store } from '../../platform/store/port.ts';
import { cutRuns } from '../cut.ts';
import { logIdOf, type PartitionHeads, type StepSettings } from '../open-log.ts';
import type { EnteredRows, KeepRow } from '../outcome.ts';
import type { LogHead } from '../ports.ts';
import { prepareRecord, streamNeeds, type PreparedRecord } from '../prepare.ts';
import { Batch } from '../step.ts';
import { loadStreams, type StreamLookup } from '../stored.ts';
import { addHash, isHeld, type StreamState } from '../stream-state.ts';
import type { OffsetSpan, SignedPartition } from './holes.ts';

export interface ReplayPorts {
  readonly bus: Pick<Bus, 'offsets' | 'read'>;
  readonly store: Store;
}

/** Records of one insert. */
const PART_LIMITS = { maxEvents: 2048, maxBytes: 4 * 1024 * 1024 };

export interface ReplayedPart {
  readonly records: readonly BusRecord[];
  /** The rows of this part for which `keep` holds. May be called more than once. */
  enter(keep: KeepRow): EnteredRows;
}

/** What the bus still holds of a span: undefined where it holds nothing of it. */
export async function heldSpan(
  { bus }: ReplayPorts,
  { topic, partition }: SignedPartition,
  span: OffsetSpan,
): Promise<OffsetSpan | undefined> {
  const bounds = (await bus.offsets(topic)).find((one) => one.partition === partition);
  const from = Math.max(span.from, bounds?.earliest ?? Infinity);
  const to = Math.min(span.to, (bounds?.latest ?? 0) - 1);
  return from <= to ? { from, to } : undefined;
}

/** Streams as the spans before left them; the tables may not hold that yet. */
export type Overlay = Map<string, StreamState>;

/** Ends before the first record that is not there. */
export async function* replay(
  ports: ReplayPorts,
  settings: StepSettings,
  {
    at,
    span,
    overlay,
  }: { readonly at: SignedPartition; readonly span: OffsetSpan; readonly overlay: Overlay },
): AsyncGenerator<ReplayedPart> {
  let before = await headsBefore(ports.store, at, span.from);
  const { topic, partition } = at;
  for await (const read of ports.bus.read({ topic, partition, from: span.from, to: span.to + 1 }))
    for (const { records } of cutRuns(read, PART_LIMITS)) {
      if (records[0]?.offset !== before.nextOffset) return;
      const part = await openPart(ports.store, settings, { before, records, overlay });
      yield part;
      before = advanced(
        before,
        part.enter(() => false),
        overlay,
      );
      before = { ...before, nextOffset: (records.at(-1)?.offset ?? before.nextOffset) + 1 };
    }
}

async function openPart(
  store: Store,
  settings: StepSettings,
  what: {
    readonly before: PartitionHeads;
    readonly records: readonly BusRecord[];
    readonly overlay: Overlay;
  },
): Promise<ReplayedPart> {
  const { before, records, overlay } = what;
  const prepared = records.map(prepareRecord);
  const streams = await streamsOf(store, settings, { before, prepared, overlay });
  return {
    records,
    enter: (keep) => {
      const batch = new Batch(before, settings, 0, keep);
      // A draft settles into the state that it was given.
      batch.enter(prepared, new Map([...streams].map(([key, state]) => [key, copyOf(state)])));
      return batch.enteredRows();
    },
  };
}

const copyOf = (state: StreamState): StreamState => ({ ...state, hashes: new Map(state.hashes) });

async function streamsOf(
  store: Store,
  settings: StepSettings,
  {
    before,
    prepared,
    overlay,
  }: { before: PartitionHeads; prepared: readonly PreparedRecord[]; overlay: Overlay },
): Promise<ReadonlyMap<string, StreamState>> {
  const lookups: StreamLookup[] = [];
  const needs = streamNeeds(prepared);
  for (const [key, need] of needs) {
    const logId = logIdOf(need.tenant, before, settings);
    const size = before.heads.get(logId)?.size;
    if (size !== undefined) lookups.push({ ...need, key, logId, size });
  }
  const streams = new Map(await loadStreams(store, lookups));
  for (const key of needs.keys()) {
    const known = overlay.get(key);
    if (known !== undefined) streams.set(key, joined(known, streams.get(key)));
  }
  return streams;
}

/** The hash that was entered stands first, so those of the replay go before. */
function joined(known: StreamState, stored: StreamState | undefined): StreamState {
  if (stored === undefined) return known;
  const hashes = new Map(known.hashes);
  for (const [seq, held] of stored.hashes)
    for (const hash of held instanceof Uint8Array ? [held] : held) {
      const there = hashes.get(seq);
      const list = there === undefined ? [] : there instanceof Uint8Array ? [there] : there;
      if (!isHeld(list, [hash])) addHash(hashes, seq, hash);
    }
  return {
    nextSeq: Math.max(known.nextSeq, stored.nextSeq),
    effectiveMs: Math.max(known.effectiveMs, stored.effectiveMs),
    floor: stored.floor,
    hashes,
  };
}

/** Logs of the partition as they stood before an offset. Rows before it are all there: a span begins where some are not. */
async function headsBefore(store: Store, at: SignedPartition, offset: number): Promise<PartitionHeads> {
  const rows = await store.query<{ log: string; size: string; last_leaf: string }>(
    `SELECT lower(hex(log_id)) AS log, toString(max(idx) + 1) AS size, lower(hex(argMax(leaf_hash, idx))) AS last_leaf
     FROM ledger WHERE topic = {topic:String} AND partition = {partition:UInt32} AND offset < {offset:UInt64} GROUP BY log_id`,
    { params: { topic: at.topic, partition: at.partition, offset }, maxResultRows: 10_000_000 },
  );
  const found = new Map(rows.map((row) => [row.log, row]));
  const heads = new Map<string, LogHead>();
  for (const { logId, origin } of at.heads) {
    const row = found.get(logId);
    if (row !== undefined)
      heads.set(logId, headOf(logId, origin, { size: Number(row.size), lastLeafHash: row.last_leaf }));
  }
  return { topic: at.topic, partition: at.partition, nextOffset: offset, watermarkMs: 0, heads };
}

/** Without what only a signature needs. */
function headOf(
  logId: string,
  origin: string,
  { size, lastLeafHash }: { readonly size: number; readonly lastLeafHash: string },
): LogHead {
  return { logId, origin, size, root: '', lastLeafHash, compactRange: [] };
}

function advanced(before: PartitionHeads, rows: EnteredRows, overlay: Overlay): PartitionHeads {
  const heads = new Map(before.heads);
  for (const [logId, { from, leaves }] of rows.entered) {
    if (leaves.length === 0) continue;
    const size = from + leaves.length / HASH_BYTES;
    const lastLeafHash = toHex(leaves.subarray(leaves.length - HASH_BYTES));
    heads.set(logId, headOf(logId, heads.get(logId)?.origin ?? '', { size, lastLeafHash }));
  }
  for (const [key, draft] of rows.streams) overlay.set(key, draft.settle(Infinity));
  return { ...before, heads };
}

/** The leaf hash of an entry of a part; undefined where it is of another part. */
export function leafOf(rows: EnteredRows, logId: string, index: number): Uint8Array | undefined {
  const found = rows.entered.get(logId);
  if (found === undefined || index < found.from) return undefined;
  const start = (index - found.from) * HASH_BYTES;
  return start < found.leaves.length ? found.leaves.subarray(start, start + HASH_BYTES) : undefined;
}
