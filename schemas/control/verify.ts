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

/** What is signed: the domain ‖ the exact payload bytes. */
export function signingBytes(domainText: string, payload: Uint8Array): Uint8Array {
  const domain = new TextEncoder().encode(domainText);
  const message = new Uint8Array(domain.length + payload.length);
  message.set(domain, 0);
  message.set(payload, domain.length);
  return message;
}

/** "tripline/control/v1\0" ‖ the exact payload bytes. */
export function controlSigningBytes(payload: Uint8Array): Uint8Array {
  return signingBytes(CONTROL_SIGNATURE_DOMAIN, payload);
}

/** Bytes whose signature was checked, parsed; `untrusted`: no pinned key signed them in this domain. */
export type OpenedPayload =
  { readonly kind: 'payload'; readonly value: unknown } | { readonly kind: 'malformed' | 'untrusted' };

/** Opens what the control key signs in `domain`: the signature over the exact payload bytes first, only then their meaning. Never throws. */
export function openSigned(
  signed: SignedControl,
  trust: {
    readonly pinnedKeys: readonly PinnedControlKey[];
    readonly verifyEd25519: VerifyEd25519;
    readonly domain: string;
  },
): OpenedPayload {
  const shape = zSignedControl.safeParse(signed);
  if (!shape.success) return { kind: 'malformed' };
  const payload = decodeBase64(shape.data.payload, MAX_CONTROL_PAYLOAD_BYTES);
  const signature = decodeBase64(shape.data.signature, SIGNATURE_BYTES);
  if (payload === undefined || signature?.length !== SIGNATURE_BYTES) return { kind: 'malformed' };
  const pinned = trust.pinnedKeys.find((key) => key.keyId === shape.data.keyId);
  if (pinned === undefined) return { kind: 'untrusted' };
  const message = signingBytes(trust.domain, payload);
  if (!signatureHolds(pinned, message, signature, trust.verifyEd25519)) return { kind: 'untrusted' };
  return parsePayload(payload);
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
  const opened = openSigned(signed, { pinnedKeys, verifyEd25519, domain: CONTROL_SIGNATURE_DOMAIN });
  if (opened.kind === 'untrusted') return UNTRUSTED;
  const parsed = zControl.safeParse(opened.kind === 'payload' ? opened.value : undefined);
  return parsed.success && isCoherent(parsed.data) ? { kind: 'valid', control: parsed.data } : MALFORMED;
}

function signatureHolds(
  pinned: PinnedControlKey,
  message: Uint8Array,
  signature: Uint8Array,
  verifyEd25519: VerifyEd25519,
): boolean {
  try {
    return verifyEd25519(pinned.publicKey, message, signature);
  } catch {
    // A verifier may throw on a malformed key or signature; either way nobody vouches for these bytes.
    return false;
  }
}

function parsePayload(payload: Uint8Array): OpenedPayload {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
    return { kind: 'payload', value };
  } catch {
    return { kind: 'malformed' };
  }
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
