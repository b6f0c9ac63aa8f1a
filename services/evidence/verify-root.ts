/**
 * The root log of a bundle: its signed checkpoint, who cosigned it, and what its leaves claim of the logs. A bundle of
 * everything brings all leaves, so that two heads of one log cannot disagree unseen; others bring the newest head of
 * each log with its inclusion proof.
 */
import type {
  BundleRoot,
  BundleRootEntries,
  BundleRootHead,
  BundleRootNote,
  BundleRootStamp,
  RootBundleLine,
} from './bundle.ts';
import { equalBytes, fromBase64, hashFromHex, toHex, utf8, type EvidenceCrypto } from './bytes.ts';
import { LogKeys, type KeyRotation } from './log-keys.ts';
import { answersQuery, parseTimestamp, type StampCheck } from './timestamp.ts';
import { CompactRange, leafHash, verifyConsistency, verifyInclusion } from './merkle.ts';
import { noteNameOf, rootOrigin } from './origin.ts';
import { RootClaims, type LogClaims } from './root-claims.ts';
import { NotBeforeClaims } from './not-before.ts';
import {
  FaultFound,
  type FaultCode,
  type NotBeforeReport,
  type TimestampReport,
  type WitnessReport,
} from './report.ts';
import {
  decodeRootLeaf,
  LOSS_ACCEPTED,
  encodeRootLeaf,
  type CoverageLeaf,
  type KeyLeaf,
} from './root-leaf.ts';
import { parseCheckpoint, type Checkpoint, type SignedCheckpoint } from './tlog/checkpoint.ts';
import { checkNote, noteKey, NOTE_KEY_TYPES, type NoteKey } from './tlog/note.ts';
import { cosigners, type Cosigners, type Policy } from './tlog/policy.ts';
import { decodeBundle } from './tlog/tiles.ts';

export interface RootSettings {
  readonly deployment: string;
  readonly crypto: EvidenceCrypto;
  /** Raw keys that may sign heads, and so the root log, where the policy names no log. */
  readonly publicKeys: readonly Uint8Array[];
  /** How one log key followed another: a chain whose signatures hold. */
  readonly rotations?: readonly KeyRotation[];
  readonly policy: Policy | undefined;
  /** Kept by the caller from earlier, and believed. */
  readonly kept: Checkpoint | undefined;
  readonly stampCheck?: StampCheck | undefined;
  /** True where every log must be in the bundle. */
  readonly whole: boolean;
}

interface CheckedCheckpoint extends SignedCheckpoint {
  readonly cosigners: Cosigners | undefined;
}

export class RootVerifier {
  readonly #settings: RootSettings;
  readonly #range: CompactRange;
  readonly #claims: RootClaims;
  readonly #notBefore: NotBeforeClaims;
  #checkpoint: CheckedCheckpoint | undefined;
  #cosigned: CheckedCheckpoint | undefined;
  readonly #stamps: { rootSize: number; atMs: number; authority: string | null }[] = [];
  readonly #rotations: readonly KeyRotation[];
  #rotated = 0;
  #hasEntries = false;
  #losses = 0;
  #isFinished = false;

  constructor(settings: RootSettings) {
    this.#settings = settings;
    this.#rotations = settings.rotations ?? [];
    this.#range = new CompactRange(0, settings.crypto.sha256);
    this.#notBefore = new NotBeforeClaims(settings.crypto.sha256);
    this.#claims = new RootClaims(settings.crypto.sha256, (...about) => this.#fault(...about));
  }

  /** True when the bundle brought all leaves. */
  get isWhole(): boolean {
    return this.#hasEntries;
  }

  take(line: RootBundleLine): void {
    switch (line.type) {
      case 'root':
        return this.begin(line);
      case 'root_note':
        return this.note(line);
      case 'root_stamp':
        return this.stamp(line);
      case 'root_entries':
        return this.entries(line);
      case 'root_head':
        return this.head(line);
    }
  }

  begin(line: BundleRoot): void {
    if (this.#checkpoint !== undefined) throw this.#fault('root_checkpoint_invalid', 'twice');
    this.#checkpoint = line.checkpoint === null ? undefined : this.#check(line.checkpoint);
    this.#cosigned = line.cosigned === null ? undefined : this.#check(line.cosigned);
    const behind = (this.#cosigned?.size ?? 0) > (this.#checkpoint?.size ?? 0);
    if (behind) throw this.#fault('root_checkpoint_invalid', 'the cosigned one is the larger one');
  }

  #check(text: string): CheckedCheckpoint {
    const { crypto, deployment, policy } = this.#settings;
    const checkpoint = parseCheckpoint(text);
    if (checkpoint === undefined) throw this.#fault('root_checkpoint_invalid', 'form');
    if (checkpoint.origin !== rootOrigin(deployment)) throw this.#fault('root_checkpoint_invalid', 'origin');
    if (checkNote(checkpoint.note, this.#logKeys(checkpoint.size), crypto).kind !== 'signed')
      throw this.#fault('root_checkpoint_invalid', 'signature');
    if (policy === undefined) return { ...checkpoint, cosigners: undefined };
    const by = cosigners(checkpoint.note, policy, crypto);
    if (by.forged) throw this.#fault('root_checkpoint_invalid', 'cosignature');
    return { ...checkpoint, cosigners: by };
  }

  /** Of the keys of the policy's logs, where it names any, else of those of the heads: who may sign so many leaves. */
  #logKeys(size: number): readonly NoteKey[] {
    const { policy, publicKeys, deployment, crypto } = this.#settings;
    const name = noteNameOf(rootOrigin(deployment));
    const named = policy?.logs.filter((key) => key.name === name).map(({ publicKey }) => publicKey) ?? [];
    const trusted = (policy?.logs.length ?? 0) > 0 ? named : publicKeys;
    return new LogKeys(trusted, this.#rotations)
      .at(size)
      .map((key) => noteKey(name, NOTE_KEY_TYPES.ed25519, key, crypto.sha256));
  }

  /** A cosigned checkpoint of before; its root is compared when its size is reached. */
  note({ note }: BundleRootNote): void {
    if (this.#hasEntries) throw this.#fault('root_checkpoint_invalid', 'after the first leaves');
    const checked = this.#check(note);
    // What nobody vouches for was perhaps made today: then the leaves' claims about it count as not known.
    if (checked.cosigners?.quorum !== false) this.#notBefore.know(note, checked);
  }

  /** A checkpoint of before that an authority has stamped; the tree here must extend it. */
  stamp({ note, query, response, size, proof }: BundleRootStamp): void {
    const fault = (detail: string): FaultFound => this.#fault('root_stamp_invalid', detail);
    const { sha256 } = this.#settings.crypto;
    const stamped = this.#check(note);
    const stamp = parseTimestamp(fromBase64(response) ?? new Uint8Array(0));
    if (stamp === undefined) throw fault('form');
    const isOfNote = equalBytes(stamp.imprint, sha256(utf8(note)));
    if (!isOfNote || !answersQuery(stamp, fromBase64(query) ?? new Uint8Array(0)))
      throw fault('imprint or nonce');
    const checkpoint = [this.#checkpoint, this.#cosigned].find((one) => one?.size === size);
    const isExtended =
      checkpoint !== undefined &&
      verifyConsistency(
        {
          oldSize: BigInt(stamped.size),
          newSize: BigInt(size),
          oldRoot: stamped.root,
          newRoot: checkpoint.root,
          proof: proof.map(hashFromHex),
        },
        sha256,
      );
    if (!isExtended) throw fault('proof');
    const authority = this.#settings.stampCheck?.(stamp) ?? null;
    this.#stamps.push({ rootSize: stamped.size, atMs: stamp.timeMs, authority });
  }

  entries({ first, bundle }: BundleRootEntries): void {
    this.#hasEntries = true;
    const bytes = fromBase64(bundle);
    const leaves = bytes === undefined ? undefined : decodeBundle(bytes);
    if (leaves === undefined || first !== this.#range.end) throw this.#fault('root_entries_invalid', 'order');
    for (const leaf of leaves) this.#leaf(leaf);
  }

  #leaf(bytes: Uint8Array): void {
    const index = this.#range.end;
    const leaf = decodeRootLeaf(bytes);
    if (leaf === undefined) throw this.#fault('root_entries_invalid', 'form', index);
    if (leaf.type === 'finding' && leaf.code === LOSS_ACCEPTED) this.#losses += 1;
    if (leaf.type === 'head') this.#claims.head(leaf, index);
    if (leaf.type === 'coverage') this.#coverage(leaf, index);
    if (leaf.type === 'key') this.#key(leaf, index);
    this.#range.append(leafHash(bytes, this.#settings.crypto.sha256));
    this.#compareAt(this.#range.end);
  }

  #coverage(leaf: CoverageLeaf, index: number): void {
    if (!this.#notBefore.accept(leaf.notBefore, index))
      throw this.#fault('coverage_differs', 'not_before', index);
    this.#claims.cover(leaf, index);
  }

  /** The header names all rotations; here stands each of them, over the leaves that it says it follows. */
  #key(leaf: KeyLeaf, index: number): void {
    const rotation = this.#rotations[this.#rotated];
    const isNext =
      rotation?.index === index &&
      equalBytes(encodeRootLeaf(rotation.leaf), encodeRootLeaf(leaf)) &&
      leaf.rootBefore === toHex(this.#range.root());
    if (!isNext) throw this.#fault('key_rotation_invalid', 'leaf', index);
    this.#rotated += 1;
  }

  #compareAt(size: number): void {
    const { kept } = this.#settings;
    const root = (): string => toHex(this.#range.root());
    if (kept?.size === size && toHex(kept.root) !== root())
      throw this.#fault('known_head_differs', 'root log');
    for (const checkpoint of [this.#checkpoint, this.#cosigned])
      if (checkpoint?.size === size && toHex(checkpoint.root) !== root())
        throw this.#fault('root_entries_invalid', 'root');
    if (this.#notBefore.differsAt(size, root)) throw this.#fault('coverage_differs', 'not_before', size - 1);
  }

  /** The newest head of one log, by its inclusion proof. */
  head({ logId, index, size, leaf, proof, note }: BundleRootHead): void {
    const bytes = fromBase64(leaf) ?? new Uint8Array(0);
    const checkpoint = [this.#checkpoint, this.#cosigned].find((one) => one?.size === size);
    const claim = {
      index: BigInt(index),
      size: BigInt(size),
      leafHash: leafHash(bytes, this.#settings.crypto.sha256),
      root: checkpoint?.root ?? new Uint8Array(0),
      proof: proof.map(hashFromHex),
    };
    const decoded = decodeRootLeaf(bytes);
    const isProved = checkpoint !== undefined && verifyInclusion(claim, this.#settings.crypto.sha256);
    if (!isProved || decoded?.type !== 'head') throw this.#fault('root_entries_invalid', 'proof', index);
    this.#claims.newest(decoded, { logId, index });
    if (note !== undefined) this.#checkHeadNote(note, decoded.checkpoint, index);
  }

  /** It says what the leaf says, in the form of other tools. */
  #checkHeadNote(text: string, checkpoint: string, index: number): void {
    const note = parseCheckpoint(text);
    if (note === undefined || note.note.text !== checkpoint)
      throw this.#fault('root_entries_invalid', 'note', index);
    const name = noteNameOf(note.origin);
    const { crypto } = this.#settings;
    // It is signed when the bundle is made, by the key of that time.
    const keys = this.#logKeys(Number.MAX_SAFE_INTEGER).map(({ publicKey }) =>
      noteKey(name, NOTE_KEY_TYPES.ed25519, publicKey, crypto.sha256),
    );
    if (checkNote(note.note, keys, crypto).kind !== 'signed')
      throw this.#fault('root_entries_invalid', 'note', index);
  }

  /** After the last line of the root log; idempotent. */
  finish(): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    const size = this.#checkpoint?.size ?? 0;
    const isShort = this.#hasEntries ? this.#range.end !== size : this.#settings.whole && size > 0;
    if (isShort) throw this.#fault('root_entries_invalid', 'size');
    if (this.#hasEntries && this.#rotated < this.#rotations.length)
      throw this.#fault('key_rotation_invalid', 'missing');
    if (this.#hasEntries) this.#claims.expectCoverage();
    this.#compareKept(size);
  }

  /** What was kept must be a beginning of what is here; without all leaves only the same size can be compared. */
  #compareKept(size: number): void {
    const { kept, deployment } = this.#settings;
    if (kept === undefined) return;
    const here = this.#checkpoint?.root;
    const isSame = here !== undefined && kept.size === size && toHex(kept.root) === toHex(here);
    const isLonger = this.#hasEntries && kept.size <= size;
    const isKnown = kept.origin === rootOrigin(deployment) && (isLonger || isSame || kept.size === 0);
    if (!isKnown) throw this.#fault('known_head_differs', 'root log');
  }

  /** Losses that were accepted: each has a leaf. Only bundles of everything show them. */
  losses(): number {
    return this.#losses;
  }

  claims(): ReadonlyMap<string, LogClaims> {
    return this.#claims.all();
  }

  claimsFor(logId: string): LogClaims | undefined {
    return this.#claims.all().get(logId);
  }

  /** Leaves below this index are under a checkpoint that meets the policy; 0 without one. */
  witnessedSize(): number {
    return this.#witnessed()?.size ?? 0;
  }

  #witnessed(): CheckedCheckpoint | undefined {
    return [this.#checkpoint, this.#cosigned].find((one) => one?.cosigners?.quorum === true);
  }

  /** Null where the bundle brings none. */
  timestamps(): TimestampReport | null {
    if (this.#stamps.length === 0) return null;
    const trusted = this.#stamps.flatMap(({ authority, ...at }) =>
      authority === null ? [] : [{ ...at, authority }],
    );
    const latest = trusted.toSorted((a, b) => b.rootSize - a.rootSize)[0] ?? null;
    return { count: this.#stamps.length, trusted: trusted.length, latest };
  }

  /** Null without all leaves. */
  notBefore(): NotBeforeReport | null {
    return this.#hasEntries ? this.#notBefore.report() : null;
  }

  /** Null where the caller gave no policy. */
  report(unwitnessedEntries: number): WitnessReport | null {
    if (this.#settings.policy === undefined) return null;
    const checkpoint = this.#witnessed();
    const signed = (checkpoint ?? this.#checkpoint)?.cosigners?.signed ?? [];
    const times = signed.map(({ timeSeconds }) => timeSeconds);
    return {
      quorum: checkpoint !== undefined,
      witnesses: signed.map(({ name }) => name),
      rootSize: checkpoint?.size ?? 0,
      cosignedAtMs: times.length === 0 ? null : Math.min(...times) * 1000,
      unwitnessedEntries,
    };
  }

  #fault(code: FaultCode, detail: string, index: number | null = null): FaultFound {
    const nowhere = { topic: null, partition: null, offset: null, session: null };
    return new FaultFound({ code, log: rootOrigin(this.#settings.deployment), index, ...nowhere, detail });
  }
}
