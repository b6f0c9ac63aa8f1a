/** What a verification found. The vocabulary keeps apart: invalid, diverging, incomplete, not witnessed. */
import type { Sample } from './depth.ts';
import type { ProducerReport } from './producer-tally.ts';

export const VERDICTS = ['verified_witnessed', 'verified', 'incomplete', 'diverges', 'invalid'] as const;
export type Verdict = (typeof VERDICTS)[number];

export const VERDICT_EXIT_CODES: Readonly<Record<Verdict, number>> = Object.freeze({
  verified_witnessed: 0,
  verified: 10,
  incomplete: 20,
  diverges: 30,
  invalid: 40,
});

export const FAULT_CODES = [
  'bundle_truncated',
  'bundle_malformed',
  'head_signature_invalid',
  'head_key_unknown',
  'key_rotation_invalid',
  'log_name_differs',
  'log_missing',
  'entry_missing',
  'entry_twin',
  'entry_out_of_order',
  'entry_altered',
  'entry_type_wrong',
  'link_broken',
  'root_differs',
  'known_head_differs',
  'proof_invalid',
  'payload_missing',
  'payload_unexpected',
  'payload_twin',
  'payload_altered',
  'projection_missing',
  'projection_unexpected',
  'projection_twin',
  'projection_altered',
  'mapping_unknown',
  'stream_order_wrong',
  'row_unsigned',
  'root_checkpoint_invalid',
  'root_entries_invalid',
  'root_head_differs',
  'witnessed_head_differs',
  'coverage_differs',
  'signature_missing',
  'signature_invalid',
  'file_differs',
  'root_stamp_invalid',
] as const;
export type FaultCode = (typeof FAULT_CODES)[number];

/** The first fault, in order of log and index. What cannot be told is null. */
export interface Fault {
  readonly code: FaultCode;
  /** Origin of the log. */
  readonly log: string | null;
  readonly index: number | null;
  readonly topic: string | null;
  readonly partition: number | null;
  readonly offset: number | null;
  readonly session: string | null;
  /** Table and column, where one is at fault. */
  readonly detail: string | null;
}

export interface OpenGap {
  readonly log: string;
  readonly stream: string;
  readonly firstSeq: number;
  readonly lastSeq: number;
}

/** What witnesses vouch for, by the policy that the caller gave. */
export interface WitnessReport {
  readonly quorum: boolean;
  /** Names in the policy file. */
  readonly witnesses: readonly string[];
  /** Leaves of the root log under the checkpoint that met the policy. */
  readonly rootSize: number;
  /** The earliest of these cosignatures: what is here was there by then. An old one may hide what came after it. */
  readonly cosignedAtMs: number | null;
  /** Entries that are signed and that no cosigned head covers yet. */
  readonly unwitnessedEntries: number;
}

/**
 * COVERAGE leaves say which cosigned checkpoint they are later than: what they cover was not there before its cosignature.
 * `unknown`: the bundle does not hold the checkpoint, so that only the order of such claims was checked.
 */
export interface NotBeforeReport {
  readonly checked: number;
  readonly unknown: number;
}

/** Entries of which only chain, tree, heads and the order of their streams were checked, and not bytes and columns. */
export interface ShallowReport {
  readonly sample: Sample | null;
  /** By the sample. */
  readonly sampledOut: number;
  /** As an earlier run looked into them, by the word of its state file. */
  readonly resumed: number;
}

/** RFC 3161: what a stamped checkpoint covers was there at that time, by the word of the authority. */
export interface TimestampReport {
  readonly count: number;
  /** Made by an authority that the caller trusts. */
  readonly trusted: number;
  /** The trusted one of the largest root log. */
  readonly latest: {
    readonly rootSize: number;
    readonly atMs: number;
    readonly authority: string;
  } | null;
}

export interface LogReport {
  readonly origin: string;
  readonly tenant: string;
  readonly entries: number;
  readonly root: string;
  /** Entries under a head that witnesses vouch for. */
  readonly witnessed: number;
}

export interface VerifyReport {
  readonly verdict: Verdict;
  readonly exitCode: number;
  /** Entries that were checked. */
  readonly entries: number;
  readonly logs: readonly LogReport[];
  readonly firstFault: Fault | null;
  /** Events that their streams announced and that never came; at most 100 are listed. */
  readonly gaps: readonly OpenGap[];
  readonly gapCount: number;
  /** Records that were gone from the bus before they were read, where a person decided to go on: FINDING leaves say which. */
  readonly losses: number;
  readonly equivocations: number;
  readonly deadLetters: number;
  /** Entries whose bytes are gone and that an ERASURE entry covers: erased, as authorised. */
  readonly erased: number;
  /** ERASURE entries. */
  readonly erasures: number;
  /** Entries beyond the signed heads: not judged yet. */
  readonly pending: number;
  /** Rows whose class was computed by another version of the classifier and is taken as it stands. */
  readonly classesNotDerived: number;
  /** Rows without the columns of a policy that their bytes name: written before there were any, or emptied. `verdict` is checked in any case. */
  readonly policiesNotProjected: number;
  /** Rows were left out: those that are here are sound, whether all are here is not told. */
  readonly partial: boolean;
  /** What the bundle says it was made for; an empty one says that it is of everything. */
  readonly filter: Readonly<Record<string, string>>;
  /** True when every signature was made by a key that the caller pinned. */
  readonly keysPinned: boolean;
  readonly shallow: ShallowReport;
  /** Null where the bundle does not hold the leaves of the root log. */
  readonly notBefore: NotBeforeReport | null;
  /** Null where the bundle brings none. */
  readonly timestamps: TimestampReport | null;
  /** Null where the caller gave no policy. */
  readonly witness: WitnessReport | null;
  /** Who vouches for the lines of hosts, and which of their streams have no end. */
  readonly producers: ProducerReport;
}

/** Ends a verification at its first fault; never leaves services/evidence. */
export class FaultFound extends Error {
  readonly fault: Fault;

  constructor(fault: Fault) {
    super(fault.code);
    this.name = 'FaultFound';
    this.fault = fault;
  }
}

/** At a place of which only this is known. */
export function faultOf(code: FaultCode, at: Partial<Omit<Fault, 'code'>>): FaultFound {
  const nowhere = { log: null, index: null, topic: null, partition: null, offset: null, session: null };
  return new FaultFound({ code, ...nowhere, detail: null, ...at });
}
