/** One log, row by row in index order: chain, tree at every signed size, streams, content. Memory: O(streams). */
import type { ErasureBody } from '../../schemas/audit/v1.ts';
import { fromHex, HASH_BYTES, hashFromHex, toHex } from './bytes.ts';
import type { BundleHead, BundleLog, BundleRows, LedgerColumns } from './bundle.ts';
import { lookOf, type VerifiedLog } from './depth.ts';
import { ENTRY_TYPES } from './entry.ts';
import { LeafTree } from './leaf-tree.ts';
import { placeOf } from './log-place.ts';
import { doesLeaveOut, type LackingRun, type LogCounts, type LogSettings } from './log-settings.ts';
import { verifyInclusion } from './merkle.ts';
import { logId, logOrigin, originLeafHash } from './origin.ts';
import type { RootClaim } from './root-claims.ts';
import { FaultFound, type FaultCode, type LogReport, type OpenGap } from './report.ts';
import type { CheckedRows, Fail, RowsCheck } from './verify-projections.ts';
import { usualContent, usualEntry } from './verify-block.ts';
import { checkContent, checkEntry } from './verify-rows.ts';
import { ProducerCheck, type ProducerFault } from './verify-producers.ts';
import { StreamOrders } from './verify-streams.ts';

/** A GAP, or an EQUIVOCATION without bytes: it stands for the entry after it, of the same line. */
interface Herald {
  readonly index: number;
  readonly row: LedgerColumns;
}

export class LogVerifier {
  readonly counts: LogCounts = {
    equivocations: 0,
    deadLetters: 0,
    classesNotDerived: 0,
    policiesNotProjected: 0,
    sampledOut: 0,
    resumed: 0,
  };
  entries = 0;
  readonly origin: string;
  readonly tenant: string;
  readonly logId: string;
  readonly #log: BundleLog;
  readonly #settings: LogSettings;
  readonly #head: BundleHead;
  readonly #tree: LeafTree;
  readonly #streams = new StreamOrders();
  readonly #producers: ProducerCheck;
  /** Streams seen since the last hole of a partial bundle. */
  readonly #inRun = new Set<string>();
  #next = 0;
  #lastLeaf: Uint8Array;
  /** Of the claims: by size, and the range that the next index is in. */
  readonly #claimed: ReadonlyMap<number, RootClaim>;
  readonly #headSizes: ReadonlySet<number>;
  #rangeAt = 0;
  #herald: Herald | undefined;
  /** In order. */
  readonly lacking: LackingRun[] = [];
  readonly erasures: ErasureBody[] = [];
  /** Streams whose last entry is erased: how far their time had come is not told any more. */
  readonly #timeless = new Set<string>();
  #at: LedgerColumns | undefined;
  /** Those that are being checked. */
  #rows: BundleRows | undefined;
  /** One for all entries: a function each would cost more than to hash it. */
  readonly #fail: Fail = (code, detail) => {
    throw this.#fault(code, this.#rows?.idx ?? this.#next, detail ?? null, this.#rows);
  };

  constructor(log: BundleLog, settings: LogSettings) {
    const { sha256 } = settings.crypto;
    this.#log = log;
    this.#settings = settings;
    const { tenant, topic, partition } = log;
    this.tenant = tenant;
    this.logId = log.logId;
    this.origin = logOrigin({ deployment: settings.deployment, tenant, topic, partition }, sha256);
    const { partial, signatures, tally } = settings;
    const leavesOut = doesLeaveOut(settings);
    this.#producers = new ProducerCheck({ partial, leavesOut, signatures, tally, origin: this.origin });
    this.#tree = new LeafTree(settings.crypto);
    this.#lastLeaf = originLeafHash(this.origin, sha256);
    const head = settings.heads.toSorted((a, b) => b.size - a.size)[0];
    if (head === undefined) throw this.#fault('log_name_differs', 0, 'no signed head names this log');
    this.#head = head;
    const named = head.origin === this.origin && toHex(logId(this.origin, sha256)) === log.logId;
    if (!named || log.size !== head.size) throw this.#fault('log_name_differs', 0, 'origin');
    this.#claimed = new Map(settings.claims?.heads.map((claim) => [claim.size, claim]));
    this.#headSizes = new Set([
      ...[...settings.heads, ...settings.known].map(({ size }) => size),
      ...this.#claimed.keys(),
    ]);
    const longer = settings.claims?.heads.find((claim) => claim.size > head.size);
    if (longer !== undefined) throw this.#claimFault(longer, head.size);
    const same = this.#claimed.get(head.size);
    if (same !== undefined && same.root !== head.root) throw this.#claimFault(same, head.size);
  }

  /** The root log holds another head, which is worth what those who cosigned it are. */
  #claimFault({ index: leaf }: RootClaim, index: number): FaultFound {
    const isWitnessed = leaf < this.#settings.witnessedSize;
    const code = isWitnessed ? 'witnessed_head_differs' : 'root_head_differs';
    return this.#fault(code, index, `root log leaf ${leaf}`);
  }

  /** Takes the rows of the next index. Throws FaultFound. */
  accept(rows: BundleRows): void {
    if (rows.idx >= this.#head.size) throw this.#fault('row_unsigned', rows.idx, null, rows);
    if (rows.idx < this.#next) throw this.#fault('entry_out_of_order', rows.idx, null, rows);
    if (rows.idx > this.#next && !this.#settings.partial)
      throw this.#fault('entry_missing', this.#next, null);
    this.#rows = rows;
    if (this.#settings.partial) this.#acceptPart(rows, this.#fail);
    else this.#acceptNext(rows, this.#fail);
    this.#next = rows.idx + 1;
    this.entries += 1;
  }

  #acceptNext(rows: BundleRows, fail: Fail): void {
    const check = this.#check(rows, fail);
    const entry = usualEntry(rows, this.#lastLeaf, check) ?? checkEntry(rows, this.#lastLeaf, check);
    this.#checkPlace(entry.row, fail);
    if (!this.#streams.accept(ordered(entry.row))) fail('stream_order_wrong');
    const isErasure = entry.row.type === ENTRY_TYPES.erasure;
    const look = isErasure ? 'deep' : lookOf(rows.idx, this.#settings.depth);
    if (look === 'deep') this.#content(rows, entry, check);
    else this.#skip(rows, entry.row, look);
    this.#lastLeaf = entry.leafHash;
    this.#tree.append(entry.leafHash);
    this.#checkCoverage(rows.idx, entry.row, fail);
    this.#checkHeads(rows.idx + 1, fail);
  }

  /** The offset that an entry names must be one of those that became its index, as the root log says. */
  #checkCoverage(index: number, { offset }: LedgerColumns, fail: Fail): void {
    const ranges = this.#settings.claims?.ranges ?? [];
    while ((ranges[this.#rangeAt]?.nextIndex ?? Infinity) <= index) this.#rangeAt += 1;
    const range = ranges[this.#rangeAt];
    if (range === undefined) return;
    if (offset < range.firstOffset || offset >= range.nextOffset) fail('coverage_differs', 'offset');
  }

  /** A row of a partial bundle stands by its own inclusion proof; the link is the one that it names. */
  #acceptPart(rows: BundleRows, fail: Fail): void {
    const follows = rows.idx === this.#next && this.#next > 0;
    if (!follows) this.#inRun.clear();
    const check = this.#check(rows, fail);
    const named = fromHex(rows.ledger[0]?.prev_leaf_hash ?? '', HASH_BYTES);
    if (named === undefined) return fail('entry_missing');
    const entry = checkEntry(rows, follows || rows.idx === 0 ? this.#lastLeaf : named, check);
    this.#checkPlace(entry.row, fail);
    const claim = {
      index: BigInt(rows.idx),
      size: BigInt(this.#head.size),
      leafHash: entry.leafHash,
      root: hashFromHex(this.#head.root),
      proof: (rows.proof ?? []).map(hashFromHex),
    };
    if (!verifyInclusion(claim, this.#settings.crypto.sha256)) return fail('proof_invalid');
    this.#content(rows, entry, check);
    this.#lastLeaf = entry.leafHash;
  }

  #check(rows: BundleRows, fail: Fail): RowsCheck {
    const { crypto, mappings } = this.#settings;
    const stream = rows.ledger[0]?.stream_id ?? '';
    const effectiveMs = this.#streams.effectiveMs(stream);
    // The first entry of a stream has none before it, also where the bundle leaves entries out.
    const isFirst = rows.ledger[0]?.seq === 0 && isInOrder(rows.ledger[0].type);
    // A stream may bring lines of several sessions: beyond a hole, what was left out may have moved its time.
    const unknown = !isFirst && this.#isTimeUnknown(stream);
    return { crypto, mappings, fail, previousEffectiveMs: unknown ? undefined : effectiveMs };
  }

  #isTimeUnknown(stream: string): boolean {
    return this.#timeless.has(stream) || (doesLeaveOut(this.#settings) && !this.#inRun.has(stream));
  }

  /** Nothing is known then of the entry's bytes, nor of the time that it moved its stream to. */
  #skip(rows: BundleRows, row: LedgerColumns, look: 'sampled_out' | 'resumed'): void {
    this.#herald = undefined;
    this.#inRun.delete(row.stream_id);
    this.#countType(row);
    this.#producers.skip(rows, row);
    if (look === 'resumed') this.counts.resumed += 1;
    else this.counts.sampledOut += 1;
  }

  #countType(row: LedgerColumns): void {
    if (row.type === ENTRY_TYPES.equivocation) this.counts.equivocations += 1;
    if (row.type === ENTRY_TYPES.deadLetter) this.counts.deadLetters += 1;
  }

  /** How far the log was read, and the root of what was read. */
  get progress(): VerifiedLog | undefined {
    if (this.#settings.partial || this.#next === 0) return undefined;
    return { logId: this.#log.logId, size: this.#next, root: toHex(this.#tree.root()) };
  }

  #content(rows: BundleRows, entry: ReturnType<typeof checkEntry>, check: RowsCheck): void {
    const { row } = entry;
    const checked = this.#checkedContent(rows, entry, check);
    if (checked === undefined) {
      this.#endHerald(row, rows);
      this.#timeless.add(row.stream_id);
      // Its row still says what the batch signature covers.
      if (rows.payloads.length === 0) this.#producers.skip(rows, row);
      else this.#refuse(this.#producers.accept(rows, row));
      this.#countType(row);
      return;
    }
    this.#checkHerald(row, checked, rows.idx);
    this.#refuse(this.#producers.accept(rows, row));
    if (checked.effectiveMs !== undefined) {
      this.#streams.setEffectiveMs(row.stream_id, checked.effectiveMs);
      this.#timeless.delete(row.stream_id);
      this.#inRun.add(row.stream_id);
    }
    if (checked.erasure !== undefined) this.erasures.push(checked.erasure);
    if (!checked.classDerived) this.counts.classesNotDerived += 1;
    if (!checked.policyProjected) this.counts.policiesNotProjected += 1;
    this.#countType(row);
  }

  #refuse(fault: ProducerFault | undefined): void {
    if (fault !== undefined) throw this.#faultAt(fault.code, fault, fault.detail);
  }

  /** Undefined for an entry that lacks what an erasure takes: whether one covers it shows at the end of the bundle. */
  #checkedContent(rows: BundleRows, entry: ReturnType<typeof checkEntry>, check: RowsCheck) {
    try {
      return usualContent(rows, entry, check) ?? checkContent(rows, entry, check);
    } catch (error) {
      if (!(error instanceof FaultFound) || !ERASABLE.includes(error.fault.code)) throw error;
      const last = this.lacking.at(-1);
      const { code, session } = error.fault;
      const follows = last?.to === rows.idx - 1 && last.fault.code === code && last.fault.session === session;
      if (follows) last.to = rows.idx;
      else this.lacking.push({ from: rows.idx, to: rows.idx, fault: error.fault });
      return undefined;
    }
  }

  /** An erased entry ends a herald like any other; what it says of the hash before it is told by its row, where that is left. */
  #endHerald(row: LedgerColumns, rows: BundleRows): void {
    if (this.#herald === undefined) return;
    const prev = rows.payloads[0]?.prev_ev_hash ?? this.#herald.row.ev_hash;
    this.#checkHerald(row, { hasBytes: true, prevEventHash: prev }, rows.idx);
  }

  /** The entry before may stand for this one: same line of the same record, same session. */
  #checkHerald(
    row: LedgerColumns,
    checked: Pick<CheckedRows, 'hasBytes' | 'prevEventHash'>,
    index: number,
  ): void {
    const herald = this.#herald;
    this.#herald = checked.hasBytes ? undefined : { index, row };
    if (herald === undefined) return;
    const { row: first } = herald;
    // Both are of one record and one session: also a filter takes both or none.
    if (herald.index + 1 !== index || !isSameLine(first, row)) throw this.#faultAt('payload_missing', herald);
    if (first.session_id !== row.session_id) throw this.#faultAt('entry_altered', herald, 'session_id');
    if (first.type !== ENTRY_TYPES.equivocation) return;
    const claims = first.seq + 1 === row.seq && first.ev_hash === checked.prevEventHash;
    if (!claims) throw this.#faultAt('payload_missing', herald);
  }

  #checkPlace(row: LedgerColumns, fail: Fail): void {
    for (const column of PLACE_COLUMNS) if (row[column] !== this.#log[column]) fail('entry_altered', column);
    const before = this.#at;
    const backwards = before !== undefined && before.offset > row.offset;
    if (backwards) fail('entry_out_of_order');
    this.#at = row;
  }

  #checkHeads(size: number, fail: Fail): void {
    if (!this.#headSizes.has(size)) return;
    const signed = this.#settings.heads.filter((head) => head.size === size);
    const known = this.#settings.known.filter((head) => head.size === size);
    const claim = this.#claimed.get(size);
    const root = toHex(this.#tree.root());
    if (claim !== undefined && claim.root !== root) throw this.#claimFault(claim, size - 1);
    if (known.some((head) => head.root !== root)) fail('known_head_differs');
    const wrong = signed.some((head) => head.root !== root || head.lastLeafHash !== toHex(this.#lastLeaf));
    if (wrong) fail('root_differs');
  }

  /** After the last row. Throws FaultFound when the log ends before its signed head, or the head before a known one. */
  finish(): LogReport {
    if (!this.#settings.partial) {
      if (this.#next < this.#head.size) throw this.#fault('entry_missing', this.#next, null);
    }
    if (this.#herald !== undefined) throw this.#faultAt('payload_missing', this.#herald);
    this.#refuse(this.#producers.finish());
    const shorter = this.#settings.known.some((head) => head.size > this.#head.size);
    if (shorter) throw this.#fault('known_head_differs', this.#head.size, null);
    const { tenant } = this.#log;
    const witnessed = this.#witnessed();
    return { origin: this.origin, tenant, entries: this.entries, root: this.#head.root, witnessed };
  }

  #witnessed(): number {
    const { claims, witnessedSize } = this.#settings;
    return (claims?.heads ?? []).reduce(
      (most, { index, size }) => (index < witnessedSize ? Math.max(most, size) : most),
      0,
    );
  }

  /** Entries that are signed and that no witness vouches for. */
  get unwitnessed(): number {
    return this.#head.size - this.#witnessed();
  }

  *gaps(): Generator<OpenGap> {
    for (const hole of this.#streams.holes()) yield { log: this.origin, ...hole };
  }

  #faultAt(code: FaultCode, herald: Herald, detail: string | null = null): FaultFound {
    const { offset, session_id: session } = herald.row;
    return this.#found(code, herald.index, { offset, session, detail });
  }

  #fault(code: FaultCode, index: number, detail: string | null, rows?: BundleRows): FaultFound {
    const { offset, session } = placeOf(rows, this.#at);
    return this.#found(code, index, { offset, session, detail });
  }

  #found(
    code: FaultCode,
    index: number,
    at: { readonly offset: number | null; readonly session: string | null; readonly detail: string | null },
  ): FaultFound {
    const { topic, partition } = this.#log;
    return new FaultFound({ code, log: this.origin, index, topic, partition, ...at });
  }
}

const PLACE_COLUMNS = ['tenant', 'topic', 'partition'] as const;

/** What an erasure takes of an entry: its bytes, and the rows that people query. */
const ERASABLE: readonly FaultCode[] = ['payload_missing', 'projection_missing'];

function isSameLine(a: LedgerColumns, b: LedgerColumns): boolean {
  return a.offset === b.offset && a.line === b.line && a.stream_id === b.stream_id;
}

function isInOrder(type: number): boolean {
  return type !== ENTRY_TYPES.late && type !== ENTRY_TYPES.equivocation;
}

function ordered(row: LedgerColumns) {
  return { type: row.type, stream: row.stream_id, seq: row.seq };
}
