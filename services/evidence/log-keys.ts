/**
 * Rotation of the log key: a KEY leaf of the root log, signed by the key that ends with it and by the one that begins.
 *
 *   message = "tripline/log-key/v1\0" || u16 len || origin of the root log || u64 index || root_before[32] || old_pk[32] || new_pk[32] || u64 at_ms
 *
 * `index` is that of the leaf itself, `root_before` the root of the leaves before it. A checkpoint of at most `index`
 * leaves is signed by the old key, a larger one by the new one: who steals a key that was retired signs nothing new.
 */
import { checkEd25519PublicKey } from '../../schemas/control/key.ts';
import { concatBytes, domain, hashFromHex, putU64, toHex, utf8, type Ed25519Verify } from './bytes.ts';
import type { KeyLeaf } from './root-leaf.ts';

export interface KeyRotation {
  /** Of the leaf in the root log. */
  readonly index: number;
  readonly leaf: KeyLeaf;
}

const DOMAIN = domain('tripline/log-key/v1');

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  putU64(new DataView(bytes.buffer), 0, value);
  return bytes;
}

/** The bytes that both keys sign. */
export function rotationMessage(
  origin: string,
  index: number,
  leaf: Pick<KeyLeaf, 'rootBefore' | 'previousKey' | 'nextKey' | 'atMs'>,
): Uint8Array {
  const name = utf8(origin);
  return concatBytes([
    DOMAIN,
    Uint8Array.of(name.length >> 8, name.length & 255),
    name,
    u64(index),
    hashFromHex(leaf.rootBefore),
    hashFromHex(leaf.previousKey),
    hashFromHex(leaf.nextKey),
    u64(leaf.atMs),
  ]);
}

/** True when both keys are sound and signed it for this place of this root log. */
export function holdsRotation(origin: string, { index, leaf }: KeyRotation, verify: Ed25519Verify): boolean {
  const previous = hashFromHex(leaf.previousKey);
  const next = hashFromHex(leaf.nextKey);
  const areSound = [previous, next].every((key) => checkEd25519PublicKey(key) === 'ok');
  if (!areSound || leaf.previousKey === leaf.nextKey) return false;
  const message = rotationMessage(origin, index, leaf);
  return verify(previous, message, leaf.previousSignature) && verify(next, message, leaf.nextSignature);
}

/** Undefined where they are no chain: each begins with the key that the one before began, further on in the log. */
export function isChain(rotations: readonly KeyRotation[]): boolean {
  const ended = new Set<string>();
  return rotations.every(({ index, leaf }, at) => {
    const before = rotations[at - 1];
    const follows =
      before === undefined || (before.leaf.nextKey === leaf.previousKey && index > before.index);
    ended.add(leaf.previousKey);
    // A key that came back would be retired and in force at once.
    return follows && !ended.has(leaf.nextKey);
  });
}

interface Validity {
  readonly key: Uint8Array;
  /** Root checkpoints of more leaves than this. */
  readonly above: number;
  readonly upTo: number;
}

/** Which keys may sign what: those that the caller trusts, and all of the chain that one of them is in. */
export class LogKeys {
  readonly #keys: readonly Validity[];

  /** `rotations`: a chain whose signatures hold. */
  constructor(trusted: readonly Uint8Array[], rotations: readonly KeyRotation[]) {
    const names = new Set(trusted.map(toHex));
    const inChain = rotations.flatMap(({ leaf }) => [leaf.previousKey, leaf.nextKey]);
    const outside = trusted
      .filter((key) => !inChain.includes(toHex(key)))
      .map((key) => ({ key, above: -1, upTo: Number.POSITIVE_INFINITY }));
    const isTrusted = inChain.some((name) => names.has(name));
    this.#keys = isTrusted ? [...outside, ...validities(rotations)] : outside;
  }

  /** Keys that may sign a root checkpoint of this size. */
  at(size: number): readonly Uint8Array[] {
    return this.#keys.filter(({ above, upTo }) => size > above && size <= upTo).map(({ key }) => key);
  }

  /** Keys that are not retired. */
  current(): readonly Uint8Array[] {
    return this.#keys.filter(({ upTo }) => upTo === Number.POSITIVE_INFINITY).map(({ key }) => key);
  }
}

function validities(rotations: readonly KeyRotation[]): Validity[] {
  const first = rotations[0];
  if (first === undefined) return [];
  const next = rotations.map(({ index, leaf }, at) => ({
    key: hashFromHex(leaf.nextKey),
    above: index,
    upTo: rotations[at + 1]?.index ?? Number.POSITIVE_INFINITY,
  }));
  return [{ key: hashFromHex(first.leaf.previousKey), above: -1, upTo: first.index }, ...next];
}
