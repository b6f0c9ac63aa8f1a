/**
 * Rows of signed entries that the tables lost and the bus still holds. In two passes over the same records: the first
 * makes the entries again and asks whether the signed heads prove them; then, once who repairs what and why is on record,
 * the second inserts the rows that are missing and proven. Nothing is signed, no row that is there is touched, and a run
 * that was cut off is finished by the next one.
 */
import { TriplineError } from '../../../schemas/errors.ts';
import { HASH_BYTES, toHex } from '../../evidence/bytes.ts';
import { formatRanges, rangesOf } from '../../evidence/index-ranges.ts';
import type { ErasedRanges } from '../../evidence/verify-erasures.ts';
import type { SubjectKeys } from '../../platform/payloads/keys.ts';
import type { StepSettings } from '../open-log.ts';
import { columnsOf, TABLE_ORDER, type EnteredRows, type KeepRow, type TableName } from '../outcome.ts';
import type { RepairTurns } from '../ports.ts';
import { sealPayloads } from '../seal-payloads.ts';
import { holesOf, joinedSpans, type Hole, type OffsetSpan, type SignedPartition } from './holes.ts';
import { readErased, storedOf } from './lacking.ts';
import { provenFrom, type Proven } from './proof.ts';
import { heldSpan, leafOf, replay, type Overlay, type ReplayedPart, type ReplayPorts } from './replay.ts';

export interface RepairPorts extends ReplayPorts {
  readonly keys: SubjectKeys | undefined;
  /** Asked before what is erased is read and rows are inserted; throws where they may not be. */
  readonly turns?: Pick<RepairTurns, 'take'> | undefined;
}

/**
 * gone_from_bus: the records are not there any more. differs: what was made again is not what stands in the ledger
 * beside it: a row or the bus was altered. not_proven: the chain to the signed head breaks above it. erasure_unknown:
 * entries of topic audit are missing, so that nobody knows whether these were erased.
 */
export type LeftReason = 'differs' | 'erasure_unknown' | 'gone_from_bus' | 'not_proven';

/** Rows of one log and table. */
export interface RowsOf {
  readonly topic: string;
  readonly partition: number;
  /** Origin of the log. */
  readonly log: string;
  readonly table: TableName;
  readonly rows: number;
  /** As `0-4,9`. */
  readonly indexes: string;
}
export interface LeftRows extends RowsOf {
  readonly reason: LeftReason;
  /** The entry at which it was found: that which differs, or at which the chain breaks. */
  readonly at: number | null;
}

export interface PartitionPlan {
  readonly repairable: readonly RowsOf[];
  readonly left: readonly LeftRows[];
  /** Inserts what is repairable; answers the rows. */
  apply(): Promise<number>;
}

/** Each was used up by an insert that the store had noted and whose rows it lost again. */
const MAX_NEW_TOKENS = 100;

/** Entries [from, to) of a log; below `sameTo` they are what stands there. */
interface ReadAgain {
  readonly from: number;
  readonly to: number;
  readonly sameTo: number;
  /** The bus does not hold the first records of the span: entries are not made from where they were. */
  readonly isCut: boolean;
}

type WhyLeft = Pick<LeftRows, 'at' | 'reason'>;
const GONE: WhyLeft = { reason: 'gone_from_bus', at: null };

type LogNotes = Map<string, Map<TableName, Set<number>>>;

export interface RepairWish {
  readonly at: SignedPartition;
  /** Rows of `ledger` alone: they hold nothing of what was said. */
  readonly onlyEntries: boolean;
}

/** What is missing of a partition, and what can be done about it. Changes nothing. */
export async function planRepair(
  ports: RepairPorts,
  settings: StepSettings,
  { at, onlyEntries }: RepairWish,
): Promise<PartitionPlan> {
  const erased = await readErased(ports.store);
  const holes = await holesOf(ports.store, at, erased);
  const work = new PartitionRepair(ports, settings, { at, onlyEntries, holes, erased });
  return await work.plan();
}

class PartitionRepair {
  readonly #ports: RepairPorts;
  readonly #settings: StepSettings;
  readonly #at: SignedPartition;
  readonly #onlyEntries: boolean;
  readonly #holes: readonly Hole[];
  readonly #erased: ErasedRanges;
  /** Rows that are missing and could be made again, by log, table and index. */
  readonly #found: LogNotes = new Map();
  /** Leaf hashes of missing entries, by log and index. */
  readonly #made = new Map<string, Map<number, Uint8Array>>();
  /** What was read again of each log. */
  readonly #read = new Map<string, ReadAgain[]>();
  readonly #proven = new Map<string, Proven>();

  constructor(
    ports: RepairPorts,
    settings: StepSettings,
    what: RepairWish & { readonly holes: readonly Hole[]; readonly erased: ErasedRanges },
  ) {
    this.#ports = ports;
    this.#settings = settings;
    this.#at = what.at;
    this.#onlyEntries = what.onlyEntries;
    this.#holes = what.holes;
    this.#erased = what.erased;
  }

  async plan(): Promise<PartitionPlan> {
    for await (const { part, isCut } of this.#parts()) await this.#look(part, isCut);
    for (const head of this.#at.heads) {
      const from = firstOf(this.#found.get(head.logId));
      if (from === undefined) continue;
      const made = this.#made.get(head.logId) ?? new Map<number, Uint8Array>();
      this.#proven.set(head.logId, await provenFrom(this.#ports.store, head, { from, made }));
    }
    return { repairable: this.#repairable(), left: this.#left(), apply: () => this.#apply() };
  }

  async *#parts(): AsyncGenerator<{ readonly part: ReplayedPart; readonly isCut: boolean }> {
    const overlay: Overlay = new Map();
    for (const span of joinedSpans(this.#holes.map((hole) => hole.span))) {
      const held: OffsetSpan | undefined = await heldSpan(this.#ports, this.#at, span);
      if (held === undefined) continue;
      const isCut = held.from > span.from;
      const what = { at: this.#at, span: held, overlay };
      for await (const part of replay(this.#ports, this.#settings, what)) yield { part, isCut };
    }
  }

  async #look(part: ReplayedPart, isCut: boolean): Promise<void> {
    const rows = part.enter(() => false);
    const { lacks, differs } = await storedOf(this.#ports.store, rows, this.#erased);
    for (const [logId, { from, leaves }] of rows.entered) {
      const to = from + leaves.length / HASH_BYTES;
      listAt(this.#read, logId).push({ from, to, sameTo: differs.get(logId) ?? to, isCut });
    }
    part.enter((table, at) => {
      if (lacks(table, at)) this.#note(rows, table, at);
      return false;
    });
  }

  #note(rows: EnteredRows, table: TableName, { logId, index }: Parameters<KeepRow>[1]): void {
    const log = toHex(logId);
    if (index >= this.#sizeOf(log)) return;
    const tables = this.#found.get(log) ?? new Map<TableName, Set<number>>();
    this.#found.set(log, tables);
    tables.set(table, (tables.get(table) ?? new Set()).add(index));
    const leaf = leafOf(rows, log, index);
    if (table !== 'ledger' || leaf === undefined) return;
    const made = this.#made.get(log) ?? new Map<number, Uint8Array>();
    this.#made.set(log, made.set(index, leaf.slice()));
  }

  /** Of another log than the signed ones: nothing. */
  #sizeOf(logId: string): number {
    return this.#at.heads.find((head) => head.logId === logId)?.size ?? 0;
  }

  /** Why a row that is missing stays so; undefined where it can be repaired. */
  #reasonOf(logId: string, table: TableName, index: number): WhyLeft | undefined {
    if (this.#onlyEntries && table !== 'ledger') return { reason: 'erasure_unknown', at: null };
    const read = (this.#read.get(logId) ?? []).find(({ from, to }) => from <= index && index < to);
    return read === undefined ? GONE : reasonIn(read, index, this.#proven.get(logId));
  }

  #repairable(): RowsOf[] {
    return this.#eachFound((logId, table, indexes) => {
      const own = indexes.filter((index) => this.#reasonOf(logId, table, index) === undefined);
      return own.length === 0 ? [] : [this.#rowsOf(logId, table, own)];
    });
  }

  /** What could be made again and is not proven, and what could not be made again at all. */
  #left(): LeftRows[] {
    const left = new Map<string, { hole: Pick<Hole, 'logId' | 'table'>; why: WhyLeft; indexes: number[] }>();
    const leave = (logId: string, table: TableName, index: number): void => {
      const why = this.#reasonOf(logId, table, index);
      if (why === undefined) return;
      const key = `${logId} ${table} ${why.reason} ${why.at ?? ''}`;
      const same = left.get(key) ?? { hole: { logId, table }, why, indexes: [] };
      left.set(key, same);
      same.indexes.push(index);
    };
    this.#eachFound((logId, table, indexes) => {
      for (const index of indexes) leave(logId, table, index);
      return [];
    });
    for (const { logId, table, from, to } of this.#holes)
      for (let index = from; index <= to; index += 1)
        if (this.#found.get(logId)?.get(table)?.has(index) !== true) leave(logId, table, index);
    return [...left.values()].map(({ hole, why, indexes }) => ({
      ...this.#rowsOf(
        hole.logId,
        hole.table,
        indexes.toSorted((a, b) => a - b),
      ),
      ...why,
    }));
  }

  #eachFound<Item>(
    act: (logId: string, table: TableName, indexes: readonly number[]) => readonly Item[],
  ): Item[] {
    return [...this.#found].flatMap(([logId, tables]) =>
      [...tables].flatMap(([table, indexes]) =>
        act(
          logId,
          table,
          [...indexes].toSorted((a, b) => a - b),
        ),
      ),
    );
  }

  #rowsOf(logId: string, table: TableName, indexes: readonly number[]): RowsOf {
    const { topic, partition, heads } = this.#at;
    const log = heads.find((head) => head.logId === logId)?.origin ?? logId;
    return { topic, partition, log, table, rows: indexes.length, indexes: formatRanges(rangesOf(indexes)) };
  }

  /** The same parts again: an insert of each table, the ledger last, so that who finds an entry finds all of it. */
  async #apply(): Promise<number> {
    let inserted = 0;
    for await (const { part } of this.#parts()) {
      for (let attempt = 0; ; attempt += 1) {
        await this.#ports.turns?.take();
        const rows = await this.#missingRows(part);
        const count = TABLE_ORDER.reduce((sum, table) => sum + rows.tables[table].rows, 0);
        if (count === 0) break;
        if (attempt > MAX_NEW_TOKENS)
          throw new TriplineError('store_query_failed', `${count} rows were inserted and are not there`);
        await this.#insert(rows, attempt);
        if (attempt === 0) inserted += count;
      }
    }
    return inserted;
  }

  async #missingRows(part: ReplayedPart): Promise<EnteredRows> {
    const { keys } = this.#ports;
    const { sha256 } = this.#settings;
    // Read anew: what was erased since must not come back, and what is there must not come twice.
    const erased = await readErased(this.#ports.store);
    const { lacks } = await storedOf(
      this.#ports.store,
      part.enter(() => false),
      erased,
    );
    const keep: KeepRow = (table, at) =>
      at.index < this.#sizeOf(toHex(at.logId)) &&
      this.#reasonOf(toHex(at.logId), table, at.index) === undefined &&
      lacks(table, at);
    const rows = part.enter(keep);
    return keys === undefined ? rows : await sealPayloads(rows, { keys, sha256, keep });
  }

  async #insert(rows: EnteredRows, attempt: number): Promise<void> {
    for (const table of TABLE_ORDER) {
      const { format, rows: count } = rows.tables[table];
      if (count === 0) continue;
      // Tokens of their own: the store remembers those of the rows that it lost.
      const token = `repair:${table}:${rows.digests[table]}:${attempt}`;
      const columns = columnsOf(table, this.#ports.keys !== undefined);
      const data = rows.tables[table].bytes();
      await this.#ports.store.insertBinary({ table, columns, format, data, rows: count, token });
    }
  }
}

/** Of an entry that was made again. */
function reasonIn(read: ReadAgain, index: number, proven: Proven | undefined): WhyLeft | undefined {
  const isUnproven = proven !== undefined && index < proven.from;
  if (index < read.sameTo && !isUnproven) return undefined;
  if (read.isCut) return GONE;
  if (index >= read.sameTo) return { reason: 'differs', at: read.sameTo };
  return { reason: 'not_proven', at: proven?.brokenAt ?? null };
}

function firstOf(tables: ReadonlyMap<TableName, ReadonlySet<number>> | undefined): number | undefined {
  let first: number | undefined;
  for (const indexes of tables?.values() ?? [])
    for (const index of indexes) if (first === undefined || index < first) first = index;
  return first;
}

function listAt<Item>(lists: Map<string, Item[]>, key: string): Item[] {
  const known = lists.get(key);
  if (known !== undefined) return known;
  const made: Item[] = [];
  lists.set(key, made);
  return made;
}
