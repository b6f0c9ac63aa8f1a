/**
 * Signed notes (c2sp.org/signed-note): a text, a blank line, and lines `— <name> base64(u32 key id || signature)`. Whoever
 * hands a note over controls every byte of it.
 */
import { checkEd25519PublicKey } from '../../../schemas/control/key.ts';
import {
  concatBytes,
  fromCanonicalBase64,
  toBase64,
  utf8,
  type EvidenceCrypto,
  type Sha256,
} from '../bytes.ts';

/** Signature types of the specification that are spoken here. */
export const NOTE_KEY_TYPES = { ed25519: 0x01, cosignature: 0x04 } as const;
export type NoteKeyType = (typeof NOTE_KEY_TYPES)[keyof typeof NOTE_KEY_TYPES];

export interface NoteKey {
  readonly name: string;
  readonly type: NoteKeyType;
  /** Raw Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** First four bytes of SHA-256(name || "\n" || type || public key). */
  readonly keyId: number;
}

export interface NoteSignature {
  readonly name: string;
  readonly keyId: number;
  /** Without the key id. */
  readonly signature: Uint8Array;
}

export interface Note {
  /** Ends in a newline, which is signed. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export const MAX_NOTE_CHARACTERS = 64 * 1024;
/** Readers must take 16 at least. */
const MAX_SIGNATURES = 64;
const KEY_ID_BYTES = 4;
const PREFIX = '— ';

/** Non-empty, without Unicode spaces, plus and control characters. */
export function isNoteName(name: string): boolean {
  return name !== '' && !/[\p{White_Space}\p{Cc}+]/u.test(name);
}

export function noteKeyId(name: string, type: number, publicKey: Uint8Array, sha256: Sha256): number {
  const digest = sha256(concatBytes([utf8(`${name}\n`), Uint8Array.of(type), publicKey]));
  return new DataView(digest.buffer, digest.byteOffset).getUint32(0);
}

export function noteKey(name: string, type: NoteKeyType, publicKey: Uint8Array, sha256: Sha256): NoteKey {
  return { name, type, publicKey, keyId: noteKeyId(name, type, publicKey, sha256) };
}

const idHex = (keyId: number): string => keyId.toString(16).padStart(8, '0');

/** `<name>+<key id>+base64(type || public key)` */
export function formatVkey({ name, keyId, type, publicKey }: NoteKey): string {
  return `${name}+${idHex(keyId)}+${toBase64(concatBytes([Uint8Array.of(type), publicKey]))}`;
}

const isKnownType = (type: number): type is NoteKeyType =>
  type === NOTE_KEY_TYPES.ed25519 || type === NOTE_KEY_TYPES.cosignature;

/**
 * Undefined for what is no key of a type above, for a key id that is not the key's own, and for keys under which
 * signatures can be forged (small order, not canonical).
 */
export function parseVkey(text: string, sha256: Sha256): NoteKey | undefined {
  const match = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(text);
  const [, name = '', id = '', encoded = ''] = match ?? [];
  const material = keyMaterial(encoded);
  if (material === undefined || !isNoteName(name)) return undefined;
  const key = noteKey(name, material.type, material.publicKey, sha256);
  return idHex(key.keyId) === id ? key : undefined;
}

function keyMaterial(encoded: string): Pick<NoteKey, 'type' | 'publicKey'> | undefined {
  const bytes = fromCanonicalBase64(encoded);
  const type = bytes?.[0] ?? 0;
  if (bytes === undefined || !isKnownType(type)) return undefined;
  const publicKey = bytes.subarray(1);
  return checkEd25519PublicKey(publicKey) === 'ok' ? { type, publicKey } : undefined;
}

/** A signature line with its newline. */
export function formatSignature({ name, keyId, signature }: NoteSignature): string {
  const id = new Uint8Array(KEY_ID_BYTES);
  new DataView(id.buffer).setUint32(0, keyId);
  return `${PREFIX}${name} ${toBase64(concatBytes([id, signature]))}\n`;
}

export function formatNote({ text, signatures }: Note): string {
  return `${text}\n${signatures.map(formatSignature).join('')}`;
}

/** Lines of signatures alone, as a witness answers them; undefined where one of them is none. */
export function parseSignatures(text: string): NoteSignature[] | undefined {
  if (text.length > MAX_NOTE_CHARACTERS || !text.endsWith('\n')) return undefined;
  const lines = text.slice(0, -1).split('\n');
  if (lines.length > MAX_SIGNATURES) return undefined;
  const signatures: NoteSignature[] = [];
  for (const line of lines) {
    const signature = parseSignature(line);
    if (signature === undefined) return undefined;
    signatures.push(signature);
  }
  return signatures;
}

function parseSignature(line: string): NoteSignature | undefined {
  const [name = '', encoded = '', ...rest] = line.startsWith(PREFIX)
    ? line.slice(PREFIX.length).split(' ')
    : [];
  // One text for one signature: a letter that changed is a change, also where the bytes stay the same.
  const bytes = fromCanonicalBase64(encoded);
  if (bytes === undefined || bytes.length <= KEY_ID_BYTES || rest.length > 0 || !isNoteName(name))
    return undefined;
  const keyId = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  return { name, keyId, signature: bytes.subarray(KEY_ID_BYTES) };
}

/** ASCII control characters other than newline, and halves of surrogate pairs, which are no UTF-8. */
function hasForbidden(text: string): boolean {
  for (const letter of text) if (letter < ' ' && letter !== '\n') return true;
  return /\p{Cs}/u.test(text);
}

/** Undefined for what has not the form of a note. Nothing of it is to be believed before a signature was verified. */
export function parseNote(note: string): Note | undefined {
  if (note.length > MAX_NOTE_CHARACTERS || hasForbidden(note)) return undefined;
  const end = note.lastIndexOf('\n\n');
  if (end < 0) return undefined;
  const signatures = parseSignatures(note.slice(end + 2));
  return signatures === undefined ? undefined : { text: note.slice(0, end + 1), signatures };
}

export type NoteCheck =
  | { readonly kind: 'signed'; readonly by: readonly SignedBy[] }
  /** Of the keys that were asked for none has signed. */
  | { readonly kind: 'unsigned' }
  /** A signature says that it is of a known key and is not: the whole note is refused. */
  | { readonly kind: 'forged'; readonly key: NoteKey };

export interface SignedBy {
  readonly key: NoteKey;
  /** Of a cosignature; null on others. */
  readonly timeSeconds: number | null;
}

/** Which of `keys` have signed. Signatures of other keys are ignored, as the specification asks. */
export function checkNote(note: Note, keys: readonly NoteKey[], crypto: EvidenceCrypto): NoteCheck {
  const by = new Map<NoteKey, SignedBy>();
  for (const signature of note.signatures) {
    const key = keys.find((one) => one.name === signature.name && one.keyId === signature.keyId);
    if (key === undefined) continue;
    const signed = verifySignature(note.text, signature, { key, crypto });
    if (signed === undefined) return { kind: 'forged', key };
    by.set(key, signed);
  }
  return by.size === 0 ? { kind: 'unsigned' } : { kind: 'signed', by: [...by.values()] };
}

function verifySignature(
  text: string,
  { signature }: NoteSignature,
  { key, crypto }: { readonly key: NoteKey; readonly crypto: EvidenceCrypto },
): SignedBy | undefined {
  switch (key.type) {
    case NOTE_KEY_TYPES.ed25519: {
      const holds = crypto.ed25519Verify(key.publicKey, utf8(text), signature);
      return holds ? { key, timeSeconds: null } : undefined;
    }
    case NOTE_KEY_TYPES.cosignature: {
      const timeSeconds = cosignatureTime(signature);
      if (timeSeconds === undefined) return undefined;
      const message = cosignatureMessage(text, timeSeconds);
      const holds = crypto.ed25519Verify(key.publicKey, message, signature.subarray(TIME_BYTES));
      return holds ? { key, timeSeconds } : undefined;
    }
  }
}

const TIME_BYTES = 8;
const ED25519_BYTES = 64;

/** Time of a cosignature/v1 (u64 time || Ed25519); undefined for another length, or a time beyond exact numbers. */
function cosignatureTime(signature: Uint8Array): number | undefined {
  if (signature.length !== TIME_BYTES + ED25519_BYTES) return undefined;
  const time = new DataView(signature.buffer, signature.byteOffset).getBigUint64(0);
  return time <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(time) : undefined;
}

/** What a witness signs (c2sp.org/tlog-cosignature): header, time, and the checkpoint's text. */
export function cosignatureMessage(text: string, timeSeconds: number): Uint8Array {
  return utf8(`cosignature/v1\ntime ${timeSeconds}\n${text}`);
}

export type SignBytes = (message: Uint8Array) => Uint8Array;

/** Ed25519 over the text (type 0x01). */
export function signNote(text: string, key: NoteKey, sign: SignBytes): NoteSignature {
  return { name: key.name, keyId: key.keyId, signature: sign(utf8(text)) };
}

/** cosignature/v1 (type 0x04). */
export function cosign(
  text: string,
  timeSeconds: number,
  signer: { readonly key: NoteKey; readonly sign: SignBytes },
): NoteSignature {
  const time = new Uint8Array(TIME_BYTES);
  new DataView(time.buffer).setBigUint64(0, BigInt(timeSeconds));
  const signature = concatBytes([time, signer.sign(cosignatureMessage(text, timeSeconds))]);
  return { name: signer.key.name, keyId: signer.key.keyId, signature };
}
