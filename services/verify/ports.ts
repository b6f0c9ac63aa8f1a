/** What the verifier needs of the signer: heads that it can go on from. */
import type { HeadSource } from '../platform/ledger/heads.ts';

export interface SignedLog {
  readonly logId: string;
  readonly origin: string;
  readonly size: number;
  /** Hex, as all hashes here. */
  readonly root: string;
  readonly lastLeafHash: string;
  readonly compactRange: readonly string[];
}

export interface SignedPartition {
  readonly topic: string;
  readonly partition: number;
  readonly nextOffset: number;
  readonly heads: readonly SignedLog[];
}

/** Structurally the port of record: in this process, or over HTTP. */
export interface VerifiedSigner extends HeadSource {
  heads(): Promise<readonly (SignedPartition & Awaited<ReturnType<HeadSource['heads']>>[number])[]>;
}
