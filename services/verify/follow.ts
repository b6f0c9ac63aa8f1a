/** Reads what was signed since the last time, log by log, within a budget. */
import { zBundleRows, type BundleRows } from '../evidence/bundle.ts';
import { readRows, type RowsLine } from '../platform/ledger/log-rows.ts';
import type { Store } from '../platform/store/port.ts';
import type { SignedLog, SignedPartition } from './ports.ts';
import { LogCursor, type FollowSettings, type LogFault } from './step.ts';

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
  readonly #store: Store;
  readonly #settings: () => Promise<FollowSettings>;
  readonly #cursors = new Map<string, LogCursor>();
  /** Not read on until a sweep has found them sound: they have been told of. */
  readonly #faulty = new Set<string>();
  #isFirst = true;

  constructor(store: Store, settings: () => Promise<FollowSettings>) {
    this.#store = store;
    this.#settings = settings;
  }

  /** One pass over all logs, at most `budget` entries. */
  async pass(partitions: readonly SignedPartition[], budget: number): Promise<Pass> {
    const settings = await this.#settings();
    const spans: Span[] = [];
    const faults: FollowedFault[] = [];
    let left = budget;
    let unread = 0;
    for (const { topic, partition, heads } of partitions) {
      for (const head of heads) {
        const cursor = this.#cursorOf(head, settings);
        const span = { cursor, log: head, topic, partition, to: Math.min(head.size, cursor.next + left) };
        const fault = this.#faulty.has(head.logId) ? undefined : standing(span);
        if (fault !== undefined) faults.push({ ...fault, log: head, topic, partition });
        else if (!this.#faulty.has(head.logId) && span.to > cursor.next) {
          left -= span.to - cursor.next;
          spans.push(span);
        }
        unread += Math.max(0, head.size - Math.max(cursor.next, span.to));
      }
    }
    faults.push(...(await this.#read(spans)));
    for (const { log } of faults) this.#faulty.add(log.logId);
    this.#isFirst = false;
    return { read: budget - left, unread, faults };
  }

  /** All logs in one read: tables that lie in the order of sessions are gone through once. */
  async #read(spans: readonly Span[]): Promise<FollowedFault[]> {
    const byId = new Map(spans.map((span) => [span.log.logId, span]));
    const faults = new Map<string, LogFault>();
    const plans = [...byId.values()]
      .toSorted((a, b) => (a.log.logId < b.log.logId ? -1 : 1))
      .map(({ cursor, log, topic, partition, to }) => ({
        log: { logId: log.logId, tenant: '', topic, partition, size: to },
        from: cursor.next,
      }));
    for await (const { log, lines } of readRows(this.#store, plans)) {
      const span = byId.get(log.logId);
      const last = lines.at(-1);
      if (span === undefined || last === undefined || faults.has(log.logId)) continue;
      const fault = span.cursor.take(lines.map(rowsOf), last.idx + 1);
      if (fault !== undefined) faults.set(log.logId, fault);
    }
    return spans.flatMap((span) => {
      const { cursor, log, topic, partition, to } = span;
      const fault = faults.get(log.logId) ?? cursor.take([], to) ?? standing(span);
      return fault === undefined ? [] : [{ ...fault, log, topic, partition }];
    });
  }

  /** After a sweep that found nothing. */
  forgive(): void {
    for (const logId of this.#faulty) this.#cursors.delete(logId);
    this.#faulty.clear();
  }

  /** Logs that are there at the start are followed from where they end: a sweep reads them whole. */
  #cursorOf(head: SignedLog, settings: FollowSettings): LogCursor {
    const known = this.#cursors.get(head.logId);
    if (known !== undefined) return known;
    const atHead = this.#isFirst ? LogCursor.atHead(head, settings) : undefined;
    const cursor = atHead ?? LogCursor.atStart(head.origin, settings);
    this.#cursors.set(head.logId, cursor);
    return cursor;
  }
}

/** What of a log one pass reads: from its cursor up to `to`. */
interface Span {
  readonly cursor: LogCursor;
  readonly log: SignedLog;
  readonly topic: string;
  readonly partition: number;
  readonly to: number;
}

/** Whether a log that was read as far as it is signed is the one that was signed. */
function standing({ cursor, log }: Span): LogFault | undefined {
  const nowhere = { offset: null, session: null };
  // A signer that was set back signs a second history of the same indexes.
  if (log.size < cursor.next)
    return { code: 'known_head_differs', index: log.size, ...nowhere, detail: 'size' };
  return log.size === cursor.next ? cursor.meets(log) : undefined;
}

const rowsOf = ({ open }: RowsLine): BundleRows => zBundleRows.parse(JSON.parse(`${open}}`));
