/** One log as it grows: every row is read again and must lead to the head that was signed. Pure. */
import { hashFromHex, toHex, type EvidenceCrypto } from '../evidence/bytes.ts';
import type { BundleRows } from '../evidence/bundle.ts';
import { CompactRange } from '../evidence/merkle.ts';
import { originLeafHash } from '../evidence/origin.ts';
import type { ClassMappingVersion } from '../evidence/projection.ts';
import type { FaultCode } from '../evidence/report.ts';
import { checkContent, checkEntry } from '../evidence/verify-rows.ts';
import type { SignedLog } from './ports.ts';

export interface LogFault {
  readonly code: FaultCode;
  readonly index: number;
  readonly offset: number | null;
  readonly session: string | null;
  readonly detail: string | null;
}

export interface FollowSettings {
  readonly crypto: EvidenceCrypto;
  readonly mappings: ReadonlyMap<string, ClassMappingVersion>;
}

class Found extends Error {
  readonly fault: LogFault;

  constructor(fault: LogFault) {
    super(fault.code);
    this.fault = fault;
  }
}

/** Where the reading of one log stands. Memory: O(log n) hashes. */
export class LogCursor {
  readonly #settings: FollowSettings;
  readonly #range: CompactRange;
  #lastLeaf: Uint8Array;

  private constructor(settings: FollowSettings, range: CompactRange, lastLeaf: Uint8Array) {
    this.#settings = settings;
    this.#range = range;
    this.#lastLeaf = lastLeaf;
  }

  /** At the first entry. */
  static atStart(origin: string, settings: FollowSettings): LogCursor {
    const { sha256 } = settings.crypto;
    return new LogCursor(settings, new CompactRange(0, sha256), originLeafHash(origin, sha256));
  }

  /** Behind a head: what is before it is for a sweep. Undefined where its range does not give its root. */
  static atHead(head: SignedLog, settings: FollowSettings): LogCursor | undefined {
    const { sha256 } = settings.crypto;
    const hashes = head.compactRange.map(hashFromHex);
    const range = CompactRange.fromHashes({ begin: 0, end: head.size }, hashes, sha256);
    if (range === undefined || toHex(range.root()) !== head.root) return undefined;
    return new LogCursor(settings, range, hashFromHex(head.lastLeafHash));
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
    // Without the stream's time before: that an effective time follows it is for a sweep to say.
    const check = { ...this.#settings, previousEffectiveMs: undefined, fail };
    const entry = checkEntry(rows, this.#lastLeaf, check);
    checkContent(rows, entry, check);
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
