/** What readers need of the root log: in the process that signs, or over HTTP from it. */
import type { SignedHeadList } from '../../evidence/bundle.ts';

/** The log of one (tenant, topic, partition) as it was signed last. */
export interface LogCheckpoint {
  readonly topic: string;
  readonly partition: number;
  readonly origin: string;
  readonly size: number;
  /** A signed note. */
  readonly note: string;
}

export interface RootSnapshot {
  /** Signed heads of all logs, as the root log has them when `checkpoint` is its end. */
  readonly lists: readonly SignedHeadList[];
  /** A signed note, with the cosignatures that there are; null while the root log is empty. */
  readonly checkpoint: string | null;
  /** The newest checkpoint that met the policy of the deployment, where that is an earlier one. */
  readonly cosigned: string | null;
  /** Where the newest HEAD leaf of each log stands. */
  readonly heads: readonly { readonly logId: string; readonly index: number }[];
}

/** Where the cosigned checkpoint is kept that COVERAGE leaves name by its SHA-256. */
export const notBeforePath = (hash: string): string => `not-before/${hash}`;

/** True for what notBeforePath gives. */
export const isNotBeforePath = (path: string): boolean => /^not-before\/[0-9a-f]{64}$/.test(path);

/** The checkpoint that the HEAD leaf at `index` holds, as a note signed by the log key: any tlog client knows that form. */
export const headNotePath = (index: number): string => `head-note/${index}`;

/** Sizes of the root log whose checkpoints have time stamps, a line each, smallest first. */
export const STAMP_SIZES_FILE = 'tsr/sizes';
export const STAMP_PARTS = ['note', 'tsq', 'tsr'] as const;
/** The stamped note, the query, or the answer. */
export const stampPath = (size: number, part: (typeof STAMP_PARTS)[number]): string => `tsr/${size}.${part}`;

/** True for what stampPath gives, and the list of sizes. */
export const isStampPath = (path: string): boolean =>
  path === STAMP_SIZES_FILE || /^tsr\/(?:0|[1-9]\d{0,15})\.(?:note|tsq|tsr)$/.test(path);

/** KEY leaves of the root log, as BundleHeader has them: JSON. */
export const LOG_KEYS_PATH = 'log-keys';

export interface RootSource {
  /**
   * Brings the root log up to what is signed now, has it cosigned where witnesses are configured, and answers that
   * state. Takes as long as the witnesses, at most a few seconds; without them the snapshot lacks their signatures.
   */
  settle(): Promise<RootSnapshot>;
  /** `checkpoint` (cosigned where witnesses are configured), `latest`, `vkey`, a path that is named above, or one of the tlog-tiles layout. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Undefined for a log that is not in the root log yet. */
  logCheckpoint(logId: string): Promise<LogCheckpoint | undefined>;
}
