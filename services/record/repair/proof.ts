/**
 * Which entries of a log are proven by its signed head: each entry holds the leaf hash of the one before it, and the head
 * is signed over the last one. So an entry counts where every entry from it to the end leads there, be it a row of the
 * table, hashed again, or one that was made again. Nothing below a break is proven.
 */
import { equalBytes, hashFromHex, toHex } from '../../evidence/bytes.ts';
import { entryLeafHash } from '../../evidence/entry.ts';
import { ledgerEntryOf } from '../../platform/ledger/log-tiles.ts';
import { sha256 } from '../../platform/ledger/crypto.ts';
import { readEntries, type EntryRow } from '../../platform/ledger/rows.ts';
import type { Store } from '../../platform/store/port.ts';
import type { LogHeadOf } from './holes.ts';

const ROWS_A_READ = 16_384;

export interface Proven {
  /** Entries from here on are what was signed. */
  readonly from: number;
  /** The last entry before that, where the chain breaks: a row that is missing still, or that was altered; -1 for none. */
  readonly brokenAt: number;
}

/** `made`: leaf hashes of the entries that were made again, by index. Reads the rows from `from` on. */
export async function provenFrom(
  store: Store,
  head: LogHeadOf,
  { from, made }: { readonly from: number; readonly made: ReadonlyMap<number, Uint8Array> },
): Promise<Proven> {
  const chain = new Chain(made);
  for (let at = from; at < head.size; at += ROWS_A_READ) {
    const to = Math.min(at + ROWS_A_READ, head.size);
    const rows = new Map<number, EntryRow[]>();
    for (const row of await readEntries(store, { logId: head.logId, from: at, to })) {
      const same = rows.get(Number(row.idx));
      if (same === undefined) rows.set(Number(row.idx), [row]);
      else same.push(row);
    }
    for (let index = at; index < to; index += 1) chain.take(index, rows.get(index) ?? []);
  }
  return chain.end(head);
}

class Chain {
  readonly #made: ReadonlyMap<number, Uint8Array>;
  #last: Uint8Array | undefined;
  #from = -1;

  constructor(made: ReadonlyMap<number, Uint8Array>) {
    this.#made = made;
  }

  take(index: number, rows: readonly EntryRow[]): void {
    if (this.#from < 0) this.#from = index;
    const [row] = rows;
    if (row === undefined) {
      const made = this.#made.get(index);
      if (made === undefined) this.#from = index + 1;
      this.#last = made;
      return;
    }
    // Of twins neither is known to be the right one.
    if (rows.length > 1 || (this.#last !== undefined && row.prev_leaf_hash !== toHex(this.#last)))
      this.#from = index;
    this.#last = entryLeafHash(ledgerEntryOf(row), sha256);
  }

  end(head: LogHeadOf): Proven {
    const meets = this.#last !== undefined && equalBytes(this.#last, hashFromHex(head.lastLeafHash));
    const from = meets ? Math.max(0, this.#from) : head.size;
    return { from, brokenAt: from - 1 };
  }
}
