/**
 * Calls out of the store as columns: what a backtest reads of them. Fields of rules that columns of table `events` hold
 * whole need no bodies. Empty text is an absent field: no name or id of an event is empty.
 */
import { z } from 'zod';
import { EVENT_KINDS, TOOL_CLASSES, zHex64 } from './v1.ts';

/** Columns of text that may be asked for, and the property of an event that each holds. */
export const CALL_COLUMNS = {
  session_id: 'session',
  agent: 'agent',
  principal: 'principal',
  host: 'host',
  stream: 'stream',
  call_id: 'callId',
  logical_call_id: 'logicalCallId',
  trace_id: 'traceId',
  server: 'server',
  transport: 'transport',
  tool: 'tool',
  claimed_class: 'class',
  definition_hash: 'definitionHash',
  args_hash: 'argsHash',
  result_hash: 'resultHash',
  outcome: 'outcome',
  verdict: 'verdict',
  control_id: 'controlId',
  approval_id: 'approvalId',
  dest_host: 'destHost',
} as const;
export type CallColumn = keyof typeof CALL_COLUMNS;

/** By field of a rule the column that it is read from. Kind and class come with every call. */
const COLUMN_OF: Readonly<Record<string, CallColumn | null>> = {
  'event.kind': null,
  'tool.class': null,
  session: 'session_id',
  session_id: 'session_id',
  stream: 'stream',
  agent: 'agent',
  agent_id: 'agent',
  principal: 'principal',
  host: 'host',
  call_id: 'call_id',
  logical_call_id: 'logical_call_id',
  trace_id: 'trace_id',
  server: 'server',
  'tool.server': 'server',
  'tool.name': 'tool',
  'tool.claimed_class': 'claimed_class',
  'tool.definition_hash': 'definition_hash',
  'dest.host': 'dest_host',
  transport: 'transport',
  args_hash: 'args_hash',
  result_hash: 'result_hash',
  outcome: 'outcome',
  verdict: 'verdict',
  control_id: 'control_id',
  approval_id: 'approval_id',
};

/** The column that holds a field whole, undefined where none does. */
export function columnOf(field: string): CallColumn | undefined {
  return (Object.hasOwn(COLUMN_OF, field) ? COLUMN_OF[field] : undefined) ?? undefined;
}

/** Columns that hold these fields; undefined where some field is in none, so that it takes the bodies. */
export function columnsFor(fields: Iterable<string>): readonly CallColumn[] | undefined {
  const columns = new Set<CallColumn>();
  for (const field of fields) {
    const column = Object.hasOwn(COLUMN_OF, field) ? COLUMN_OF[field] : undefined;
    if (column === undefined) return undefined;
    if (column !== null) columns.add(column);
  }
  return [...columns];
}

const zInstant = z.iso.datetime({ offset: true });
const zIndex = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const columnNames = Object.keys(CALL_COLUMNS) as [CallColumn, ...CallColumn[]];

/** Names are at most 256 characters long, hosts are cut at 253: shorter texts mean the same to a table and to a rule. */
export const MAX_EQUAL_CHARACTERS = 200;
export const MAX_EQUALS = 8;
export const MAX_EQUAL_VALUES = 64;

/** A column holds one of the values; without case where they are not `cased`: they are ASCII in lower case then. */
const zCallEquality = z.strictObject({
  column: z.enum(columnNames),
  cased: z.boolean(),
  values: z.array(z.string().min(1).max(MAX_EQUAL_CHARACTERS)).min(1).max(MAX_EQUAL_VALUES),
});
export type CallEquality = z.infer<typeof zCallEquality>;

/** Calls of one of the kinds and, where classes are named, of one of them; all of `equals` hold. */
export const zCallSelection = z.strictObject({
  kinds: z.array(z.enum(EVENT_KINDS)).min(1),
  classes: z.array(z.enum(TOOL_CLASSES)).min(1).nullable(),
  equals: z.array(zCallEquality).max(MAX_EQUALS).optional(),
});
export type CallSelection = z.infer<typeof zCallSelection>;

/** Selections of a request whose calls are sifted: they are told apart by the bits of a number. */
export const MAX_SIFTED_SELECTIONS = 31;

/** Of each session only the calls that can have a part in an assignment (detectors/engine/sieve.ts). */
export const zCallSieve = z.strictObject({
  /** Position of each step's selection in `of`. */
  steps: z
    .array(
      z
        .number()
        .int()
        .min(0)
        .max(MAX_SIFTED_SELECTIONS - 1),
    )
    .min(2)
    .max(MAX_SIFTED_SELECTIONS),
  /** One after another; else in any order. */
  ordered: z.boolean(),
  withinMs: z.number().min(0),
  /** Alerts do not depend on earlier ones. */
  everyMatch: z.boolean(),
});
export type CallSieve = z.infer<typeof zCallSieve>;

/** Places asked for in one request: a statement of ClickHouse is at most 256 KiB long. */
export const MAX_CALL_PLACES = 8_000;

/** Body of POST /v1/ledger/calls; the tenant stands in the query. */
export const zCallRequest = z.strictObject({
  since: zInstant.optional(),
  until: zInstant.optional(),
  /** Any of them. */
  of: z.array(zCallSelection).min(1).max(64),
  /** Without `lines` and `at`. Left aside where there are too many calls for it. */
  sieve: zCallSieve.optional(),
  columns: z.array(z.enum(columnNames)).max(columnNames.length),
  /** With the exact text of each line: whatever is an event is UTF-8. */
  lines: z.boolean(),
  /** Mapping (its hash) by which the reader classifies: rows of another one are not what it would see. */
  mapping: zHex64,
  /** Only the calls at these places: partition, offset, line. */
  at: z
    .array(z.tuple([zIndex, zIndex, zIndex]).readonly())
    .min(1)
    .max(MAX_CALL_PLACES)
    .optional(),
});
export type CallRequest = z.infer<typeof zCallRequest>;

/**
 * First line of the answer. `refused`: rows cannot stand for what was read live, since classes were worked out by
 * another mapping, or append times run back somewhere; the lines are to be read whole then.
 */
export const zCallHeader = z.strictObject({
  type: z.literal('header'),
  v: z.literal(1),
  refused: z.enum(['class_mapping', 'append_time']).nullable(),
  /** Events in the range, asked for or not. */
  events: zIndex,
  /** That come. */
  calls: zIndex,
  /** By partition the offsets between which the range lies. */
  spans: z.array(z.strictObject({ partition: zIndex, from: zIndex, to: zIndex })),
});
export type CallHeader = z.infer<typeof zCallHeader>;

/** Millions of elements from our own service: that they are lists is all that is checked. */
const zNumbers = z.custom<readonly number[]>(Array.isArray);
const zTexts = z.custom<readonly string[]>(Array.isArray);

/**
 * A part of one log: calls side by side, in no order among themselves, all of them before those of the log's next part.
 * Kinds and classes are positions in EVENT_KINDS and TOOL_CLASSES, from 1 on.
 */
export const zCallPart = z.strictObject({
  type: z.literal('calls'),
  tenant: z.string(),
  partition: zIndex,
  offset: zNumbers,
  line: zNumbers,
  appendMs: zNumbers,
  effectiveMs: zNumbers,
  kind: zNumbers,
  toolClass: zNumbers,
  /** Where column `stream` was asked for. */
  seq: zNumbers.optional(),
  columns: z.record(z.string(), zTexts),
  /** Where they were asked for. */
  lines: zTexts.optional(),
});
export type CallPart = z.infer<typeof zCallPart>;

export const zCallLine = z.discriminatedUnion('type', [
  zCallHeader,
  zCallPart,
  z.strictObject({ type: z.literal('end') }),
]);
export type CallLine = z.infer<typeof zCallLine>;
