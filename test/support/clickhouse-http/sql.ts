/** Parts of a ClickHouse HTTP request that the front turns into statements for an embedded session. */

/** Query parameters of the HTTP interface that are no settings. */
const NOT_SETTINGS: ReadonlySet<string> = new Set([
  'query',
  'query_id',
  'database',
  'default_format',
  'session_id',
  'session_timeout',
  'session_check',
  'user',
  'password',
  'compress',
  'decompress',
  'role',
  'wait_end_of_query',
  'buffer_size',
  'cancel_http_readonly_queries_on_client_close',
  'enable_http_compression',
  'send_progress_in_http_headers',
  'http_headers_progress_interval_ms',
]);
const NAME = /^[A-Za-z_][A-Za-z0-9_]{0,127}$/;

export function literal(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

/** `SET` statements for the settings and parameters of a request; readonly last, since nothing can be set after it. */
export function prologue(url: URLSearchParams): string {
  const database = url.get('database') ?? 'default';
  if (!NAME.test(database)) throw new Error('not a database name');
  const set = [...url]
    .filter(([name]) => NAME.test(name) && !NOT_SETTINGS.has(name) && name !== 'readonly')
    .map(([name, value]) => `SET ${name} = ${literal(value)}`);
  const readonly = url.get('readonly');
  const last = readonly === '1' || readonly === '2' ? [`SET readonly = ${readonly}`] : [];
  return [`USE ${database}`, ...set, ...last].join('; ');
}

export interface Statement {
  readonly sql: string;
  readonly format: string | undefined;
}

/** Statement without its trailing FORMAT clause, and the format; comments at the end and a last `;` are dropped. */
export function statementOf(text: string): Statement {
  const trimmed = text.trim().replace(/;\s*$/, '');
  const match = /\sFORMAT\s+([A-Za-z]+)\s*$/i.exec(trimmed);
  return match === null
    ? { sql: trimmed, format: undefined }
    : { sql: trimmed.slice(0, match.index), format: match[1] };
}

export const isInsert = (sql: string): boolean => /^\s*INSERT\b/i.test(sql);
export const isRead = (sql: string): boolean =>
  /^\s*(?:\/\*[\s\S]*?\*\/\s*)*(?:SELECT|WITH|SHOW|DESCRIBE|DESC|EXISTS|EXPLAIN)\b/i.test(sql);

/** A server takes one statement a request (62); the embedded engine would run them all. */
export function refuseSeveral(sql: string): void {
  const bare = sql.replace(/'(?:[^'\\]|\\.|'')*'|--[^\n]*|\/\*[\s\S]*?\*\//g, ' ');
  if (bare.includes(';'))
    throw Object.assign(
      new Error('Code: 62. DB::Exception: Multi-statements are not allowed. (SYNTAX_ERROR)'),
      {
        clickhouseCode: 62,
      },
    );
}

/** As the server answers (HTTPHandler.cpp): exception code → status. */
const STATUS: ReadonlyMap<number, number> = new Map([
  [516, 403],
  [497, 403],
  [60, 404],
  [81, 404],
  [159, 408],
  [202, 503],
  [209, 503],
  [62, 400],
  [53, 400],
  [457, 400],
  [27, 400],
  [117, 400],
]);

export const statusOf = (code: number): number => STATUS.get(code) ?? 500;
