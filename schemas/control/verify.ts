/**
 * Trust in a control: the signature over the exact payload bytes first, only then their meaning. Pure: Ed25519 is an
 * argument, so that hosts, the service and the browser check alike. Everything here may come from an attacker who owns
 * the channel (bus, HTTP, a host's file).
 */
import {
  CONTROL_SIGNATURE_DOMAIN,
  zControl,
  zSignedControl,
  type Control,
  type SignedControl,
} from './v1.ts';

/** A public key that its holder trusts: `keyId` = SHA-256 of the raw key (hex), `publicKey` = raw 32 bytes. */
export interface PinnedControlKey {
  readonly keyId: string;
  readonly publicKey: Uint8Array;
}

export type VerifyEd25519 = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean;

export type ControlVerification =
  | { readonly kind: 'valid'; readonly control: Control }
  | { readonly kind: 'invalid'; readonly code: 'control_invalid' | 'control_signature_invalid' };

/** A payload holds a dozen short fields; more is refused before it is decoded. */
export const MAX_CONTROL_PAYLOAD_BYTES = 16 * 1024;
const SIGNATURE_BYTES = 64;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

const MALFORMED = { kind: 'invalid', code: 'control_invalid' } as const;
const UNTRUSTED = { kind: 'invalid', code: 'control_signature_invalid' } as const;

/** What is signed: "tripline/control/v1\0" ‖ the exact payload bytes. */
export function controlSigningBytes(payload: Uint8Array): Uint8Array {
  const domain = new TextEncoder().encode(CONTROL_SIGNATURE_DOMAIN);
  const message = new Uint8Array(domain.length + payload.length);
  message.set(domain, 0);
  message.set(payload, domain.length);
  return message;
}

/**
 * `valid` with the decoded control when a pinned key signed it and it is well formed; else `control_signature_invalid`
 * (unknown key, wrong or forged signature) or `control_invalid` (not a control). Never throws.
 */
export function verifySignedControl(
  signed: SignedControl,
  pinnedKeys: readonly PinnedControlKey[],
  verifyEd25519: VerifyEd25519,
): ControlVerification {
  const shape = zSignedControl.safeParse(signed);
  if (!shape.success) return MALFORMED;
  const payload = decodeBase64(shape.data.payload, MAX_CONTROL_PAYLOAD_BYTES);
  const signature = decodeBase64(shape.data.signature, SIGNATURE_BYTES);
  if (payload === undefined || signature?.length !== SIGNATURE_BYTES) return MALFORMED;
  const pinned = pinnedKeys.find((key) => key.keyId === shape.data.keyId);
  if (pinned === undefined) return UNTRUSTED;
  if (!signatureHolds(pinned, payload, signature, verifyEd25519)) return UNTRUSTED;
  const control = parseControlPayload(payload);
  return control === undefined ? MALFORMED : { kind: 'valid', control };
}

function signatureHolds(
  pinned: PinnedControlKey,
  payload: Uint8Array,
  signature: Uint8Array,
  verifyEd25519: VerifyEd25519,
): boolean {
  try {
    return verifyEd25519(pinned.publicKey, controlSigningBytes(payload), signature);
  } catch {
    // A verifier may throw on a malformed key or signature; either way nobody vouches for these bytes.
    return false;
  }
}

/** The control in payload bytes whose signature was checked; undefined when they hold none. */
function parseControlPayload(payload: Uint8Array): Control | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
  } catch {
    return undefined;
  }
  const parsed = zControl.safeParse(value);
  if (!parsed.success || !isCoherent(parsed.data)) return undefined;
  return parsed.data;
}

/** What the schema cannot say: tenant `*` belongs to scope global alone, and both times are dates. */
export function isCoherent(control: Control): boolean {
  if ((control.tenant === '*') !== (control.scope === 'global')) return false;
  return !Number.isNaN(Date.parse(control.issuedAt)) && !Number.isNaN(Date.parse(control.expiresAt));
}

export type ControlMerge = 'newer' | 'same' | 'stale';

/**
 * Merge rule of everyone who keeps controls: `newer` replaces what is held for the id; `same` (equal version, as a
 * channel repeats it) and `stale` change nothing. A replayed older version must never undo a kill, nor revive a lifted one.
 */
export function newerControl(held: Control | undefined, received: Control): ControlMerge {
  if (held === undefined || received.version > held.version) return 'newer';
  return received.version === held.version ? 'same' : 'stale';
}

/** Canonical base64 only, at most `maxBytes`; undefined otherwise. */
function decodeBase64(text: string, maxBytes: number): Uint8Array | undefined {
  if (text.length > Math.ceil(maxBytes / 3) * 4 || !BASE64.test(text)) return undefined;
  const binary = atob(text);
  return Uint8Array.from(binary, (character) => character.codePointAt(0) ?? 0);
}
