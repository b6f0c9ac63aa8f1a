/**
 * ClickHouse behind a port. Two drivers hold this contract (clickhouse over HTTP, chdb in a forked child);
 * test/integration/store runs one suite over both. Values reach SQL only as typed query parameters ({name:Type}).
 */
export type SqlParameter = string | number | bigint | boolean | null | readonly (string | number | bigint)[];

export interface QueryOptions {
  readonly params?: Readonly<Record<string, SqlParameter>>;
  /** Limit of one statement; default from configuration. */
  readonly timeoutMs?: number;
  readonly maxResultRows?: number;
  readonly signal?: AbortSignal;
}

export interface BinaryInsert {
  readonly table: string;
  readonly columns: readonly string[];
  /** Of `data`; RowBinary where absent. */
  readonly format?: 'RowBinary' | 'Native';
  /** Exactly the columns named, in that order (Native: by name). Taken as is, never as SQL text. */
  readonly data: Uint8Array;
  readonly rows: number;
  /**
   * insert_deduplication_token: table name + SHA-256 of the content. The same token within the table's window makes the
   * insert a no-op that reports success, also when rows were since deleted; so read back, and repair with a new token.
   */
  readonly token: string;
}

export interface Store {
  readonly kind: 'chdb' | 'clickhouse';
  /** SELECT only. Rows as objects; UInt64/Int64 come as decimal strings, DateTime64 as text. Read-only by engine setting. */
  query<Row>(sql: string, options?: QueryOptions): Promise<Row[]>;
  /** As query, as RowBinary in one piece: for results whose size the caller bounds. */
  queryBlock(sql: string, options?: QueryOptions): Promise<Uint8Array>;
  /** As query, row batch by row batch, in bounded memory. */
  queryStream<Row>(sql: string, options?: QueryOptions): AsyncIterable<readonly Row[]>;
  /** As queryStream, as RowBinary: pieces of it, cut anywhere. */
  queryBinary(sql: string, options?: QueryOptions): AsyncIterable<Uint8Array>;
  /** DDL and other statements without a result. */
  command(sql: string, options?: QueryOptions): Promise<void>;
  /**
   * Durable when resolved (fsync of parts and directories). All or nothing per call. Faults: store_unavailable and
   * store_timeout leave the outcome unknown: read back before repeating with the same token.
   */
  insertBinary(insert: BinaryInsert): Promise<void>;
  /** For small, rare rows (alert states, controls, checkpoints): JSON objects, serialised here. Same durability. */
  insertRows(
    table: string,
    rows: readonly Readonly<Record<string, unknown>>[],
    token?: string,
  ): Promise<void>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
