/** Erased entries on a bus whose log is ours: their lines, also where a producer sent them again and they became no entry. */
import { HEADERS, LEDGER_TOPICS, TOPICS } from '../../../schemas/topics.ts';
import { ZERO_STREAM, toHex } from '../../evidence/bytes.ts';
import { parseRanges, type IndexRange } from '../../evidence/index-ranges.ts';
import type { BusRecord, ErasableBus } from '../../platform/bus/port.ts';
import type { Store } from '../../platform/store/port.ts';
import type { Intent } from './intents.ts';

interface LineRow {
  readonly topic: string;
  readonly partition: number;
  readonly at_offset: string;
  readonly line: number;
  readonly stream: string;
  readonly at_seq: string;
}

export interface ErasedLines {
  /** topic/partition/offset/line */
  readonly places: ReadonlySet<string>;
  /** stream-seq, where a line has a place in a stream. */
  readonly ids: ReadonlySet<string>;
}

const NO_STREAM = toHex(ZERO_STREAM);

/** Out of the ledger, whose rows stay. */
async function linesOf(store: Store, { logs }: Pick<Intent, 'logs'>): Promise<ErasedLines> {
  const lines = { places: new Set<string>(), ids: new Set<string>() };
  for (const { log, indexes } of logs)
    await addLines(store, lines, { log, ranges: parseRanges(indexes) ?? [] });
  return lines;
}

async function addLines(
  store: Store,
  { places, ids }: { readonly places: Set<string>; readonly ids: Set<string> },
  { log, ranges }: { readonly log: string; readonly ranges: readonly IndexRange[] },
): Promise<void> {
  const [first, last] = [ranges.at(0), ranges.at(-1)];
  if (first === undefined || last === undefined) return;
  const rows = store.queryStream<LineRow & { at_idx: string }>(
    `SELECT toString(idx) AS at_idx, topic, partition, toString(offset) AS at_offset, line,
       lower(hex(stream_id)) AS stream, toString(seq) AS at_seq
     FROM ledger WHERE log_id = unhex({log:String}) AND idx BETWEEN {first:UInt64} AND {last:UInt64} ORDER BY idx`,
    { params: { log, first: first.from, last: last.to } },
  );
  const isListed = ascending(ranges);
  for await (const some of rows) {
    for (const row of some) {
      if (!isListed(Number(row.at_idx))) continue;
      places.add(`${row.topic}/${row.partition}/${row.at_offset}/${row.line}`);
      if (row.stream !== NO_STREAM) ids.add(`${row.stream}-${row.at_seq}`);
    }
  }
}

/** Whether an index is in one of the ranges; asked of ascending indexes. */
function ascending(ranges: readonly IndexRange[]): (index: number) => boolean {
  let at = 0;
  return (index) => {
    while ((ranges[at]?.to ?? Infinity) < index) at += 1;
    return index >= (ranges[at]?.from ?? Infinity);
  };
}

/** Answers how many lines went. Idempotent. */
async function take(bus: ErasableBus, { places, ids }: ErasedLines): Promise<number> {
  const isErased = (record: BusRecord, line: number, bytes: Uint8Array): boolean =>
    places.has(`${record.topic}/${record.partition}/${record.offset}/${line}`) ||
    ids.has(idOf(record, line, bytes));
  let lines = 0;
  for (const topic of LEDGER_TOPICS)
    lines += topic === TOPICS.audit.name ? 0 : await bus.eraseLines(topic, isErased);
  const alerts = new Set([...ids].map((id) => id.slice(0, 32)));
  lines += await bus.eraseLines(TOPICS.outbox.name, ({ value }) => alerts.has(alertOf(value)));
  return lines;
}

/** By the headers, else by the line itself. */
function idOf({ headers }: BusRecord, line: number, bytes: Uint8Array): string {
  const stream = headers[HEADERS.stream];
  const firstSeq = headers[HEADERS.firstSeq];
  if (stream !== undefined && firstSeq !== undefined) return `${stream}-${Number(firstSeq) + line}`;
  const parsed = objectOf(bytes);
  return `${String(parsed['stream'])}-${String(parsed['seq'])}`;
}

/** Stream of the alert that a delivery is of: the first half of its id. */
function alertOf(value: Uint8Array | null): string {
  const { subject } = value === null ? {} : objectOf(value);
  return typeof subject === 'string' ? subject.slice(0, 32) : '';
}

function objectOf(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    return typeof parsed === 'object' && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    return {}; // No line of an event: it goes by its place, or stays.
  }
}

export const eraseOnBus = { linesOf, take };
