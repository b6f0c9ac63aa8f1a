/** Reads what was signed since the last time, log by log, within a budget. */
import type { EvidenceCrypto } from '../evidence/bytes.ts';
import { BlockEntry } from '../evidence/block-entry.ts';
import type { BundleRows } from '../evidence/bundle.ts';
import { RowsBlock } from '../evidence/rows-block.ts';
import { TABLE_LAYOUTS } from '../evidence/table-layout.ts';
import { rangeEnd, readRange, type IndexRange, type StoredRows } from '../platform/ledger/rows.ts';
import type { SignedLog, SignedPartition } from './ports.ts';
import { LogCursor, type LogFault } from './step.ts';

const MAX_RANGE_ENTRIES = 512;
const MAX_RANGE_BYTES = 4 * 1024 * 1024;

export interface FollowedFault extends LogFault {
  readonly log: SignedLog;
  readonly topic: string;
  readonly partition: number;
}

export interface Pass {
  readonly read: number;
  /** Signed and not read yet. */
  readonly unread: number;
  readonly faults: readonly FollowedFault[];
}

export class Follower {
  readonly #source: StoredRows;
  readonly #crypto: EvidenceCrypto;
  readonly #cursors = new Map<string, LogCursor>();
  /** Not read on until a sweep has found them sound: they have been told of. */
  readonly #faulty = new Set<string>();
  #isFirst = true;

  constructor(source: StoredRows, crypto: EvidenceCrypto) {
    this.#source = source;
    this.#crypto = crypto;
  }

  /** One pass over all logs, at most `budget` entries. */
  async pass(partitions: readonly SignedPartition[], budget: number): Promise<Pass> {
    let left = budget;
    let unread = 0;
    const faults: FollowedFault[] = [];
    for (const { topic, partition, heads } of partitions) {
      for (const head of heads) {
        const cursor = this.#cursorOf(head);
        const before = cursor.next;
        const fault = await this.#follow(cursor, head, left);
        left -= cursor.next - before;
        unread += Math.max(0, head.size - cursor.next);
        if (fault === undefined) continue;
        this.#faulty.add(head.logId);
        faults.push({ ...fault, log: head, topic, partition });
      }
    }
    this.#isFirst = false;
    return { read: budget - left, unread, faults };
  }

  /** After a sweep that found nothing. */
  forgive(): void {
    for (const logId of this.#faulty) this.#cursors.delete(logId);
    this.#faulty.clear();
  }

  /** Logs that are there at the start are followed from where they end: a sweep reads them whole. */
  #cursorOf(head: SignedLog): LogCursor {
    const known = this.#cursors.get(head.logId);
    if (known !== undefined) return known;
    const atHead = this.#isFirst ? LogCursor.atHead(head, this.#crypto) : undefined;
    const cursor = atHead ?? LogCursor.atStart(head.origin, this.#crypto);
    this.#cursors.set(head.logId, cursor);
    return cursor;
  }

  async #follow(cursor: LogCursor, head: SignedLog, budget: number): Promise<LogFault | undefined> {
    if (this.#faulty.has(head.logId)) return undefined;
    const nowhere = { offset: null, session: null };
    // A signer that was set back signs a second history of the same indexes.
    if (head.size < cursor.next)
      return { code: 'known_head_differs', index: head.size, ...nowhere, detail: 'size' };
    if (head.size === cursor.next) return cursor.meets(head);
    let left = budget;
    while (cursor.next < head.size && left > 0) {
      const wide: IndexRange = {
        logId: head.logId,
        from: cursor.next,
        to: Math.min(head.size, cursor.next + Math.min(left, MAX_RANGE_ENTRIES)),
      };
      const range = { ...wide, to: await rangeEnd(this.#source.store, wide, MAX_RANGE_BYTES) };
      const rows = entriesOf((await readRange(this.#source, range)).block());
      const fault = cursor.take(rows, range.to);
      if (fault !== undefined) return fault;
      left -= range.to - range.from;
    }
    return cursor.next === head.size ? cursor.meets(head) : undefined;
  }
}

/** All rows of one index together, in order of the index. */
function entriesOf(bytes: Uint8Array): BundleRows[] {
  const block = new RowsBlock(bytes, TABLE_LAYOUTS);
  return Array.from({ length: block.count }, (_, entry) => new BlockEntry(block, entry));
}
