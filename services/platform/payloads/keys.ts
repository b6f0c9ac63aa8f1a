/**
 * Keys of data subjects. What a subject's events say is kept under a key of its own; whoever destroys the key erases it
 * from every copy, backups of the tables included. Kept where the signer is: never in the store, whose parts and backups
 * keep what was deleted.
 */

/** A key by its number; numbers begin at 1 and none is given twice. */
export interface SubjectKey {
  readonly number: number;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

export interface SubjectKeys {
  /**
   * A key for each name, made where there is none: durable before it is answered, the same for ever until it is released
   * or destroyed. Idempotent.
   */
  obtain(names: readonly string[]): Promise<ReadonlyMap<string, SubjectKey>>;
  /** Keys that are still there, by number. */
  read(numbers: readonly number[]): Promise<ReadonlyMap<number, Uint8Array>>;
}

/** What an erasure needs beside. */
export interface ErasableKeys extends SubjectKeys {
  /** From now on the names of these keys get new ones; what was kept under the old ones stays readable. Durable. */
  release(numbers: readonly number[]): Promise<void>;
  /** Overwrites the keys; nothing that was kept under them can be read again. Durable. */
  destroy(numbers: readonly number[]): Promise<void>;
}

/** Number of payloads that stand in the clear (rows from before 2026-11-26, lines of the audit trail). */
export const IN_THE_CLEAR = 0;
