/** What both drivers check of a statement before it reaches an engine. SQL is ours; values come as parameters. */
import { TriplineError } from '../../../schemas/errors.ts';
import type { BinaryInsert, QueryOptions } from './port.ts';

const IDENTIFIER = /^[A-Za-z_][A-Za-z0-9_]{0,62}$/;
const TOKEN = /^[A-Za-z0-9_.:/-]{1,256}$/;

/** `table` or `database.table`, checked; unqualified names get the database. */
export function qualifiedTable(table: string, database: string): string {
  const parts = table.split('.');
  const all = parts.length === 1 ? [database, ...parts] : parts;
  if (all.length !== 2 || !all.every((part) => IDENTIFIER.test(part)))
    throw new TriplineError('store_query_failed', `not a table name: ${JSON.stringify(table)}`);
  return all.join('.');
}

/** The INSERT statement up to its data source, and its settings. */
export function insertStatement(insert: Pick<BinaryInsert, 'columns' | 'table'>, database: string): string {
  if (!insert.columns.every((column) => IDENTIFIER.test(column)))
    throw new TriplineError('store_query_failed', `not a column list: ${JSON.stringify(insert.columns)}`);
  const columns = insert.columns.length === 0 ? '' : ` (${insert.columns.join(', ')})`;
  return `INSERT INTO ${qualifiedTable(insert.table, database)}${columns}`;
}

export function checkedToken(token: string): string {
  if (!TOKEN.test(token)) throw new TriplineError('store_query_failed', 'not a deduplication token');
  return token;
}

/**
 * Refuses what a read-only engine setting does not stop: writing files, reading files and URLs, several statements.
 * A second wall only: no statement is made of text from outside.
 */
export function checkedRead(sql: string): string {
  const bare = sql.replace(/'(?:[^'\\]|\\.|'')*'|`[^`]*`|"[^"]*"|--[^\n]*|\/\*[\s\S]*?\*\//g, ' ');
  if (
    /\binto\s+outfile\b|\b(?:file|url|remote|remoteSecure|s3|hdfs|executable|mysql|postgresql)\s*\(|;\s*\S/i.test(
      bare,
    )
  )
    throw new TriplineError('store_query_failed', 'only one plain SELECT is allowed');
  return sql;
}

/** The rows, or store_query_failed where there are more than the caller allows. */
export function checkedCount<Row>(rows: Row[], { maxResultRows }: QueryOptions): Row[] {
  if (maxResultRows !== undefined && rows.length > maxResultRows)
    throw new TriplineError('store_query_failed', `more than ${maxResultRows} rows`);
  return rows;
}
