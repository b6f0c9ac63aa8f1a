/**
 * Who vouches for the lines of a log: batch signatures against the entries that say they hold, and the ends of streams.
 * A record of one log is a run of entries of one offset; its signature stands beside its last line. Pure.
 *
 * Bits that say more than the signatures do are a fault, since record would not have written them. What a signature is
 * worth is the judgement of the tally: whether the key was registered for the tenant when the record was appended.
 */
import { TOPICS } from '../../schemas/topics.ts';
import { decodeBatchSignature, type BatchSignature, type BatchSignatures } from './batch-signature.ts';
import { BlockEntry } from './block-entry.ts';
import type { BundleRows, LedgerColumns } from './bundle.ts';
import { fromBase64, fromHex, hashFromHex, STREAM_ID_BYTES, toHex, ZERO_HASH, ZERO_STREAM } from './bytes.ts';
import { ENTRY_FLAGS, ENTRY_TYPES } from './entry.ts';
import { readLedgerLine } from './lines.ts';
import { keyChangeOf } from './producer-keys.ts';
import type { ProducerTally } from './producer-tally.ts';
import type { FaultCode } from './report.ts';
import { StreamEnds } from './stream-ends.ts';

const NO_KEY = toHex(ZERO_HASH);
const PLACE_BYTES = 8;

/** An entry that is not as a sound writer leaves it. */
export interface ProducerFault {
  readonly code: FaultCode;
  readonly index: number;
  readonly row: LedgerColumns;
  readonly detail: string;
}

interface SignedEntry {
  readonly index: number;
  readonly row: LedgerColumns;
  /** Whose its signature was found to be before. */
  readonly foundKeyId?: Uint8Array | undefined;
}

export interface ProducerSettings {
  readonly partial: boolean;
  /** Entries may be missing between others, or not be looked into. */
  readonly leavesOut: boolean;
  readonly signatures: BatchSignatures;
  readonly tally: ProducerTally;
  /** Origin of the log. */
  readonly origin: string;
}

export class ProducerCheck {
  readonly #settings: ProducerSettings;
  readonly #ends: StreamEnds;
  /** Signed entries of one record whose signature has not come yet. */
  #run: SignedEntry[] = [];

  constructor(settings: ProducerSettings) {
    this.#settings = settings;
    this.#ends = new StreamEnds();
  }

  /** Takes the rows of the next index, whose entry and bytes hold. Answers what is wrong. */
  accept(rows: BundleRows, row: LedgerColumns): ProducerFault | undefined {
    const fault = this.#acceptSignature(rows, row);
    if (fault !== undefined) return fault;
    this.#ends.accept(rows, row);
    if (row.type === ENTRY_TYPES.key) this.#acceptKey(rows, row);
    return undefined;
  }

  /** An entry whose bytes and columns are not looked into. */
  skip(rows: BundleRows, row: LedgerColumns): void {
    this.#leaveOut();
    this.#ends.accept(rows, row);
    this.#settings.tally.skipped();
    if ((row.flags & ENTRY_FLAGS.signed) !== 0) this.#settings.tally.unchecked(row.tenant, 1);
    else if (isProduced(row) && row.type !== ENTRY_TYPES.gap) this.#settings.tally.unsigned(row.tenant, 1);
  }

  #acceptSignature(rows: BundleRows, row: LedgerColumns): ProducerFault | undefined {
    const [payload] = rows.payloads;
    const batch = payload?.batch ?? '';
    const entry = { index: rows.idx, row, foundKeyId: batch === '' ? undefined : foundKeyId(rows) };
    const open = this.#run.at(-1);
    if (open !== undefined && !follows(open.row, row, payload?.prev_ev_hash)) {
      if (!this.#settings.leavesOut) return faultAt(open, 'signature_missing', 'payloads.batch');
      this.#leaveOut();
    }
    return this.#acceptMarks(entry, payload !== undefined, batch);
  }

  #acceptMarks(entry: SignedEntry, hasBytes: boolean, batch: string): ProducerFault | undefined {
    const { row } = entry;
    if ((row.flags & ENTRY_FLAGS.signed) === 0) return this.#acceptUnsigned(entry, hasBytes, batch);
    if (row.key_id === NO_KEY || !hasBytes) return faultAt(entry, 'signature_invalid', 'ledger.key_id');
    this.#run.push(entry);
    return batch === '' ? undefined : this.#close(entry, batch);
  }

  #acceptUnsigned(entry: SignedEntry, hasBytes: boolean, batch: string): ProducerFault | undefined {
    const { row } = entry;
    if (row.key_id !== NO_KEY) return faultAt(entry, 'signature_invalid', 'ledger.key_id');
    if (batch !== '') return faultAt(entry, 'signature_invalid', 'payloads.batch');
    if (hasBytes && isProduced(row)) this.#settings.tally.unsigned(row.tenant, 1);
    return undefined;
  }

  /** The last line of a record: certificate and signature over the chain that the entries before it spell out. */
  #close(entry: SignedEntry, batch: string): ProducerFault | undefined {
    const kept = keptSignature(batch);
    if (kept === undefined) return faultAt(entry, 'signature_invalid', 'payloads.batch');
    const first = this.#run[0] ?? entry;
    const { row } = entry;
    const isCovered = kept.firstSeq <= first.row.seq;
    const keyId = isCovered
      ? (entry.foundKeyId ?? keptKeyId(row, kept, this.#settings.signatures))
      : undefined;
    const holds = keyId !== undefined && this.#run.every((signed) => signed.row.key_id === toHex(keyId));
    if (!holds) return faultAt(entry, 'signature_invalid', 'payloads.batch');
    this.#settings.tally.signed(row.tenant, row.key_id, {
      appendMs: row.append_ms,
      entries: this.#run.length,
    });
    this.#run = [];
    return undefined;
  }

  /** A filter may leave lines of a record out; then its signature cannot be followed to those that are here. */
  #leaveOut(): void {
    const [first] = this.#run;
    if (first !== undefined) this.#settings.tally.unchecked(first.row.tenant, this.#run.length);
    this.#run = [];
  }

  #acceptKey(rows: BundleRows, row: LedgerColumns): void {
    const bytes = fromBase64(rows.payloads[0]?.bytes ?? '');
    const read = bytes === undefined ? undefined : readLedgerLine(row.topic, bytes);
    const change = read?.kind === 'audit' ? keyChangeOf(read.event) : undefined;
    if (change !== undefined) this.#settings.tally.change(row.tenant, change, row.append_ms);
  }

  /** After the last row. */
  finish(): ProducerFault | undefined {
    const open = this.#run.at(-1);
    if (this.#settings.leavesOut) this.#leaveOut();
    else if (open !== undefined) return faultAt(open, 'signature_missing', 'payloads.batch');
    if (this.#settings.partial) return undefined;
    for (const end of this.#ends.open()) this.#settings.tally.openEnd({ log: this.#settings.origin, ...end });
    return undefined;
  }
}

interface KeptSignature {
  readonly firstSeq: number;
  readonly signature: BatchSignature;
}

/** What is kept beside the last line of a record: u64 first_seq || signature. */
function keptSignature(batch: string): KeptSignature | undefined {
  const bytes = fromBase64(batch);
  if (bytes === undefined || bytes.length < PLACE_BYTES) return undefined;
  const firstSeq = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0));
  const signature = decodeBatchSignature(bytes.subarray(PLACE_BYTES));
  return signature === undefined ? undefined : { firstSeq, signature };
}

function keptKeyId(
  row: LedgerColumns,
  { firstSeq, signature }: KeptSignature,
  signatures: BatchSignatures,
): Uint8Array | undefined {
  const range = {
    stream: fromHex(row.stream_id, STREAM_ID_BYTES) ?? ZERO_STREAM,
    firstSeq,
    lastSeq: row.seq,
    lastEventHash: hashFromHex(row.ev_hash),
  };
  return signatures.keyIdOf(range, signature);
}

/** Id of the agent key, where the signature beside this line holds: it follows from the line's row alone. */
export function batchKeyId(
  row: LedgerColumns,
  batch: string,
  signatures: BatchSignatures,
): Uint8Array | undefined {
  const kept = keptSignature(batch);
  return kept === undefined ? undefined : keptKeyId(row, kept, signatures);
}

function foundKeyId(rows: BundleRows): Uint8Array | undefined {
  return rows instanceof BlockEntry ? rows.foundKeyId : undefined;
}

/** The lines of hosts; what the service writes of itself on the other topics is signed by its heads. */
function isProduced(row: LedgerColumns): boolean {
  return row.topic === TOPICS.toolcalls.name;
}

function follows(before: LedgerColumns, row: LedgerColumns, prev: string | undefined): boolean {
  return (
    (row.flags & ENTRY_FLAGS.signed) !== 0 &&
    row.offset === before.offset &&
    row.stream_id === before.stream_id &&
    row.seq === before.seq + 1 &&
    prev === before.ev_hash
  );
}

function faultAt(entry: SignedEntry, code: FaultCode, detail: string): ProducerFault {
  return { code, index: entry.index, row: entry.row, detail };
}
