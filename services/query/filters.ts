/** Filters and cursors of the listings. Every value reaches SQL as a typed parameter, never as text. */
import { z } from 'zod';
import { DISPOSITIONS } from '../../schemas/alert/disposition.ts';
import { LEVELS } from '../../schemas/alert/v1.ts';
import { EVENT_KINDS, OUTCOMES, TOOL_CLASSES, zHex32, zName } from '../../schemas/event/v1.ts';
import { encodeCursor } from '../platform/http/cursor.ts';
import type { SqlParameter } from '../platform/store/port.ts';

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;

const zInstant = z.iso.datetime({ offset: true });
const page = {
  tenant: zName.optional(),
  /** RFC 3339; from this effective time on. */
  since: zInstant.optional(),
  /** RFC 3339; before this effective time. */
  until: zInstant.optional(),
  limit: z.coerce.number().int().min(1).max(MAX_LIMIT).default(DEFAULT_LIMIT),
  cursor: z.string().max(1024).optional(),
};
const target = {
  session: zName.optional(),
  agent: zName.optional(),
  server: zName.optional(),
  tool: zName.optional(),
  class: z.enum(TOOL_CLASSES).optional(),
};

export const zEventQuery = z.strictObject({
  ...page,
  ...target,
  kind: z.enum(EVENT_KINDS).optional(),
  outcome: z.enum(OUTCOMES).optional(),
  callId: zName.optional(),
  controlId: zName.optional(),
  traceId: zHex32.optional(),
});
export const zSessionQuery = z.strictObject({ ...page, ...target });
export const zAlertQuery = z.strictObject({
  ...page,
  ...target,
  rule: zName.optional(),
  level: z.enum(LEVELS).optional(),
  /** Of the latest one; `none`: nobody said anything yet. */
  disposition: z.enum([...DISPOSITIONS, 'none']).optional(),
});
export const zTenantQuery = z.strictObject({ tenant: zName.optional() });

export interface Where {
  /** SQL of the condition; holds parameter names only. */
  readonly sql: string;
  readonly params: Readonly<Record<string, SqlParameter>>;
}

export interface Range {
  readonly since?: string | undefined;
  readonly until?: string | undefined;
}

/** Conditions joined by AND; `columns` maps a column to its wanted value. `tenant` `*` means all. */
export function whereOf(
  tenant: string,
  columns: Readonly<Record<string, string | undefined>>,
  range: Range = {},
): Where {
  const conditions = ['1'];
  const params: Record<string, SqlParameter> = {};
  const wanted = { ...(tenant === '*' ? {} : { tenant }), ...columns };
  for (const [column, value] of Object.entries(wanted)) {
    if (value === undefined) continue;
    conditions.push(`${column} = {${column}:String}`);
    params[column] = value;
  }
  if (range.since !== undefined) {
    conditions.push('effective_time >= fromUnixTimestamp64Milli({since_ms:Int64})');
    params['since_ms'] = Date.parse(range.since);
  }
  if (range.until !== undefined) {
    conditions.push('effective_time < fromUnixTimestamp64Milli({until_ms:Int64})');
    params['until_ms'] = Date.parse(range.until);
  }
  return { sql: conditions.join(' AND '), params };
}

/** Adds a condition with its parameters. */
export function andAlso(where: Where, sql: string, params: Where['params']): Where {
  return { sql: `${where.sql} AND ${sql}`, params: { ...where.params, ...params } };
}

export interface Page<Item> {
  readonly items: readonly Item[];
  readonly nextCursor: string | null;
}

/** One row more than the limit was asked for: it tells whether there is a next page. */
export function pageOf<Row, Item>(
  rows: readonly Row[],
  limit: number,
  of: { readonly item: (row: Row) => Item; readonly key: (row: Row) => readonly (string | number)[] },
): Page<Item> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const nextCursor = rows.length > limit && last !== undefined ? encodeCursor(of.key(last)) : null;
  return { items: shown.map((row) => of.item(row)), nextCursor };
}

/** Unix ms in decimal (as ClickHouse answers 64-bit numbers) as RFC 3339. */
export function isoOf(ms: string | number): string {
  return new Date(Number(ms)).toISOString();
}
