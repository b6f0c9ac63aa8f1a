/** What `record` needs of the signer. In process under `up` with all steps, else authenticated HTTP; one contract. */
import type { RootSource } from '../platform/ledger/root-source.ts';

/** One log = (tenant, topic, partition). All hashes are lower-case hex. */
export interface LogHead {
  readonly logId: string;
  readonly origin: string;
  readonly size: number;
  readonly root: string;
  readonly lastLeafHash: string;
  /** RFC 6962 compact range (roots of the perfect subtrees, left to right), so that the next batch extends without reading. */
  readonly compactRange: readonly string[];
}

/** What one batch will do: cut before anything is written, finished exactly as cut, whoever finishes it. */
export interface Manifest {
  readonly topic: string;
  readonly partition: number;
  /** Offsets [firstOffset, nextOffset). */
  readonly firstOffset: number;
  readonly nextOffset: number;
  readonly logs: readonly {
    readonly logId: string;
    readonly oldHead: LogHead | null;
    readonly newHead: LogHead;
    /**
     * Compact range of the leaves [oldHead.size, newHead.size): joined to the range that the signer holds it must give
     * newHead, which proves that the new tree extends the old one.
     */
    readonly extension: readonly string[];
  }[];
  /** SHA-256 over the encoded rows of `ledger` and `payloads`, hex: the tables that follow from the partition alone. */
  readonly rowsHash: string;
  readonly watermarkMs: number;
}

export interface PartitionState {
  readonly topic: string;
  readonly partition: number;
  readonly nextOffset: number;
  /** Running maximum of append times below nextOffset. */
  readonly watermarkMs: number;
  readonly heads: readonly LogHead[];
  /** A batch that was reserved and not committed: the owner of the partition finishes it as it was cut. */
  readonly outstanding: Manifest | null;
}

export type ReserveOutcome =
  | { readonly kind: 'reserved' }
  /** Somebody else's batch is outstanding or the offset moved: start again from `state`. */
  | { readonly kind: 'superseded'; readonly state: PartitionState };

export interface SignedHeads {
  readonly keyId: string;
  /** base64 Ed25519 over the heads_sig bytes of the batch. */
  readonly signature: string;
  readonly signedAtMs: number;
}

export interface Signer {
  /** Where the signer stands, durable; the start of every life of a writer. */
  state(topic: string, partition: number): Promise<PartitionState>;
  /** Compare-and-set on firstOffset == nextOffset with nothing outstanding; fsynced before it resolves. */
  reserve(manifest: Manifest): Promise<ReserveOutcome>;
  /** Accepts only the outstanding manifest; checks that each head extends the one signed last; fsyncs, then signs. Idempotent for the manifest committed last. */
  commit(manifest: Manifest): Promise<SignedHeads>;
  /** All committed heads, for `verify`, `ledger` and exports; `signed` covers the heads of the partition in the order given. */
  heads(): Promise<
    readonly {
      readonly topic: string;
      readonly partition: number;
      readonly nextOffset: number;
      readonly heads: readonly LogHead[];
      readonly signed: SignedHeads | null;
    }[]
  >;
  publicKey(): Promise<Uint8Array>;
  /** Puts a fault of a partition that only a person can explain on record in the root log; once, however often it is told. */
  report?(finding: SignerFinding): Promise<void>;
  /** Goes on behind records that are gone for good, by a person's decision. Throws conflict where the partition stands elsewhere. */
  acceptLoss?(loss: AcceptedLoss): Promise<void>;
  /** For readers; absent where there is no root log. */
  readonly root?: RootSource | undefined;
  /** Of a signer that is asked over HTTP. */
  readonly repairs?: RepairTurns;
}

/** Kept where erasures run. */
export interface RepairTurns {
  /** Rows may be inserted from now on, for some minutes or until `done`. Throws erasure_under_way. */
  take(): Promise<void>;
  done(): Promise<void>;
}

/** Offsets [fromOffset, toOffset) are not on the bus any more. */
export interface AcceptedLoss {
  readonly topic: string;
  readonly partition: number;
  readonly fromOffset: number;
  readonly toOffset: number;
  /** Id of the key that decided. */
  readonly actor: string;
  readonly reason: string;
}

export interface SignerFinding {
  readonly code: string;
  readonly topic: string;
  readonly partition: number;
  readonly detail: string;
}
