/** The signed heads of a bundle: whose word counts, and that each list is signed by it. */
import type { BundleHead, BundleHeader, SignedHeadList } from './bundle.ts';
import { fromBase64, toHex, type EvidenceCrypto } from './bytes.ts';
import { headsMessage } from './heads.ts';
import { holdsRotation, isChain, LogKeys, type KeyRotation } from './log-keys.ts';
import { logId, rootOrigin } from './origin.ts';
import { faultOf as fault } from './report.ts';
import { decodeRootLeaf } from './root-leaf.ts';
import type { VerifyOptions } from './verify-options.ts';

/** Keys that may sign, and how one followed another. */
export interface Trusted {
  readonly publicKeys: readonly Uint8Array[];
  readonly rotations: readonly KeyRotation[];
}

export class SignedHeads {
  readonly #crypto: EvidenceCrypto;
  readonly #options: VerifyOptions;
  readonly #heads = new Map<string, BundleHead[]>();
  /** By id. */
  #keys: ReadonlyMap<string, Uint8Array> = new Map();

  constructor(crypto: EvidenceCrypto, options: VerifyOptions) {
    this.#crypto = crypto;
    this.#options = options;
  }

  /** Heads of one log, in the order of their lists. */
  of(log: string): readonly BundleHead[] {
    return this.#heads.get(log) ?? [];
  }

  has(log: string): boolean {
    return this.#heads.has(log);
  }

  logs(): Iterable<readonly BundleHead[]> {
    return this.#heads.values();
  }

  /** Keys that the caller pinned, else those that the bundle names. Throws FaultFound. */
  trust(header: BundleHeader): Trusted {
    const { sha256 } = this.#crypto;
    for (const { keyId, publicKey } of header.keys)
      if (toHex(sha256(fromBase64(publicKey) ?? new Uint8Array(0))) !== keyId)
        throw fault('head_key_unknown', { detail: 'its id is of another key' });
    const rotations = this.#rotations(header);
    const publicKeys = this.pinned() ?? header.keys.flatMap(({ publicKey }) => fromBase64(publicKey) ?? []);
    const keys = new LogKeys(publicKeys, rotations).current();
    this.#keys = new Map(keys.map((key) => [toHex(sha256(key)), key]));
    return { publicKeys, rotations };
  }

  /** After `trust`. Throws FaultFound for a list that none of its keys has signed. */
  take(lists: readonly SignedHeadList[]): void {
    for (const list of lists) this.#take(list);
  }

  #take(list: SignedHeadList): void {
    this.#checkSignature(list);
    for (const head of list.heads) {
      // The signature covers the id: the origin, by which people and this program know the log, must be its own.
      const isNamed =
        toHex(logId(head.origin, this.#crypto.sha256)) === head.logId &&
        head.origin.endsWith(`/${list.topic}/${list.partition}`);
      if (!isNamed) throw fault('log_name_differs', { log: head.origin, index: 0, detail: 'origin' });
      this.#heads.set(head.logId, [...(this.#heads.get(head.logId) ?? []), head]);
    }
  }

  /** Every rotation must hold, whichever keys are trusted: one that does not was put there by somebody. */
  #rotations({ deployment, rotations }: BundleHeader): readonly KeyRotation[] {
    const origin = rootOrigin(deployment);
    const read = rotations.map(({ index, leaf }) => ({
      index,
      leaf: decodeRootLeaf(fromBase64(leaf) ?? new Uint8Array(0)),
    }));
    const isKey = (one: (typeof read)[number]): one is KeyRotation => one.leaf?.type === 'key';
    const { ed25519Verify } = this.#crypto;
    const sound = read.filter(isKey).filter((one) => holdsRotation(origin, one, ed25519Verify));
    if (sound.length === read.length && isChain(sound)) return sound;
    throw fault('key_rotation_invalid', { log: origin });
  }

  /** Undefined where the caller named none. */
  pinned(): readonly Uint8Array[] | undefined {
    const { publicKeys, policy } = this.#options;
    const logs = policy?.logs.map(({ publicKey }) => publicKey) ?? [];
    return publicKeys ?? (logs.length > 0 ? logs : undefined);
  }

  #checkSignature(list: SignedHeadList): void {
    const { topic, partition } = list;
    const at = { log: list.heads[0]?.origin ?? null, topic, partition };
    const key = this.#keys.get(list.keyId);
    if (key === undefined) throw fault('head_key_unknown', at);
    const signature = fromBase64(list.signature) ?? new Uint8Array(0);
    const holds = this.#crypto.ed25519Verify(key, headsMessage(list.heads), signature);
    if (!holds) throw fault('head_signature_invalid', at);
  }
}
