/** What the verification of one log is given, and what it leaves. */
import type { BatchSignatures } from './batch-signature.ts';
import type { BundleHead } from './bundle.ts';
import type { EvidenceCrypto } from './bytes.ts';
import type { Depth } from './depth.ts';
import type { ProducerTally } from './producer-tally.ts';
import type { ClassMappingVersion } from './projection.ts';
import type { Fault } from './report.ts';
import type { LogClaims } from './root-claims.ts';

export interface KnownHead {
  readonly logId: string;
  readonly size: number;
  readonly root: string;
}

export interface LogSettings {
  readonly deployment: string;
  readonly partial: boolean;
  readonly crypto: EvidenceCrypto;
  readonly mappings: ReadonlyMap<string, ClassMappingVersion>;
  /** Signed heads of this log, any order; the largest ends it. */
  readonly heads: readonly BundleHead[];
  /** Heads that the caller kept from earlier. */
  readonly known: readonly KnownHead[];
  /** What the root log says of this log. */
  readonly claims: LogClaims | undefined;
  readonly depth: Depth;
  /** Leaves of the root log that witnesses vouch for. */
  readonly witnessedSize: number;
  readonly signatures: BatchSignatures;
  readonly tally: ProducerTally;
}

/** Neighbours of a session that lack their bytes or what follows from them: sound where ERASURE entries cover them all. */
export interface LackingRun {
  readonly from: number;
  /** Inclusive. */
  to: number;
  /** Of the first. */
  readonly fault: Fault;
}

export interface LogCounts {
  equivocations: number;
  deadLetters: number;
  classesNotDerived: number;
  policiesNotProjected: number;
  /** Entries that were not looked into. */
  sampledOut: number;
  resumed: number;
}

/** Entries may be missing between others, or not be looked into. */
export function doesLeaveOut({ partial, depth }: LogSettings): boolean {
  return partial || depth.sample !== undefined || depth.below > 0;
}
