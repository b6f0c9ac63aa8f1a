/**
 * Rows of signed logs as blocks of a bundle, in index order. Tables that lie in the order of sessions are read once a
 * slice of many entries, sorted by the engine, and merged with those that lie in the order of the log: a read of them
 * for each few thousand entries would make the cost of an export grow with the square of the store.
 */
import type { BlockWriter } from '../../evidence/bundle-binary.ts';
import type { Depth } from '../../evidence/depth.ts';
import type { Store } from '../store/port.ts';
import { rangeEnd, readProjected, readRange, type ProjectedRow, type StoredRows } from './rows.ts';

export interface ExportedLog {
  readonly logId: string;
  readonly tenant: string;
  readonly topic: string;
  readonly partition: number;
  readonly size: number;
}

/** A log, and which of its entries are wanted. */
export interface LogPlan {
  readonly log: ExportedLog;
  /** In order; absent: all. */
  readonly indexes?: readonly number[];
  /** Where the wanted ones begin; absent: at 0. Without `indexes` only. */
  readonly from?: number;
  /** Absent: all of them are looked into. */
  readonly depth?: Depth;
}

/** Entries [from, to) of one log, all of them or those of `indexes`. */
interface Piece extends Omit<LogPlan, 'from'> {
  readonly from: number;
  readonly to: number;
}

/** The engine sorts so many rows at a time; beyond half of its memory it does so on disk. */
const MAX_SLICE_ENTRIES = 500_000;
/** Conditions of a statement. */
const MAX_SLICE_LOGS = 256;
const MAX_LISTED_INDEXES = 4096;
const MAX_SLICE_LISTED = 4 * MAX_LISTED_INDEXES;
const MAX_RANGE_ENTRIES = 4096;
const MAX_RANGE_BYTES = 16 * 1024 * 1024;

/** What came of the plans so far, each part of one log. A log without wanted rows comes as one part without a block. */
export interface RowsPart {
  readonly log: ExportedLog;
  readonly block: BlockWriter | undefined;
  /** Those that were asked for one by one. */
  readonly indexes: readonly number[];
}

/** Plans in order of log ids. The store is read one part ahead of the consumer. */
export async function* readRows(source: StoredRows, plans: readonly LogPlan[]): AsyncGenerator<RowsPart> {
  for (const slice of slicesOf(plans.flatMap(piecesOf))) yield* oneAhead(readSlice(source, slice));
}

function piecesOf({ log, indexes, from = 0, ...depth }: LogPlan): Piece[] {
  const count = indexes?.length ?? log.size;
  const pieces: Piece[] = [];
  const start = indexes === undefined ? from : 0;
  for (let at = start; at < count || at === start; at += MAX_SLICE_ENTRIES) {
    const end = Math.min(at + MAX_SLICE_ENTRIES, count);
    if (indexes === undefined) pieces.push({ log, from: at, to: end, ...depth });
    else pieces.push(pieceOf(log, indexes.slice(at, end)));
  }
  return pieces;
}

const pieceOf = (log: ExportedLog, indexes: readonly number[]): Piece => ({
  log,
  indexes,
  from: indexes[0] ?? 0,
  to: (indexes.at(-1) ?? -1) + 1,
});

const weightOf = ({ from, to, indexes }: Piece): number => indexes?.length ?? to - from;
const isListed = ({ indexes }: Piece): boolean =>
  indexes !== undefined && indexes.length <= MAX_LISTED_INDEXES;

function slicesOf(pieces: readonly Piece[]): Piece[][] {
  const slices: Piece[][] = [];
  let entries = 0;
  let listed = 0;
  for (const piece of pieces) {
    const slice = slices.at(-1);
    const weight = weightOf(piece);
    const names = isListed(piece) ? weight : 0;
    const isFull =
      slice === undefined ||
      slice.length === MAX_SLICE_LOGS ||
      entries + weight > MAX_SLICE_ENTRIES ||
      listed + names > MAX_SLICE_LISTED;
    if (isFull) {
      slices.push([piece]);
      entries = weight;
      listed = names;
    } else {
      slice.push(piece);
      entries += weight;
      listed += names;
    }
  }
  return slices;
}

async function* readSlice(source: StoredRows, slice: readonly Piece[]): AsyncGenerator<RowsPart> {
  const spans = slice
    .filter((piece) => weightOf(piece) > 0)
    .map((piece) => ({
      logId: piece.log.logId,
      from: piece.from,
      to: piece.to,
      ...(isListed(piece) ? { indexes: piece.indexes ?? [] } : {}),
      ...depthOf(piece),
    }));
  const projected = new ProjectedReader(spans.length === 0 ? nothing() : readProjected(source.store, spans));
  try {
    for (const piece of slice) yield* readPiece(source, piece, projected);
  } finally {
    await projected.close();
  }
}

async function* nothing(): AsyncGenerator<ProjectedRow[]> {
  yield* [];
}

async function* readPiece(
  source: StoredRows,
  piece: Piece,
  projected: ProjectedReader,
): AsyncGenerator<RowsPart> {
  const { log } = piece;
  if (weightOf(piece) === 0) yield { log, block: undefined, indexes: [] };
  for await (const { from, to, indexes } of rangesOf(source.store, piece)) {
    const [block, others] = await Promise.all([
      readRange(source, {
        logId: log.logId,
        from,
        to,
        ...(indexes === undefined ? {} : { indexes }),
        ...depthOf(piece),
      }),
      projected.upTo(log.logId, to),
    ]);
    const wanted = indexes === undefined ? undefined : new Set(indexes);
    for (const { idx, table, row } of others)
      if (idx >= from && wanted?.has(idx) !== false) block.add(table, idx, row);
    yield { log, block, indexes: indexes ?? [] };
  }
}

const depthOf = ({ depth }: Pick<LogPlan, 'depth'>): Pick<LogPlan, 'depth'> =>
  depth === undefined ? {} : { depth };

type Range = Pick<Piece, 'from' | 'to' | 'indexes'>;

/** Of a size that fits in memory. */
async function* rangesOf(store: Store, piece: Piece): AsyncGenerator<Range> {
  const { log, indexes } = piece;
  if (indexes !== undefined) return yield* listedRanges(store, log, indexes);
  let { from } = piece;
  while (from < piece.to) {
    const to = Math.min(from + MAX_RANGE_ENTRIES, piece.to);
    const wide = { logId: log.logId, from, to, ...depthOf(piece) };
    const end = await rangeEnd(store, wide, MAX_RANGE_BYTES);
    yield { from, to: end };
    from = end;
  }
}

async function* listedRanges(
  store: Store,
  { logId }: ExportedLog,
  indexes: readonly number[],
): AsyncGenerator<Range> {
  let at = 0;
  while (at < indexes.length) {
    const some = indexes.slice(at, at + MAX_RANGE_ENTRIES);
    const from = some[0] ?? 0;
    const wide = { logId, from, to: (some.at(-1) ?? -1) + 1, indexes: some };
    const to = await rangeEnd(store, wide, MAX_RANGE_BYTES);
    const kept = some.filter((index) => index < to);
    yield { from, to, indexes: kept };
    at += kept.length;
  }
}

/** Rows in order of log and index, taken up to a place at a time. */
class ProjectedReader {
  readonly #rows: AsyncGenerator<ProjectedRow[]>;
  #some: readonly ProjectedRow[] = [];
  #at = 0;

  constructor(rows: AsyncGenerator<ProjectedRow[]>) {
    this.#rows = rows;
  }

  /** Rows of the log before `to` that were not taken yet; those of logs before it are dropped. */
  async upTo(logId: string, to: number): Promise<ProjectedRow[]> {
    const taken: ProjectedRow[] = [];
    for (;;) {
      for (; this.#at < this.#some.length; this.#at += 1) {
        const row = this.#some[this.#at] as ProjectedRow;
        if (row.log > logId || (row.log === logId && row.idx >= to)) return taken;
        if (row.log === logId) taken.push(row);
      }
      const next = await this.#rows.next();
      if (next.done === true) return taken;
      this.#some = next.value;
      this.#at = 0;
    }
  }

  async close(): Promise<void> {
    await this.#rows.return(undefined);
  }
}

/** Asks for the next value while the consumer has the one before. */
async function* oneAhead<T>(source: AsyncGenerator<T>): AsyncGenerator<T> {
  let pending = source.next();
  // A fault is thrown when its turn comes; until then nobody waits for it.
  pending.catch(() => undefined);
  try {
    for (;;) {
      const next = await pending;
      if (next.done === true) return;
      pending = source.next();
      pending.catch(() => undefined);
      yield next.value;
    }
  } finally {
    await source.return(undefined);
  }
}
