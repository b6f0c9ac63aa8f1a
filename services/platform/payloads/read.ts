/** Payloads as they were written: opens sealed rows, wherever the block stands that holds them. */
import { LRUCache } from 'lru-cache';
import { TriplineError } from '../../../schemas/errors.ts';
import type { Store } from '../store/port.ts';
import { IN_THE_CLEAR, type SubjectKeys } from './keys.ts';
import { logKey, openLines } from './seal.ts';

/** Columns that `openPayloads` needs, by these names. */
export const SEALED_COLUMNS =
  'lower(hex(log_id)) AS at_log, toString(idx) AS at_idx, toString(subject) AS subject, toString(block) AS block, place, base64Encode(bytes) AS base64';

export interface SealedRow {
  /** Hex. */
  readonly at_log: string;
  readonly at_idx: string;
  readonly subject: string;
  /** Index of the row that holds the sealed block. */
  readonly block: string;
  /** Which line of the block. */
  readonly place: number;
  readonly base64: string;
}

/** `erased`: the key is gone. `altered`: the bytes are not those that were sealed there. */
export type Opened =
  | { readonly kind: 'read'; readonly bytes: Buffer }
  | { readonly kind: 'erased' }
  | { readonly kind: 'altered' };

const ERASED: Opened = { kind: 'erased' };
const ALTERED: Opened = { kind: 'altered' };
const BLOCKS_PER_QUERY = 1000;

export class PayloadReader {
  readonly #store: Store;
  readonly #keys: SubjectKeys | undefined;

  /** Without keys only what stands in the clear can be read. */
  constructor(store: Store, keys: SubjectKeys | undefined) {
    this.#store = store;
    this.#keys = keys;
  }

  /** One answer a row, in order. Throws not_ready for sealed rows where there are no keys. */
  async open(rows: readonly SealedRow[]): Promise<Opened[]> {
    const sealed = rows.filter((row) => Number(row.subject) !== IN_THE_CLEAR);
    if (sealed.length === 0) return rows.map(inTheClear);
    if (this.#keys === undefined)
      throw new TriplineError(
        'not_ready',
        'payloads are sealed and this process has no keys: see signer.url',
      );
    const keys = await this.#keys.read(sealed.map((row) => Number(row.subject)));
    const blocks = await this.#blocks(sealed);
    const opener = new BlockOpener(keys, blocks);
    return rows.map((row) => (Number(row.subject) === IN_THE_CLEAR ? inTheClear(row) : opener.open(row)));
  }

  /** Sealed blocks by place: those among the rows, and those that stand before them. */
  async #blocks(rows: readonly SealedRow[]): Promise<ReadonlyMap<string, string>> {
    const blocks = new Map<string, string>();
    for (const row of rows) if (row.at_idx === row.block) blocks.set(blockName(row), row.base64);
    const wanted = new Map<string, SealedRow>();
    for (const row of rows) if (!blocks.has(blockName(row))) wanted.set(blockName(row), row);
    const missing = [...wanted.values()];
    for (let from = 0; from < missing.length; from += BLOCKS_PER_QUERY) {
      const some = missing.slice(from, from + BLOCKS_PER_QUERY);
      const found = await this.#store.query<SealedRow>(
        `SELECT ${SEALED_COLUMNS} FROM payloads
         WHERE (log_id, idx) IN (SELECT toFixedString(unhex(at.1), 32), at.2
           FROM (SELECT arrayJoin(arrayZip({logs:Array(String)}, {indexes:Array(UInt64)})) AS at))`,
        { params: { logs: some.map((row) => row.at_log), indexes: some.map((row) => Number(row.block)) } },
      );
      for (const row of found) blocks.set(blockName(row), row.base64);
    }
    return blocks;
  }
}

function inTheClear(row: SealedRow): Opened {
  return { kind: 'read', bytes: Buffer.from(row.base64, 'base64') };
}

const blockName = (row: SealedRow): string => `${row.at_log} ${row.block}`;
const MAX_OPEN_BLOCKS = 64;

class BlockOpener {
  readonly #keys: ReadonlyMap<number, Uint8Array>;
  readonly #blocks: ReadonlyMap<string, string>;
  /** Rows of a block follow each other, mostly. */
  readonly #opened = new LRUCache<string, { readonly lines: readonly Buffer[] | undefined }>({
    max: MAX_OPEN_BLOCKS,
  });

  constructor(keys: ReadonlyMap<number, Uint8Array>, blocks: ReadonlyMap<string, string>) {
    this.#keys = keys;
    this.#blocks = blocks;
  }

  open(row: SealedRow): Opened {
    const subject = Number(row.subject);
    const key = this.#keys.get(subject);
    if (key === undefined) return ERASED;
    const name = `${blockName(row)} ${row.subject}`;
    let opened = this.#opened.get(name);
    if (opened === undefined) {
      const sealed = this.#blocks.get(blockName(row));
      const place = { logId: row.at_log, index: Number(row.block), subject };
      const lines =
        sealed === undefined
          ? undefined
          : openLines(Buffer.from(sealed, 'base64'), place, logKey(key, row.at_log));
      opened = { lines };
      this.#opened.set(name, opened);
    }
    const bytes = opened.lines?.[row.place];
    return bytes === undefined ? ALTERED : { kind: 'read', bytes };
  }
}
