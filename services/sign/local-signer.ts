/**
 * The signer: it alone holds the log key and knows what it signed last, in a database of its own. Each change is one
 * transaction, flushed to disk before the answer leaves; kill -9 at any moment leaves the state before or after it.
 */
import { open, type RootDatabase } from 'lmdb';
import path from 'node:path';
import { TriplineError } from '../../schemas/errors.ts';
import { toHex } from '../evidence/bytes.ts';
import { headsMessage } from '../evidence/heads.ts';
import { LOSS_ACCEPTED } from '../evidence/root-leaf.ts';
import type { SignedHeadList } from '../evidence/bundle.ts';
import type { Clock } from '../platform/clock.ts';
import { ed25519Sign, sha256 } from '../platform/ledger/crypto.ts';
import { listsOf } from '../platform/ledger/heads.ts';
import {
  announceOwner,
  giveUpOwnership,
  refuseAnnounced,
  takeOwnership,
  withdrawOwner,
} from '../platform/owner.ts';
import type { RootSource } from '../platform/ledger/root-source.ts';
import type {
  AcceptedLoss,
  LogHead,
  Manifest,
  PartitionState,
  ReserveOutcome,
  SignedHeads,
  Signer,
} from '../record/ports.ts';
import { keyInForce, openLogKey } from './rotate.ts';
import type { SigningKey } from '../platform/ledger/key-file.ts';
import { checkManifest, manifestDigest } from './manifest.ts';
import { RootState, type Cosigned, type Finding } from './root/state.ts';

/** A signed batch that still has to be written to `checkpoints`. */
export interface SignedBatch {
  readonly topic: string;
  readonly partition: number;
  readonly nextOffset: number;
  /** In the order that the signature covers. */
  readonly heads: readonly LogHead[];
  readonly signed: SignedHeads;
}

/** What the root log needs of the signer: its state lies in the same database, so that an epoch is one transaction. */
export interface RootLedger {
  readonly root: RootState;
  readonly rawPublicKey: Uint8Array;
  head(topic: string, partition: number, logId: string): LogHead | undefined;
  /** Heads of all partitions, signed. */
  signedLists(): readonly SignedHeadList[];
  /** Appends what moved since the last epoch; flushed when it resolves, with the heads that the epoch saw. */
  cutEpoch(restart: boolean): Promise<readonly SignedHeadList[]>;
  setPublished(size: number): Promise<void>;
  setCosigned(cosigned: Cosigned): Promise<void>;
  /** True when the finding is new. */
  addFinding(finding: Finding): Promise<boolean>;
  sign(message: Uint8Array): Uint8Array;
}

export interface LocalSigner extends Signer {
  readonly rootLedger: RootLedger;
  /** Set by step sign while its root log is open. */
  root?: RootSource | undefined;
  /** Signed batches in commit order, at most `limit`, that were not yet acknowledged. */
  unpublished(limit: number): readonly SignedBatch[];
  /** The rows of these batches are durable. */
  published(batches: readonly SignedBatch[]): Promise<void>;
  /** Called after each commit, and each new finding. */
  onCommitted(listener: () => void): void;
  close(): Promise<void>;
}

export interface LocalSignerOptions {
  /** Absolute; exists; ours alone. The key lies in it, the state in `signer.lmdb` below it. */
  readonly dir: string;
  readonly clock: Clock;
  /** One process at a time: data_dir_locked while another one lives that took the state so. */
  readonly exclusive?: boolean;
}

interface StoredPartition {
  readonly nextOffset: number;
  readonly watermarkMs: number;
  readonly outstanding: Manifest | null;
  readonly committed: { readonly digest: string; readonly signed: SignedHeads } | null;
}

const NEW_PARTITION: StoredPartition = Object.freeze({
  nextOffset: 0,
  watermarkMs: 0,
  outstanding: null,
  committed: null,
});
/** Sorts after every log id and number of a key. */
const KEY_END = '\u{10FFFF}';

/** `verify` counts findings of this code: what they name is missing, by decision and on record. */
function lossFinding({ topic, partition, fromOffset, toOffset, actor, reason }: AcceptedLoss): Finding {
  const detail = `offsets ${fromOffset} to ${toOffset - 1}, accepted by ${actor}: ${reason}`.slice(0, 512);
  return { code: LOSS_ACCEPTED, topic, partition, detail };
}

/** The signer's state in `dir`; made where there is none. */
export function openSignerState(dir: string): RootDatabase {
  return open({ path: path.join(dir, 'signer.lmdb'), noSubdir: false, compression: false });
}

/** Opens (or makes) key and state of `dir`. */
export async function openLocalSigner(options: LocalSignerOptions): Promise<LocalSigner> {
  const ownerFile = options.exclusive === true ? path.join(options.dir, 'signer.owner') : undefined;
  if (ownerFile !== undefined) refuseAnnounced(ownerFile);
  const database = openSignerState(options.dir);
  let isOwner = false;
  try {
    if (ownerFile !== undefined) {
      takeOwnership(database);
      isOwner = true;
      announceOwner(ownerFile);
    }
    const key = await openLogKey(options.dir, database);
    return new LmdbSigner(database, { key, clock: options.clock, ownerFile });
  } catch (error) {
    // A key that is refused leaves the directory to whoever puts it right.
    await closeState(database, isOwner ? ownerFile : undefined);
    throw error;
  }
}

async function closeState(database: RootDatabase, ownerFile: string | undefined): Promise<void> {
  if (ownerFile !== undefined) {
    giveUpOwnership(database);
    withdrawOwner(ownerFile);
  }
  await database.close();
}

class LmdbSigner implements LocalSigner {
  root: RootSource | undefined;
  readonly rootLedger: RootLedger;
  readonly #database: RootDatabase;
  readonly #key: SigningKey;
  readonly #clock: Clock;
  readonly #listeners: (() => void)[] = [];

  readonly #ownerFile: string | undefined;

  constructor(
    database: RootDatabase,
    parts: { readonly key: SigningKey; readonly clock: Clock; readonly ownerFile: string | undefined },
  ) {
    this.#database = database;
    this.#key = parts.key;
    this.#clock = parts.clock;
    this.#ownerFile = parts.ownerFile;
    this.rootLedger = this.#openRootLedger();
  }

  #openRootLedger(): RootLedger {
    const root = new RootState(this.#database, sha256);
    return {
      root,
      rawPublicKey: this.#key.publicKey,
      head: (topic, partition, logId) => this.#head(topic, partition, logId),
      signedLists: () => listsOf(this.#allHeads()),
      cutEpoch: (restart) =>
        this.#change(() => {
          this.#checkKey();
          root.cut({ nowMs: this.#clock.nowMs(), restart, partitions: this.#signedPartitions() });
          return listsOf(this.#allHeads());
        }),
      setPublished: (size) => this.#change(() => root.setPublished(size)),
      setCosigned: (cosigned) => this.#change(() => root.setCosigned(cosigned)),
      addFinding: (finding) => this.#change(() => root.addFinding(finding, this.#clock.nowMs())),
      sign: (message) => ed25519Sign(this.#key.privateKey, message),
    };
  }

  /** Inside a transaction. A process that was left behind by a rotation signs nothing any more. */
  #checkKey(): void {
    const inForce = keyInForce(this.#database);
    if (inForce !== undefined && inForce !== toHex(this.#key.publicKey))
      throw new TriplineError('signer_refused', 'the log key was rotated; start again');
  }

  #signedPartitions() {
    return [...this.#storedPartitions()].map(({ topic, partition, nextOffset }) => ({
      topic,
      partition,
      nextOffset,
      heads: () => this.#heads(topic, partition),
    }));
  }

  async state(topic: string, partition: number): Promise<PartitionState> {
    return this.#state(topic, partition);
  }

  async reserve(manifest: Manifest): Promise<ReserveOutcome> {
    const { topic, partition } = manifest;
    const digest = manifestDigest(manifest, sha256);
    const reserved = await this.#change(() => {
      const stored = this.#partition(topic, partition);
      if (stored.outstanding !== null) return manifestDigest(stored.outstanding, sha256) === digest;
      if (stored.nextOffset !== manifest.firstOffset) return false;
      checkManifest(manifest, (logId) => this.#head(topic, partition, logId), sha256);
      this.#put(topic, partition, { ...stored, outstanding: manifest });
      return true;
    });
    return reserved ? { kind: 'reserved' } : { kind: 'superseded', state: this.#state(topic, partition) };
  }

  async commit(manifest: Manifest): Promise<SignedHeads> {
    const { topic, partition } = manifest;
    const digest = manifestDigest(manifest, sha256);
    const signed = await this.#change(() => {
      const stored = this.#partition(topic, partition);
      if (stored.committed?.digest === digest) return stored.committed.signed;
      if (stored.outstanding === null || manifestDigest(stored.outstanding, sha256) !== digest) {
        throw new TriplineError('ledger_reserved', 'this batch is not the one that is reserved');
      }
      return this.#sign(stored, manifest, digest);
    });
    for (const listener of this.#listeners) listener();
    return signed;
  }

  /** Inside a transaction: checks again what was reserved, and writes heads, signature and offset as one. */
  #sign(stored: StoredPartition, manifest: Manifest, digest: string): SignedHeads {
    const { topic, partition, nextOffset, watermarkMs } = manifest;
    this.#checkKey();
    checkManifest(manifest, (logId) => this.#head(topic, partition, logId), sha256);
    const heads = manifest.logs.map((log) => log.newHead);
    const signed = this.#signature(heads);
    for (const head of heads) this.#database.putSync(['head', topic, partition, head.logId], head);
    if (heads.length > 0) {
      const batch: SignedBatch = { topic, partition, nextOffset, heads, signed };
      this.#database.putSync(['batch', topic, partition, nextOffset], batch);
    }
    const watermark = Math.max(stored.watermarkMs, watermarkMs);
    this.#put(topic, partition, {
      nextOffset,
      watermarkMs: watermark,
      outstanding: null,
      committed: { digest, signed },
    });
    return signed;
  }

  async heads(): ReturnType<Signer['heads']> {
    return this.#allHeads();
  }

  #allHeads(): Awaited<ReturnType<Signer['heads']>> {
    return [...this.#storedPartitions()].map(({ topic, partition, nextOffset }) => {
      const heads = this.#heads(topic, partition);
      const signed = heads.length === 0 ? null : this.#signature(heads);
      return { topic, partition, nextOffset, heads, signed };
    });
  }

  *#storedPartitions() {
    const range = this.#database.getRange({ start: ['partition'], end: ['partition', KEY_END] });
    for (const { key, value } of range) {
      const [, topic, partition] = key as [string, string, number];
      yield { topic, partition, nextOffset: (value as StoredPartition).nextOffset };
    }
  }

  async report(finding: Finding): Promise<void> {
    if (!(await this.rootLedger.addFinding(finding))) return;
    for (const listener of this.#listeners) listener();
  }

  /** Offset and finding are one transaction: what is signed from here on stands beside who decided that, and why. */
  async acceptLoss(loss: AcceptedLoss): Promise<void> {
    const { topic, partition, fromOffset, toOffset } = loss;
    await this.#change(() => {
      const stored = this.#partition(topic, partition);
      const isThere = stored.outstanding === null && stored.nextOffset === fromOffset;
      if (!isThere || toOffset <= fromOffset)
        throw new TriplineError('conflict', `${topic}/${partition} goes on at ${stored.nextOffset}`);
      this.#put(topic, partition, { ...stored, nextOffset: toOffset, committed: null });
      this.rootLedger.root.addFinding(lossFinding(loss), this.#clock.nowMs());
    });
    for (const listener of this.#listeners) listener();
  }

  async publicKey(): Promise<Uint8Array> {
    return this.#key.publicKey;
  }

  unpublished(limit: number): readonly SignedBatch[] {
    const range = this.#database.getRange({ start: ['batch'], end: ['batch', KEY_END], limit });
    return [...range].map(({ value }) => value as SignedBatch);
  }

  async published(batches: readonly SignedBatch[]): Promise<void> {
    await this.#change(() => {
      for (const { topic, partition, nextOffset } of batches) {
        this.#database.removeSync(['batch', topic, partition, nextOffset]);
      }
    });
  }

  onCommitted(listener: () => void): void {
    this.#listeners.push(listener);
  }

  async close(): Promise<void> {
    await closeState(this.#database, this.#ownerFile);
  }

  #signature(heads: readonly LogHead[]): SignedHeads {
    const signature = ed25519Sign(this.#key.privateKey, headsMessage(heads));
    return {
      keyId: this.#key.keyId,
      signature: Buffer.from(signature).toString('base64'),
      signedAtMs: this.#clock.nowMs(),
    };
  }

  #state(topic: string, partition: number): PartitionState {
    const { nextOffset, watermarkMs, outstanding } = this.#partition(topic, partition);
    return { topic, partition, nextOffset, watermarkMs, outstanding, heads: this.#heads(topic, partition) };
  }

  #partition(topic: string, partition: number): StoredPartition {
    return (
      (this.#database.get(['partition', topic, partition]) as StoredPartition | undefined) ?? NEW_PARTITION
    );
  }

  #head(topic: string, partition: number, logId: string): LogHead | undefined {
    return this.#database.get(['head', topic, partition, logId]) as LogHead | undefined;
  }

  #heads(topic: string, partition: number): LogHead[] {
    const range = this.#database.getRange({
      start: ['head', topic, partition],
      end: ['head', topic, partition, KEY_END],
    });
    return [...range].map(({ value }) => value as LogHead);
  }

  #put(topic: string, partition: number, stored: StoredPartition): void {
    this.#database.putSync(['partition', topic, partition], stored);
  }

  /** One transaction, one at a time over all processes; an exception inside aborts it. Resolves when it is on disk. */
  async #change<Result>(act: () => Result): Promise<Result> {
    const result = this.#database.transactionSync(act);
    await this.#database.flushed;
    return result;
  }
}
