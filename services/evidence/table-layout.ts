/**
 * Columns of the tables in a binary bundle, in the order in which their rows are written. A bundle names those of the
 * tables that people query in its header, so that columns which come later can be read by a verifier that does not know them.
 */
import { z } from 'zod';
import { toBase64, toHex } from './bytes.ts';
import type { RowReader } from './row-reader.ts';

/** `ms` is Unix ms in 64 bits with sign, `bytes` a text that need not be one (base64 in NDJSON), `stream` 16 bytes (hex). */
const zColumnType = z.enum(['text', 'texts', 'bytes', 'stream', 'u16', 'u32', 'u64', 'ms', 'f64', 'bool?']);
export type ColumnType = z.infer<typeof zColumnType>;
export type Layout = readonly (readonly [name: string, type: ColumnType])[];

const MAX_COLUMNS = 256;
const zLayout = z.array(z.tuple([z.string().regex(/^[a-z][a-z0-9_]{0,63}$/), zColumnType])).max(MAX_COLUMNS);
const zTableLayouts = z.strictObject({
  events: zLayout,
  alerts: zLayout,
  deadLetters: zLayout,
  dispositions: zLayout,
});
export type TableLayouts = Readonly<Record<'events' | 'alerts' | 'deadLetters' | 'dispositions', Layout>>;

const texts = (...names: readonly string[]): Layout => names.map((name) => [name, 'text']);

const EVENTS: Layout = [
  ...texts('tenant', 'topic'),
  ['partition', 'u32'],
  ['offset', 'u64'],
  ['line', 'u16'],
  ['append_time', 'ms'],
  ['stream_id', 'stream'],
  ['seq', 'u64'],
  ['session_id', 'text'],
  ['event_time', 'ms'],
  ['effective_time', 'ms'],
  ...texts('kind', 'agent', 'principal', 'host', 'call_id', 'logical_call_id', 'trace_id', 'span_id'),
  ...texts('parent_span_id', 'server', 'transport', 'tool', 'claimed_class', 'class', 'class_source'),
  ...texts('class_version', 'dest_host', 'definition_hash', 'args_hash'),
  ['args_bytes', 'u64'],
  ['result_hash', 'text'],
  ['result_bytes', 'u64'],
  ['schema_valid', 'bool?'],
  ['outcome', 'text'],
  ['duration_ms', 'f64'],
  ['trust', 'text'],
  ['labels', 'texts'],
  ...texts('verdict', 'control_id', 'approval_id', 'method', 'resource_uri', 'task_id', 'decision_id'),
  ['policy_id', 'text'],
  ['policy_version', 'u64'],
  ...texts('policy_mode', 'policy_effect', 'policy_rule', 'policy_hash'),
  ['approval_ttl_ms', 'u64'],
  ['unknown_fields', 'texts'],
  ['findings', 'texts'],
];
const ALERTS: Layout = [
  ['tenant', 'text'],
  ['append_time', 'ms'],
  ...texts('alert_id', 'rule_id', 'rule_hash', 'title', 'level', 'mode', 'scope', 'session_id', 'agent'),
  ['effective_time', 'ms'],
  ['time_basis', 'text'],
  ['tags', 'texts'],
  ['body', 'text'],
];
const DEAD_LETTERS: Layout = [
  ['tenant', 'text'],
  ['append_time', 'ms'],
  ...texts('code', 'path', 'message', 'origin'),
  ['raw', 'bytes'],
  ['raw_bytes', 'u64'],
  ['raw_hash', 'text'],
];
const DISPOSITIONS: Layout = [
  ['tenant', 'text'],
  ['append_time', 'ms'],
  ...texts('alert_id', 'rule_id', 'disposition', 'reason', 'actor', 'role'),
  ['event_time', 'ms'],
];

/** Of the tables as they are now. */
export const TABLE_LAYOUTS: TableLayouts = {
  events: EVENTS,
  alerts: ALERTS,
  deadLetters: DEAD_LETTERS,
  dispositions: DISPOSITIONS,
};

/**
 * What the header of a bundle names, undefined where that is no layout. One that is as now is this very object: by that a
 * reader knows that no column is missing.
 */
export function readLayouts(value: unknown): TableLayouts | undefined {
  const outcome = zTableLayouts.safeParse(value);
  if (!outcome.success) return undefined;
  return JSON.stringify(outcome.data) === JSON.stringify(TABLE_LAYOUTS) ? TABLE_LAYOUTS : outcome.data;
}

/** One value as NDJSON has it: what fills 64 bits as decimal text. */
const READ: Readonly<Record<ColumnType, (row: RowReader) => unknown>> = {
  text: (row) => row.text(),
  texts: (row) => {
    const count = row.length();
    const values: string[] = [];
    // Each takes a byte at least, so that a row cannot ask for more than it holds.
    for (let at = 0; at < count; at += 1) values.push(row.text());
    return values;
  },
  bytes: (row) => toBase64(row.blob()),
  stream: (row) => toHex(row.fixed(16)),
  u16: (row) => row.u16(),
  u32: (row) => row.u32(),
  u64: (row) => row.view.getBigUint64(row.skip(8), true).toString(),
  ms: (row) => row.view.getBigInt64(row.skip(8), true).toString(),
  f64: (row) => {
    const value = row.f64();
    return Number.isFinite(value) ? value : null;
  },
  'bool?': (row) => (row.u8() === 0 ? row.u8() !== 0 : null),
};

/** A row as an object. Throws export_invalid where it is shorter or longer than its layout. */
export function readColumns(row: RowReader, layout: Layout): Record<string, unknown> {
  const columns: Record<string, unknown> = {};
  for (const [name, type] of layout) columns[name] = READ[type](row);
  return columns;
}

/** Sets a reader that stands at the start of a row to one of its columns. */
export function skipTo(row: RowReader, layout: Layout, column: string): RowReader {
  for (const [name, type] of layout) {
    if (name === column) return row;
    if (type === 'text') row.skip(row.length());
    else READ[type](row);
  }
  return row;
}
