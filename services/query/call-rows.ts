/** Calls out of table `events`: what there is, and slices of it as columns. SQL is ours; values come as parameters. */
import type { CallColumn, CallEquality, CallPart, CallRequest } from '../../schemas/event/columns.ts';
import { EVENT_KINDS, TOOL_CLASSES } from '../../schemas/event/v1.ts';
import { TOPICS } from '../../schemas/topics.ts';
import { PayloadReader, type Opened, type SealedRow } from '../platform/payloads/read.ts';
import type { SqlParameter, Store } from '../platform/store/port.ts';
import { ALL_TENANTS } from '../platform/http/principal.ts';
import type { StoredPayloads } from './events.ts';

/** Calls of a slice are side by side in memory: of the engine, and with their lines here too. */
const MAX_SLICE_CALLS = 500_000;
const MAX_SLICE_BYTES = 32 * 1024 * 1024;
/** What a line holds beside its arguments and result. */
const LINE_BYTES = 512;
/** Offsets of a part. */
const PART_OFFSETS = 65_536;
const LINES_PER_PART = 1_024;

export interface Where {
  readonly sql: string;
  readonly params: Readonly<Record<string, SqlParameter>>;
}

const both = (a: Where, b: Where): Where => ({
  sql: `${a.sql} AND ${b.sql}`,
  params: { ...a.params, ...b.params },
});

/** Events of topic toolcalls that a stream's place belongs to: a second event of a place is no call of its own. */
export function rangeOf(tenant: string, { since, until, at }: CallRequest): Where {
  const conditions = ['topic = {topic:String}', "NOT has(findings, 'equivocation')"];
  const params: Record<string, SqlParameter> = { topic: TOPICS.toolcalls.name };
  if (tenant !== ALL_TENANTS) {
    conditions.push('tenant = {tenant:String}');
    params['tenant'] = tenant;
  }
  if (since !== undefined) {
    conditions.push('append_time >= fromUnixTimestamp64Milli({since:Int64})');
    params['since'] = Date.parse(since);
  }
  if (until !== undefined) {
    conditions.push('append_time < fromUnixTimestamp64Milli({until:Int64})');
    params['until'] = Date.parse(until);
  }
  if (at !== undefined) conditions.push(isAt(at));
  return { sql: conditions.join(' AND '), params };
}

/** In the statement, not as parameters: to a server those travel in the URL, which is too short for them. All are whole numbers. */
function isAt(places: NonNullable<CallRequest['at']>): string {
  const list = (part: 0 | 1 | 2, type: string): string =>
    `CAST([${places.map((place) => Math.trunc(place[part])).join(',')}] AS Array(${type}))`;
  const zipped = `arrayZip(${list(0, 'UInt32')}, ${list(1, 'UInt64')}, ${list(2, 'UInt16')})`;
  return `(partition, offset, line) IN (SELECT p.1, p.2, p.3 FROM (SELECT arrayJoin(${zipped}) AS p))`;
}

/** By selection whether a call may fit it. */
export function fitsEach({ of }: CallRequest): {
  readonly sql: readonly string[];
  readonly params: Where['params'];
} {
  const params: Record<string, SqlParameter> = {};
  const sql = of.map(({ kinds, classes, equals }, n) => {
    params[`k${n}`] = kinds;
    const conditions = [`kind IN {k${n}:Array(String)}`];
    if (classes !== null) {
      params[`c${n}`] = classes;
      conditions.push(`class IN {c${n}:Array(String)}`);
    }
    equals?.forEach((equality, at) => {
      params[`e${n}_${at}`] = equality.values;
      conditions.push(`${comparedText(equality)} IN {e${n}_${at}:Array(String)}`);
    });
    return `(${conditions.join(' AND ')})`;
  });
  return { sql, params };
}

/** Without case as JavaScript has it: the Kelvin sign is the one letter outside of ASCII whose lower case is inside. */
function comparedText({ column, cased }: CallEquality): string {
  return cased ? textOf(column) : `lower(replaceAll(${textOf(column)}, '\u212A', 'k'))`;
}

/** Of one of the selections. */
function fits(request: CallRequest): Where {
  const { sql, params } = fitsEach(request);
  return { sql: `(${sql.join(' OR ')})`, params };
}

/** What the range holds of one tenant and partition. */
export interface LogOverview {
  readonly tenant: string;
  readonly partition: number;
  readonly events: number;
  readonly calls: number;
  /** Of the calls' lines, about. */
  readonly bytes: number;
  /** First and last offset. */
  readonly from: number;
  readonly to: number;
  /** Events whose class was worked out by another mapping. */
  readonly foreign: number;
  /** Some event was appended, by the bus's clock, before one that stands earlier. */
  readonly runsBack: boolean;
}

export const sumOf = (logs: readonly LogOverview[], name: 'events' | 'calls' | 'bytes'): number =>
  logs.reduce((sum, log) => sum + log[name], 0);

/** In the order in which slices and parts come. */
export async function readOverview(
  store: Store,
  tenant: string,
  request: CallRequest,
): Promise<readonly LogOverview[]> {
  const range = rangeOf(tenant, request);
  const wanted = fits(request);
  const sizes = request.lines ? `sumIf(args_bytes + result_bytes, ${wanted.sql})` : '0';
  const [rows, back] = await Promise.all([
    store.query<Readonly<Record<string, string | number>>>(
      `SELECT tenant, partition, toString(count()) AS events, toString(countIf(${wanted.sql})) AS calls,
         toString(${sizes}) AS bytes, toString(min(offset)) AS first, toString(max(offset)) AS last,
         toString(countIf(class_version != {mapping:String})) AS foreign_rows
       FROM events WHERE ${range.sql} GROUP BY tenant, partition ORDER BY tenant, partition`,
      { params: { ...range.params, ...wanted.params, mapping: request.mapping } },
    ),
    // Named places are cited by what was read before.
    request.at === undefined ? runningBack(store, tenant, request) : new Set<string>(),
  ]);
  return rows.map((row) => ({
    tenant: String(row['tenant']),
    partition: Number(row['partition']),
    events: Number(row['events']),
    calls: Number(row['calls']),
    bytes: Number(row['bytes']) + Number(row['calls']) * LINE_BYTES,
    from: Number(row['first']),
    to: Number(row['last']),
    foreign: Number(row['foreign_rows']),
    runsBack: back.has(`${row['partition']} ${row['tenant']}`),
  }));
}

/**
 * Logs in which append times run back. Detection goes by their running maximum, over calls that are not read here too.
 * Entries are compared with the one before, thousands at a time, and sorted only where the engine did not collect them in
 * order; ends of neighbours are compared by their extremes. A tenant has one log in a partition of the topic.
 */
async function runningBack(
  store: Store,
  tenant: string,
  { since, until }: CallRequest,
): Promise<ReadonlySet<string>> {
  const own = tenant === ALL_TENANTS ? '' : 'AND tenant = {tenant:String}';
  const range =
    since === undefined && until === undefined
      ? ''
      : 'AND append_ms >= {since:UInt64} AND append_ms < {until:UInt64}';
  const rows = await store.query<{ tenant: string; partition: number }>(
    `SELECT tenant, partition FROM (
       SELECT tenant, partition, intDiv(idx, 65536) AS g, min(append_ms) AS low, max(append_ms) AS high,
         groupArray(idx) AS i, groupArray(append_ms) AS a,
         arrayMin(arrayDifference(if(arrayMin(arrayDifference(i)) < 0, arraySort((x, y) -> y, a, i), a))) < 0 AS back
       FROM ledger WHERE topic = {topic:String} ${own} ${range}
       GROUP BY tenant, partition, g)
     GROUP BY tenant, partition
     HAVING max(back) = 1 OR arrayExists(p -> p.3 < p.2, arrayMap((a, b) -> (a.1, a.3, b.2),
       arrayPopBack(arraySort(groupArray((g, low, high)))), arrayPopFront(arraySort(groupArray((g, low, high))))))`,
    {
      params: {
        topic: TOPICS.toolcalls.name,
        tenant,
        since: since === undefined ? 0 : Date.parse(since),
        until: until === undefined ? Number.MAX_SAFE_INTEGER : Date.parse(until),
      },
    },
  );
  return new Set(rows.map((row) => `${row.partition} ${row.tenant}`));
}

/** Logs one after another, a long one in pieces of its offsets, short ones together. Absent bounds: all that there is. */
export interface Slice {
  readonly from: Bound | undefined;
  /** Exclusive. */
  readonly to: Bound | undefined;
}
interface Bound {
  readonly tenant: string;
  readonly partition: number;
  readonly offset: number;
}

export function slicesOf(logs: readonly LogOverview[], withLines: boolean): Slice[] {
  const weightOf = ({ calls, bytes }: LogOverview): number =>
    Math.max(calls / MAX_SLICE_CALLS, withLines ? bytes / MAX_SLICE_BYTES : 0);
  const bounds: Bound[] = [];
  let held = 0;
  for (const log of logs) {
    const { tenant, partition, from, to } = log;
    const weight = weightOf(log);
    if (held > 0 && held + weight > 1) {
      bounds.push({ tenant, partition, offset: from });
      held = 0;
    }
    const pieces = Math.ceil(weight);
    for (let piece = 1; piece < pieces; piece++)
      bounds.push({ tenant, partition, offset: from + Math.ceil(((to - from + 1) * piece) / pieces) });
    held = pieces > 1 ? 1 : held + weight;
  }
  return [undefined, ...bounds].map((bound, at) => ({ from: bound, to: bounds[at] }));
}

function sliced({ from, to }: Slice): Where {
  const conditions = ['1'];
  const params: Record<string, SqlParameter> = {};
  for (const [name, operator, bound] of [
    ['s', '>=', from],
    ['e', '<', to],
  ] as const) {
    if (bound === undefined) continue;
    conditions.push(
      `(tenant, partition, offset) ${operator} ({${name}_t:String}, {${name}_p:UInt32}, {${name}_o:UInt64})`,
    );
    params[`${name}_t`] = bound.tenant;
    params[`${name}_p`] = bound.partition;
    params[`${name}_o`] = bound.offset;
  }
  return { sql: conditions.join(' AND '), params };
}

interface Wanted {
  readonly tenant: string;
  readonly request: CallRequest;
  readonly slice: Slice;
}

const whereOf = ({ tenant, request, slice }: Wanted): Where =>
  both(both(rangeOf(tenant, request), fits(request)), sliced(slice));

const PLACES = `groupArray(toFloat64(offset)) AS offset_, groupArray(line) AS line_,
  groupArray(toFloat64(toUnixTimestamp64Milli(append_time))) AS append_,
  groupArray(toFloat64(toUnixTimestamp64Milli(effective_time))) AS effective_,
  groupArray(toUInt8(indexOf({kinds:Array(String)}, kind))) AS kind_,
  groupArray(toUInt8(indexOf({classes:Array(String)}, class))) AS class_`;
const NAMES = { kinds: EVENT_KINDS, classes: TOOL_CLASSES };

/** Text of a column; streams are kept as bytes. */
const textOf = (column: CallColumn): string =>
  column === 'stream' ? 'lower(hex(stream_id))' : `toString(${column})`;

type PartRow = Readonly<Record<string, unknown>> & { readonly tenant: string; readonly partition: number };

/** The calls of a slice as columns. */
export async function* readPart(store: Store, wanted: Wanted, only?: Where): AsyncGenerator<CallPart> {
  const { sql, params } = only === undefined ? whereOf(wanted) : both(whereOf(wanted), only);
  const asked = wanted.request.columns;
  const own = asked.map((column) => `, groupArray(${textOf(column)}) AS c_${column}`).join('');
  const seq = asked.includes('stream') ? ', groupArray(toFloat64(seq)) AS seq_' : '';
  const rows = store.queryStream<PartRow>(
    `SELECT tenant, partition, intDiv(offset, ${PART_OFFSETS}) AS part, ${PLACES}${own}${seq}
     FROM events WHERE ${sql} GROUP BY tenant, partition, part ORDER BY tenant, partition, part`,
    { params: { ...params, ...NAMES } },
  );
  for await (const some of rows) for (const row of some) yield partOf(row, asked);
}

/** The calls of a slice with their lines. Columns would say nothing that a line does not. */
export async function* readLines({ store, keys }: StoredPayloads, wanted: Wanted): AsyncGenerator<CallPart> {
  const { sql, params } = whereOf(wanted);
  const reader = new PayloadReader(store, keys);
  const rows = store.queryStream<PartRow>(
    `SELECT tenant, partition, intDiv(offset, ${LINES_PER_PART}) AS part, ${PLACES},
       groupArray((lower(hex(log_id)), toString(idx), toString(subject), toString(block), place, base64Encode(bytes))) AS lines_
     FROM (SELECT * FROM events WHERE ${sql}) AS e
     INNER JOIN (SELECT log_id, idx, bytes, subject, block, place FROM payloads
       WHERE (log_id, idx) IN (SELECT log_id, idx FROM events WHERE ${sql})) AS p USING (log_id, idx)
     GROUP BY tenant, partition, part ORDER BY tenant, partition, part`,
    { params: { ...params, ...NAMES } },
  );
  for await (const some of rows)
    for (const row of some) {
      const sealed = (row['lines_'] as readonly SealedTuple[]).map(sealedRow);
      const opened = await reader.open(sealed);
      yield { ...partOf(row, []), lines: opened.map(textOfLine) };
    }
}

type SealedTuple = readonly [
  log: string,
  idx: string,
  subject: string,
  block: string,
  place: number,
  base64: string,
];

function sealedRow([at_log, at_idx, subject, block, place, base64]: SealedTuple): SealedRow {
  return { at_log, at_idx, subject, block, place, base64 };
}

/** A line that is erased or altered is no event to whoever reads it. */
function textOfLine(opened: Opened): string {
  return opened.kind === 'read' ? opened.bytes.toString('utf8') : '';
}

const numbers = (value: unknown): readonly number[] => value as readonly number[];

function partOf(row: PartRow, columns: readonly CallColumn[]): CallPart {
  return {
    type: 'calls',
    tenant: row.tenant,
    partition: row.partition,
    offset: numbers(row['offset_']),
    line: numbers(row['line_']),
    appendMs: numbers(row['append_']),
    effectiveMs: numbers(row['effective_']),
    kind: numbers(row['kind_']),
    toolClass: numbers(row['class_']),
    ...(row['seq_'] === undefined ? {} : { seq: numbers(row['seq_']) }),
    columns: Object.fromEntries(columns.map((column) => [column, row[`c_${column}`] as readonly string[]])),
  };
}
