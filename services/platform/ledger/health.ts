/** What the continuous verifier knows: shown by /v1/ledger where both run in one process. */

/** Where the ledger is at fault. What a row says of itself may have been written by anybody. */
export interface FaultPlace {
  readonly code: string;
  /** Origin of the log, or `topic/partition` where a whole partition is at fault. */
  readonly log: string;
  readonly index: number | null;
  readonly topic: string | null;
  readonly partition: number | null;
  readonly offset: number | null;
  readonly session: string | null;
  readonly detail: string | null;
}

export interface FoundFault extends FaultPlace {
  readonly foundAtMs: number;
}

export interface LedgerHealth {
  /** `unknown` until the first pass is over. */
  readonly state: 'faulty' | 'sound' | 'unknown';
  /** At most one a log; those that are not there any more are left out after the next sweep. */
  readonly faults: readonly FoundFault[];
  /** Signed entries that were not read again yet since they were written. */
  readonly unreadEntries: number;
  /** End of the last sweep over everything; null before the first. */
  readonly sweptAtMs: number | null;
  readonly sweptEntries: number;
  /** Of the last sweep: runs of events that their streams announced and that never came. */
  readonly gaps: number;
  readonly equivocations: number;
  readonly deadLetters: number;
}
