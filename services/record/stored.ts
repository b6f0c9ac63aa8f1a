/** What record asks of the store: stream state, the read-back before signing, the checks at start. */
import { TriplineError } from '../../schemas/errors.ts';
import { fromHex, HASH_BYTES, toHex, type Sha256 } from '../evidence/bytes.ts';
import { ENTRY_TYPES } from '../evidence/entry.ts';
import type { Store } from '../platform/store/port.ts';
import type { PartitionState } from './ports.ts';
import type { StreamNeed } from './prepare.ts';
import type { BatchOutcome, TableName } from './outcome.ts';
import { addHash, type SeqHashes, type StreamState } from './stream-state.ts';

/** A need with the log that it concerns. */
export interface StreamLookup extends StreamNeed {
  /** streamKey of the stream. */
  readonly key: string;
  /** Hex. */
  readonly logId: string;
  /** Size of the log's head. Rows beyond it belong to a reserved batch that may be half written: they are no state yet. */
  readonly size: number;
}

/** Streams that one statement asks for. */
const MAX_STREAMS_PER_QUERY = 500;

/** States of streams as their logs hold them, hashes from `fromSeq` up, by key; a stream that its log does not know is left out. */
export async function loadStreams(
  store: Store,
  lookups: readonly StreamLookup[],
): Promise<ReadonlyMap<string, StreamState>> {
  const states = new Map<string, StreamState>();
  const byLog = new Map<string, StreamLookup[]>();
  for (const lookup of lookups) {
    const same = byLog.get(lookup.logId);
    if (same === undefined) byLog.set(lookup.logId, [lookup]);
    else same.push(lookup);
  }
  for (const same of byLog.values())
    for (let from = 0; from < same.length; from += MAX_STREAMS_PER_QUERY)
      await loadOfLog(store, same.slice(from, from + MAX_STREAMS_PER_QUERY), states);
  return states;
}

interface StreamRow {
  readonly stream: string;
  readonly next_seq: string;
  /** (seq, event hash) in the order in which they were entered. */
  readonly entered: readonly (readonly [string, string])[];
}

/** `lookups` are of one log. */
async function loadOfLog(
  store: Store,
  lookups: readonly StreamLookup[],
  states: Map<string, StreamState>,
): Promise<void> {
  const [first] = lookups;
  if (first === undefined) return;
  const log = { log: first.logId, size: first.size };
  const rows = await store.query<StreamRow>(STREAMS_SQL, {
    params: {
      ...log,
      gap: ENTRY_TYPES.gap,
      streams: lookups.map(({ stream }) => stream),
      froms: lookups.map(({ fromSeq }) => fromSeq),
    },
  });
  // Most streams that are asked for are new: there is nothing more to ask of them.
  if (rows.length === 0) return;
  const found = new Map(rows.map((row) => [row.stream, row]));
  const effective = await store.query<{ stream: string; effective_ms: string }>(EFFECTIVE_SQL, {
    params: { ...log, tenant: first.tenant, streams: [...found.keys()] },
  });
  const times = new Map(effective.map((row) => [row.stream, Number(row.effective_ms)]));
  for (const { key, stream, fromSeq: floor } of lookups) {
    const row = found.get(stream);
    if (row === undefined) continue;
    const effectiveMs = times.get(stream) ?? Number.NEGATIVE_INFINITY;
    states.set(key, { nextSeq: Number(row.next_seq), effectiveMs, floor, hashes: hashesOf(row) });
  }
}

function hashesOf(row: StreamRow): Map<number, SeqHashes> {
  const hashes = new Map<number, SeqHashes>();
  for (const [seq, text] of row.entered) {
    const hash = fromHex(text, HASH_BYTES);
    if (hash !== undefined) addHash(hashes, Number(seq), hash);
  }
  return hashes;
}

const WANTED = 'SELECT toFixedString(unhex(arrayJoin({streams:Array(String)})), 16)';

const STREAMS_SQL = `
  SELECT lower(hex(stream_id)) AS stream, toString(max(seq) + 1) AS next_seq,
    arrayMap(x -> (toString(x.2), lower(hex(x.3))), arraySort(groupArrayIf((idx, seq, ev_hash), seq >= from_seq))) AS entered
  FROM ledger
  INNER JOIN (
    SELECT toFixedString(unhex(need.1), 16) AS stream_id, need.2 AS from_seq
    FROM (SELECT arrayJoin(arrayZip({streams:Array(String)}, {froms:Array(UInt64)})) AS need)
  ) AS needs USING (stream_id)
  WHERE log_id = unhex({log:String}) AND idx < {size:UInt64} AND type != {gap:UInt8} AND stream_id IN (${WANTED})
  GROUP BY stream_id`;

// max() of the number, not of the time: compiled for GROUP BY, max(DateTime64) takes times before 1970 for the latest.
const EFFECTIVE_SQL = `
  SELECT lower(hex(stream_id)) AS stream, toString(max(toUnixTimestamp64Milli(effective_time))) AS effective_ms
  FROM events
  WHERE tenant = {tenant:String} AND log_id = unhex({log:String}) AND idx < {size:UInt64} AND stream_id IN (${WANTED})
  GROUP BY stream_id`;

interface Span {
  readonly topic: string;
  readonly partition: number;
  readonly firstOffset: number;
  readonly nextOffset: number;
}

const SPAN =
  'topic = {topic:String} AND partition = {partition:UInt32} AND offset >= {first:UInt64} AND offset < {next:UInt64}';

function spanParams(span: Span) {
  const { topic, partition, firstOffset, nextOffset } = span;
  return { topic, partition, first: firstOffset, next: nextOffset };
}

const WITHOUT_OFFSETS: ReadonlySet<TableName> = new Set(['alerts', 'dead_letters', 'dispositions']);

/** How many rows a table holds of a batch. The tables without offsets are asked by the index ranges of the batch. */
export async function storedRows(store: Store, table: TableName, outcome: BatchOutcome): Promise<number> {
  const { manifest } = outcome;
  if (WITHOUT_OFFSETS.has(table)) {
    let rows = 0;
    for (const log of manifest.logs) {
      const [row] = await store.query<{ rows: string }>(
        `SELECT toString(count()) AS rows FROM ${table}
         WHERE log_id = unhex({log:String}) AND idx >= {from:UInt64} AND idx < {to:UInt64}`,
        { params: { log: log.logId, from: log.oldHead?.size ?? 0, to: log.newHead.size } },
      );
      rows += Number(row?.rows ?? 0);
    }
    return rows;
  }
  const [row] = await store.query<{ rows: string }>(
    `SELECT toString(count()) AS rows FROM ${table} WHERE ${SPAN}`,
    { params: spanParams(manifest) },
  );
  return Number(row?.rows ?? 0);
}

/**
 * Compares the ledger rows of the batch's offsets with what was computed: the same leaf hashes, no more, no fewer.
 * Throws ledger_diverges. This is the last thing before the signature.
 */
export async function readBack(store: Store, outcome: BatchOutcome, sha256: Sha256): Promise<void> {
  const rows = await store.query<{ log: string; entries: string; digest: string }>(
    `SELECT lower(hex(log_id)) AS log, toString(count()) AS entries,
       lower(hex(SHA256(arrayStringConcat(arrayMap(x -> hex(x.2), arraySort(groupArray((idx, leaf_hash)))))))) AS digest
     FROM ledger WHERE ${SPAN} GROUP BY log_id`,
    { params: spanParams(outcome.manifest) },
  );
  const found = new Map(rows.map((row) => [row.log, row]));
  const equal =
    found.size === outcome.leaves.size &&
    [...outcome.leaves].every(([log, leaves]) => {
      const row = found.get(log);
      return Number(row?.entries) * HASH_BYTES === leaves.length && row?.digest === hexDigest(leaves, sha256);
    });
  if (equal) return;
  const { topic, partition, firstOffset, nextOffset } = outcome.manifest;
  throw new TriplineError(
    'ledger_diverges',
    `rows of ${topic}/${partition} offsets ${firstOffset} to ${nextOffset - 1} differ from what was computed`,
  );
}

/** SHA-256 of the leaves' upper-case hex text, as the store computes it. */
function hexDigest(leaves: Uint8Array, sha256: Sha256): string {
  const { buffer, byteOffset, length } = leaves;
  return toHex(sha256(Buffer.from(Buffer.from(buffer, byteOffset, length).toString('hex').toUpperCase())));
}

interface LogRows {
  readonly log: string;
  readonly rows: string;
  readonly last_leaf: string;
}

/**
 * At the start of a life: the store holds every signed entry, and nothing beyond the reserved batch. Throws
 * ledger_behind_head or ledger_diverges; nothing is signed until a person has explained it.
 */
export async function checkAgainstHeads(store: Store, state: PartitionState): Promise<void> {
  const { topic, partition, nextOffset } = state;
  const signed = await store.query<LogRows>(
    `SELECT lower(hex(log_id)) AS log, toString(count()) AS rows, lower(hex(argMax(leaf_hash, idx))) AS last_leaf
     FROM ledger WHERE ${SPAN} GROUP BY log_id`,
    { params: spanParams({ topic, partition, firstOffset: 0, nextOffset }) },
  );
  const rows = new Map(signed.map((row) => [row.log, row]));
  for (const head of state.heads) {
    const found = rows.get(head.logId);
    const held = Number(found?.rows ?? 0);
    if (held < head.size) {
      throw new TriplineError(
        'ledger_behind_head',
        `${head.origin} holds ${held} of ${head.size} signed entries`,
      );
    }
    if (held > head.size || found?.last_leaf !== head.lastLeafHash) {
      throw new TriplineError('ledger_diverges', `${head.origin} holds other entries than were signed`);
    }
  }
  await checkBeyond(store, state);
}

async function checkBeyond(store: Store, state: PartitionState): Promise<void> {
  const { topic, partition, outstanding } = state;
  const from = outstanding?.nextOffset ?? state.nextOffset;
  const [beyond] = await store.query<{ rows: string }>(
    `SELECT toString(count()) AS rows FROM ledger
     WHERE topic = {topic:String} AND partition = {partition:UInt32} AND offset >= {from:UInt64}`,
    { params: { topic, partition, from } },
  );
  if (beyond !== undefined && beyond.rows !== '0') {
    throw new TriplineError(
      'ledger_diverges',
      `${topic}/${partition} holds ${beyond.rows} entries beyond offset ${from} that were never reserved`,
    );
  }
}
