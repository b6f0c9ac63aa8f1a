/** Store over chdb: ClickHouse in a child process, for one machine. One process a data directory. */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { BinaryInsert, QueryOptions, Store } from '../port.ts';
import { checkedCount, checkedRead, checkedToken, insertStatement } from '../statement.ts';
import { EngineProcess, type RequestLimits } from './engine-process.ts';
import type { StreamFormat } from './protocol.ts';

export interface ChdbStoreOptions {
  /** Directory of its own; made where missing. */
  readonly dir: string;
  readonly maxMemoryBytes: number;
  readonly queryTimeoutMs: number;
  readonly log: Logger;
  readonly database?: string;
}

const READERS = 4;
// Exports hold one each while they last.
const STREAMS = 4;
const SETTINGS = 'async_insert = 0, insert_deduplicate = 1';

/** An open store (the engine is started and ready). Throws store_optional_missing where package chdb is not installed. */
export async function openChdbStore(options: ChdbStoreOptions): Promise<ChdbStore> {
  const store = new ChdbStore(options);
  await store.ping();
  return store;
}

export class ChdbStore implements Store {
  readonly kind = 'chdb';
  readonly #engine: EngineProcess;
  readonly #database: string;
  readonly #incoming: string;
  readonly #queryTimeoutMs: number;

  constructor({ dir, maxMemoryBytes, queryTimeoutMs, log, database = 'tripline' }: ChdbStoreOptions) {
    this.#database = database;
    this.#queryTimeoutMs = queryTimeoutMs;
    this.#incoming = join(dir, 'incoming');
    const data = join(dir, 'data');
    for (const path of [data, this.#incoming]) mkdirSync(path, { recursive: true, mode: 0o700 });
    // Left by a crash between writing a file and removing it; its rows are read back and repeated by their writer.
    for (const name of readdirSync(this.#incoming)) rmSync(join(this.#incoming, name));
    this.#engine = new EngineProcess(
      { dir: data, database, maxMemoryBytes, queryTimeoutMs, readers: READERS, streams: STREAMS },
      log,
    );
  }

  /** Process id of the engine, for tests that kill it. */
  get enginePid(): number | undefined {
    return this.#engine.pid;
  }

  async query<Row>(sql: string, options: QueryOptions = {}): Promise<Row[]> {
    const text = await this.#engine.request(
      { op: 'query', sql: checkedRead(sql), params: options.params ?? {}, format: 'JSONEachRow' },
      this.#limits(options),
    );
    return checkedCount(rowsOf<Row>(text), options);
  }

  async queryBlock(sql: string, options: QueryOptions = {}): Promise<Uint8Array> {
    let block: Uint8Array = new Uint8Array(0);
    await this.#engine.request(
      { op: 'query', sql: checkedRead(sql), params: options.params ?? {}, format: 'RowBinary' },
      this.#limits(options),
      (chunk) => {
        if (typeof chunk !== 'string') block = chunk;
      },
    );
    return block;
  }

  async *queryStream<Row>(sql: string, options: QueryOptions = {}): AsyncGenerator<readonly Row[]> {
    for await (const chunk of this.#stream(sql, 'JSONEachRow', options))
      if (typeof chunk === 'string') yield rowsOf<Row>(chunk);
  }

  async *queryBinary(sql: string, options: QueryOptions = {}): AsyncGenerator<Uint8Array> {
    for await (const chunk of this.#stream(sql, 'RowBinary', options))
      if (typeof chunk !== 'string') yield chunk;
  }

  #stream(sql: string, format: StreamFormat, options: QueryOptions): AsyncGenerator<string | Uint8Array> {
    const query = { sql: checkedRead(sql), params: options.params ?? {}, format };
    return this.#engine.stream(query, this.#limits(options));
  }

  async command(sql: string): Promise<void> {
    await this.#engine.request({ op: 'command', sql });
  }

  async insertBinary(insert: BinaryInsert): Promise<void> {
    if (insert.rows === 0) return;
    await this.#insertFile(insertStatement(insert, this.#database), insert.data, {
      format: insert.format ?? 'RowBinary',
      token: checkedToken(insert.token),
    });
  }

  async insertRows(
    table: string,
    rows: readonly Readonly<Record<string, unknown>>[],
    token?: string,
  ): Promise<void> {
    const [first] = rows;
    if (first === undefined) return;
    const data = Buffer.from(rows.map((row) => JSON.stringify(row)).join('\n'));
    await this.#insertFile(insertStatement({ table, columns: Object.keys(first) }, this.#database), data, {
      format: 'JSONEachRow',
      token: token === undefined ? undefined : checkedToken(token),
    });
  }

  async ping(): Promise<void> {
    await this.#engine.ready();
  }

  async close(): Promise<void> {
    await this.#engine.close();
  }

  #limits({ timeoutMs = this.#queryTimeoutMs, signal }: QueryOptions): RequestLimits {
    return { timeoutMs: Math.min(timeoutMs, this.#queryTimeoutMs), signal };
  }

  /**
   * Rows go through a file that only we name: inline data would end at its first blank line, and the rest be run as
   * SQL. `checkedToken` leaves nothing in the token that needs quoting.
   */
  async #insertFile(
    statement: string,
    data: Uint8Array,
    { format, token }: { format: string; token: string | undefined },
  ): Promise<void> {
    const path = join(this.#incoming, randomUUID());
    await writeFile(path, data, { mode: 0o600 });
    const settings = token === undefined ? SETTINGS : `${SETTINGS}, insert_deduplication_token = '${token}'`;
    const quoted = path.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
    try {
      await this.#engine.request({
        op: 'command',
        sql: `${statement} FROM INFILE '${quoted}' SETTINGS ${settings} FORMAT ${format}`,
      });
    } finally {
      await unlink(path).catch(() => undefined); // Removed at the next start otherwise.
    }
  }
}

function rowsOf<Row>(text: string): Row[] {
  const rows: Row[] = [];
  for (let from = 0; from < text.length;) {
    const end = text.indexOf('\n', from);
    const line = text.slice(from, end < 0 ? text.length : end);
    if (line !== '') rows.push(JSON.parse(line) as Row);
    if (end < 0) break;
    from = end + 1;
  }
  return rows;
}
