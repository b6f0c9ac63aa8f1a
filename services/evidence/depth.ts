/**
 * Which entries are looked into, with their bytes and columns. Chain, tree, heads and the order of streams are checked of
 * all entries in any case. What a verification leaves out this way stands in its report.
 */

/** Every so many entries of a log: those whose index leaves `phase`. */
export interface Sample {
  readonly every: number;
  /** In [0, every). Drawn by whoever verifies: an attacker who knows it alters other rows. */
  readonly phase: number;
}

/** Where an earlier run stopped; it is no proof of that run, so its root is compared with what is there now. */
export interface VerifiedLog {
  readonly logId: string;
  readonly size: number;
  /** Hex. */
  readonly root: string;
}

export interface Depth {
  readonly sample: Sample | undefined;
  /** Entries below were looked into before. */
  readonly below: number;
}

export type Look = 'deep' | 'sampled_out' | 'resumed';

export function lookOf(index: number, { sample, below }: Depth): Look {
  if (index < below) return 'resumed';
  return sample === undefined || index % sample.every === sample.phase ? 'deep' : 'sampled_out';
}
