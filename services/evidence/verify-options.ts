/** What whoever verifies brings: whom he trusts, what he kept, how deep he looks. */
import type { Sample, VerifiedLog } from './depth.ts';
import type { KnownHead } from './log-settings.ts';
import type { BlockWorkers } from './look-ahead.ts';
import type { TrustedProducers } from './producer-tally.ts';
import type { StampCheck } from './timestamp.ts';
import type { Checkpoint } from './tlog/checkpoint.ts';
import type { Policy } from './tlog/policy.ts';

export interface VerifyOptions {
  /** Raw Ed25519 public keys that may sign; without them the keys of the bundle are taken as they are. */
  readonly publicKeys?: readonly Uint8Array[];
  /** Heads kept from earlier: a log that does not extend them diverges. */
  readonly knownHeads?: readonly KnownHead[];
  /** Who has to vouch for the root log; the keys of its logs may sign, and no others. */
  readonly policy?: Policy;
  /** Who made a time stamp, where it is somebody whom the caller trusts; absent: stamps are held to their form alone. */
  readonly stampCheck?: StampCheck;
  /** A root checkpoint kept from earlier: a root log that does not extend it diverges. */
  readonly keptCheckpoint?: Checkpoint;
  /** Only every so many entries are looked into. */
  readonly sample?: Sample;
  /** Where an earlier run stopped: a log that does not extend it diverges, and its entries are not looked into again. */
  readonly resume?: readonly VerifiedLog[];
  /** Called now and then with the number of entries checked, and where the run stands. */
  readonly onProgress?: (entries: number, verified: () => readonly VerifiedLog[]) => void;
  /** Look into blocks of a binary bundle ahead; absent: all is done on this thread. The report is the same. */
  readonly workers?: BlockWorkers;
  /** Agent keys that count, whatever the bundle says is registered. */
  readonly trustedProducers?: TrustedProducers;
}
