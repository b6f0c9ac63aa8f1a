/** One log as it grows: every row is read again and must lead to the head that was signed. Pure. */
import { hashFromHex, toHex, type EvidenceCrypto } from '../evidence/bytes.ts';
import type { BundleRows } from '../evidence/bundle.ts';
import { CompactRange } from '../evidence/merkle.ts';
import { originLeafHash } from '../evidence/origin.ts';
import type { FaultCode } from '../evidence/report.ts';
import type { RowsCheck } from '../evidence/verify-projections.ts';
import { checkBytes, checkEntry } from '../evidence/verify-rows.ts';
import type { SignedLog } from './ports.ts';

export interface LogFault {
  readonly code: FaultCode;
  readonly index: number;
  readonly offset: number | null;
  readonly session: string | null;
  readonly detail: string | null;
}

/** The columns of queries are for a sweep: their tables do not lie in the order of logs. */
const NO_MAPPINGS: RowsCheck['mappings'] = new Map();

class Found extends Error {
  readonly fault: LogFault;

  constructor(fault: LogFault) {
    super(fault.code);
    this.fault = fault;
  }
}

/** Where the reading of one log stands. Memory: O(log n) hashes. */
export class LogCursor {
  readonly #crypto: EvidenceCrypto;
  readonly #range: CompactRange;
  #lastLeaf: Uint8Array;

  private constructor(crypto: EvidenceCrypto, range: CompactRange, lastLeaf: Uint8Array) {
    this.#crypto = crypto;
    this.#range = range;
    this.#lastLeaf = lastLeaf;
  }

  /** At the first entry. */
  static atStart(origin: string, crypto: EvidenceCrypto): LogCursor {
    const { sha256 } = crypto;
    return new LogCursor(crypto, new CompactRange(0, sha256), originLeafHash(origin, sha256));
  }

  /** Behind a head: what is before it is for a sweep. Undefined where its range does not give its root. */
  static atHead(head: SignedLog, crypto: EvidenceCrypto): LogCursor | undefined {
    const { sha256 } = crypto;
    const hashes = head.compactRange.map(hashFromHex);
    const range = CompactRange.fromHashes({ begin: 0, end: head.size }, hashes, sha256);
    if (range === undefined || toHex(range.root()) !== head.root) return undefined;
    return new LogCursor(crypto, range, hashFromHex(head.lastLeafHash));
  }

  /** Index of the next row. */
  get next(): number {
    return this.#range.end;
  }

  /** Takes the rows of [next, to) as the tables hold them, in order; the first fault, where there is one. */
  take(rows: readonly BundleRows[], to: number): LogFault | undefined {
    try {
      for (const row of rows) this.#take(row);
      if (this.next < to) this.#fail('entry_missing', this.next);
      return undefined;
    } catch (error) {
      if (error instanceof Found) return error.fault;
      throw error;
    }
  }

  #take(rows: BundleRows): void {
    const index = this.next;
    if (rows.idx > index) this.#fail('entry_missing', index);
    const fail = (code: FaultCode, detail?: string): never => this.#fail(code, index, { rows, detail });
    const check = { crypto: this.#crypto, mappings: NO_MAPPINGS, previousEffectiveMs: undefined, fail };
    const entry = checkEntry(rows, this.#lastLeaf, check);
    checkBytes(rows, entry.row, check);
    this.#lastLeaf = entry.leafHash;
    this.#range.append(entry.leafHash);
  }

  #fail(code: FaultCode, index: number, at: { rows?: BundleRows; detail?: string | undefined } = {}): never {
    const row = at.rows?.ledger[0];
    const session = row?.session_id ?? null;
    throw new Found({ code, index, offset: row?.offset ?? null, session, detail: at.detail ?? null });
  }

  /** Whether what was read is what this head, of the size that was read, was signed for. */
  meets(head: SignedLog): LogFault | undefined {
    const isSame = toHex(this.#range.root()) === head.root && toHex(this.#lastLeaf) === head.lastLeafHash;
    const nowhere = { offset: null, session: null, detail: null };
    return isSame ? undefined : { code: 'root_differs', index: head.size - 1, ...nowhere };
  }
}
