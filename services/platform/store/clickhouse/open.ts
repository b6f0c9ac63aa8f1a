/** Store over a ClickHouse server, with the official client. */
import { Readable } from 'node:stream';
import {
  ClickHouseError,
  ClickHouseLogLevel,
  createClient,
  type ClickHouseClient,
  type ClickHouseSettings,
} from '@clickhouse/client';
import { TriplineError } from '../../../../schemas/errors.ts';
import { storeFault } from '../faults.ts';
import type { BinaryInsert, QueryOptions, Store } from '../port.ts';
import { checkedCount, checkedRead, checkedToken, insertStatement, qualifiedTable } from '../statement.ts';

export interface ClickHouseStoreOptions {
  readonly url: string;
  readonly username: string;
  readonly password?: string | undefined;
  /** Checked identifier; made where missing. */
  readonly database: string;
  readonly queryTimeoutMs: number;
}

const READ_SETTINGS: ClickHouseSettings = {
  readonly: '1',
  output_format_json_quote_64bit_integers: 1,
  cancel_http_readonly_queries_on_client_close: 1,
};
const WRITE_SETTINGS: ClickHouseSettings = { async_insert: 0, insert_deduplicate: 1, wait_end_of_query: 1 };
/** A network fault after this is store_timeout even when the server says nothing. */
const NETWORK_GRACE_MS = 5000;

/** An open store; the database exists afterwards. */
export async function openClickHouseStore(options: ClickHouseStoreOptions): Promise<ClickHouseStore> {
  const connection = {
    url: options.url,
    username: options.username,
    ...(options.password === undefined ? {} : { password: options.password }),
    request_timeout: options.queryTimeoutMs + NETWORK_GRACE_MS,
    compression: { request: false, response: true },
    application: 'tripline',
    // Its own log would print statements to stderr; faults are thrown, and logged by the caller.
    log: { level: ClickHouseLogLevel.OFF },
  };
  const setup = createClient(connection);
  try {
    await converting(() => setup.command({ query: `CREATE DATABASE IF NOT EXISTS ${options.database}` }));
  } finally {
    await setup.close();
  }
  return new ClickHouseStore(createClient({ ...connection, database: options.database }), options);
}

export class ClickHouseStore implements Store {
  readonly kind = 'clickhouse';
  readonly #client: ClickHouseClient;
  readonly #database: string;
  readonly #queryTimeoutMs: number;

  constructor(client: ClickHouseClient, options: ClickHouseStoreOptions) {
    this.#client = client;
    this.#database = options.database;
    this.#queryTimeoutMs = options.queryTimeoutMs;
  }

  async query<Row>(sql: string, options: QueryOptions = {}): Promise<Row[]> {
    return await converting(async () => {
      const result = await this.#client.query({ ...this.#read(sql, options), format: 'JSONEachRow' });
      return checkedCount(await result.json<Row>(), options);
    });
  }

  async queryBlock(sql: string, options: QueryOptions = {}): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for await (const piece of this.queryBinary(sql, options)) pieces.push(piece);
    return Buffer.concat(pieces);
  }

  async *queryStream<Row>(sql: string, options: QueryOptions = {}): AsyncGenerator<readonly Row[]> {
    const result = await converting(() =>
      this.#client.query({ ...this.#read(sql, options), format: 'JSONEachRow' }),
    );
    const stream = result.stream<Row>();
    try {
      const batches = stream[Symbol.asyncIterator]();
      for (;;) {
        const next = await converting(() => batches.next());
        if (next.done === true) return;
        yield (next.value as readonly { json(): Row }[]).map((row) => row.json());
      }
    } finally {
      stream.destroy();
    }
  }

  async *queryBinary(sql: string, options: QueryOptions = {}): AsyncGenerator<Uint8Array> {
    const read = this.#read(sql, options);
    const { stream } = await converting(() =>
      this.#client.exec({ ...read, query: `${read.query} FORMAT RowBinary` }),
    );
    try {
      const chunks = stream[Symbol.asyncIterator]();
      for (;;) {
        const next = await converting(() => chunks.next());
        if (next.done === true) return;
        yield next.value as Uint8Array;
      }
    } finally {
      stream.destroy();
    }
  }

  async command(sql: string): Promise<void> {
    await converting(() =>
      this.#client.command({ query: sql, clickhouse_settings: { wait_end_of_query: 1 } }),
    );
  }

  async insertBinary(insert: BinaryInsert): Promise<void> {
    if (insert.rows === 0) return;
    const settings = { ...WRITE_SETTINGS, insert_deduplication_token: checkedToken(insert.token) };
    await converting(async () => {
      const result = await this.#client.exec({
        query: `${insertStatement(insert, this.#database)} FORMAT ${insert.format ?? 'RowBinary'}`,
        values: Readable.from([insert.data], { objectMode: false }),
        clickhouse_settings: settings,
      });
      for await (const _ of result.stream) continue; // The answer ends when the insert is done.
    });
  }

  async insertRows(
    table: string,
    rows: readonly Readonly<Record<string, unknown>>[],
    token?: string,
  ): Promise<void> {
    if (rows.length === 0) return;
    const settings =
      token === undefined
        ? WRITE_SETTINGS
        : { ...WRITE_SETTINGS, insert_deduplication_token: checkedToken(token) };
    await converting(() =>
      this.#client.insert({
        table: qualifiedTable(table, this.#database),
        values: rows,
        format: 'JSONEachRow',
        clickhouse_settings: settings,
      }),
    );
  }

  async ping(): Promise<void> {
    const { success } = await this.#client.ping();
    if (!success) throw new TriplineError('store_unavailable');
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  #read(sql: string, options: QueryOptions) {
    const seconds = Math.max(
      1,
      Math.ceil(Math.min(options.timeoutMs ?? this.#queryTimeoutMs, this.#queryTimeoutMs) / 1000),
    );
    return {
      query: checkedRead(sql),
      query_params: { ...options.params },
      clickhouse_settings: { ...READ_SETTINGS, max_execution_time: seconds },
      ...(options.signal === undefined ? {} : { abort_signal: options.signal }),
    };
  }
}

/** The one place where the client's errors become ours: an exception of the server has its code; all else is the network. */
async function converting<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof TriplineError) throw error;
    if (error instanceof ClickHouseError) throw storeFault(Number(error.code), error.message, error);
    throw new TriplineError('store_unavailable', undefined, { cause: error });
  }
}
