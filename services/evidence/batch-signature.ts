/**
 * Signature of a producer over one record (header `batch-sig`), and the certificate of the key that made it. It covers
 * the place of the lines and, through the chain of event hashes, their exact bytes. A record shows all that checking it
 * takes, so that what it counts for follows from the record alone.
 *
 *   batch_sig   = Ed25519(stream_sk, "tripline/batch/v1\0" || stream_id[16] || u64 first_seq || u64 last_seq || u64 sent_ms || last_ev_hash[32])
 *   certificate = Ed25519(agent_sk, "tripline/stream-key/v1\0" || stream_id[16] || stream_pk[32] || u64 issued_ms)
 *   header      = base64( u8 1 || agent_pk[32] || stream_pk[32] || u64 issued_ms || certificate[64] || u64 sent_ms || batch_sig[64] )   209 bytes
 *
 * Whoever may write to the bus writes these bytes. Keys of small order or in another encoding than the canonical one
 * sign nothing: OpenSSL would take forged signatures under them.
 */
import { checkEd25519PublicKey } from '../../schemas/control/key.ts';
import {
  concatBytes,
  domain,
  fromCanonicalBase64,
  putU64,
  toBase64,
  toHex,
  type EvidenceCrypto,
} from './bytes.ts';

/** What a host's agent key says of the key of one stream. */
export interface StreamCertificate {
  /** Raw 32 bytes. */
  readonly agentKey: Uint8Array;
  /** Raw 32 bytes; it lives as long as the stream, in memory only. */
  readonly streamKey: Uint8Array;
  readonly issuedMs: number;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

export interface BatchSignature {
  readonly certificate: StreamCertificate;
  readonly sentMs: number;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

/** What a batch signature covers. */
export interface SignedBatchRange {
  /** 16 bytes. */
  readonly stream: Uint8Array;
  readonly firstSeq: number;
  readonly lastSeq: number;
  /** Event hash of the last line, which commits to every line before it. */
  readonly lastEventHash: Uint8Array;
}

const BATCH = domain('tripline/batch/v1');
const CERTIFICATE = domain('tripline/stream-key/v1');
const VERSION = 1;
const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;
const STREAM_KEY_AT = 1 + KEY_BYTES;
const ISSUED_AT = STREAM_KEY_AT + KEY_BYTES;
const CERTIFICATE_AT = ISSUED_AT + 8;
const SENT_AT = CERTIFICATE_AT + SIGNATURE_BYTES;
const SIGNATURE_AT = SENT_AT + 8;
export const BATCH_SIGNATURE_BYTES = SIGNATURE_AT + SIGNATURE_BYTES;

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  putU64(new DataView(bytes.buffer), 0, value);
  return bytes;
}

/** The bytes that a stream's key signs. */
export function batchMessage(range: SignedBatchRange, sentMs: number): Uint8Array {
  const { stream, firstSeq, lastSeq, lastEventHash } = range;
  return concatBytes([BATCH, stream, u64(firstSeq), u64(lastSeq), u64(sentMs), lastEventHash]);
}

/** The bytes that an agent's key signs. */
export function certificateMessage(
  stream: Uint8Array,
  certificate: Pick<StreamCertificate, 'streamKey' | 'issuedMs'>,
): Uint8Array {
  return concatBytes([CERTIFICATE, stream, certificate.streamKey, u64(certificate.issuedMs)]);
}

/** The 209 bytes of a signature with its certificate. */
export function encodeBatchSignature({ certificate, sentMs, signature }: BatchSignature): Uint8Array {
  const { agentKey, streamKey, issuedMs, signature: certified } = certificate;
  return concatBytes([
    new Uint8Array([VERSION]),
    agentKey,
    streamKey,
    u64(issuedMs),
    certified,
    u64(sentMs),
    signature,
  ]);
}

/** Undefined for anything that is not exactly these bytes with times that a safe integer holds. */
export function decodeBatchSignature(bytes: Uint8Array): BatchSignature | undefined {
  if (bytes.length !== BATCH_SIGNATURE_BYTES || bytes[0] !== VERSION) return undefined;
  const issuedMs = readU64(bytes, ISSUED_AT);
  const sentMs = readU64(bytes, SENT_AT);
  if (issuedMs === undefined || sentMs === undefined) return undefined;
  const certificate = {
    agentKey: bytes.slice(1, STREAM_KEY_AT),
    streamKey: bytes.slice(STREAM_KEY_AT, ISSUED_AT),
    issuedMs,
    signature: bytes.slice(CERTIFICATE_AT, SENT_AT),
  };
  return { certificate, sentMs, signature: bytes.slice(SIGNATURE_AT) };
}

function readU64(bytes: Uint8Array, at: number): number | undefined {
  const value = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getBigUint64(at);
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : undefined;
}

export function batchSignatureHeader(signature: BatchSignature): string {
  return toBase64(encodeBatchSignature(signature));
}

/** Undefined for what is no such header: canonical base64 of the bytes above. */
export function readBatchSignatureHeader(text: string): BatchSignature | undefined {
  if (text.length > 2 * BATCH_SIGNATURE_BYTES) return undefined;
  const bytes = fromCanonicalBase64(text);
  return bytes === undefined ? undefined : decodeBatchSignature(bytes);
}

/** Certificates that are remembered as good: each is checked once a stream, not once a batch. */
const MAX_KNOWN = 4096;

/** Checks signatures. Holds nothing but what it found before of the same bytes. */
export class BatchSignatures {
  readonly #crypto: EvidenceCrypto;
  /** Key id of the agent by stream and certificate; undefined = it does not hold. */
  readonly #known = new Map<string, Uint8Array | undefined>();

  constructor(crypto: EvidenceCrypto) {
    this.#crypto = crypto;
  }

  /** SHA-256 of the agent's public key when certificate and signature hold for the range; else undefined. Never throws. */
  keyIdOf(range: SignedBatchRange, signature: BatchSignature): Uint8Array | undefined {
    const { certificate, sentMs } = signature;
    const keyId = this.certified(range.stream, certificate);
    if (keyId === undefined) return undefined;
    const message = batchMessage(range, sentMs);
    return this.#crypto.ed25519Verify(certificate.streamKey, message, signature.signature)
      ? keyId
      : undefined;
  }

  /** SHA-256 of the agent's public key when it certified this key for this stream; else undefined. */
  certified(stream: Uint8Array, certificate: StreamCertificate): Uint8Array | undefined {
    const { agentKey, streamKey, issuedMs, signature } = certificate;
    const name = toHex(concatBytes([stream, agentKey, streamKey, u64(issuedMs), signature]));
    if (this.#known.has(name)) return this.#known.get(name);
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    const keyId = this.#check(stream, certificate);
    this.#known.set(name, keyId);
    return keyId;
  }

  #check(stream: Uint8Array, certificate: StreamCertificate): Uint8Array | undefined {
    const { agentKey, streamKey, signature } = certificate;
    if (checkEd25519PublicKey(agentKey) !== 'ok' || checkEd25519PublicKey(streamKey) !== 'ok')
      return undefined;
    const message = certificateMessage(stream, certificate);
    if (!this.#crypto.ed25519Verify(agentKey, message, signature)) return undefined;
    return this.#crypto.sha256(agentKey);
  }
}
