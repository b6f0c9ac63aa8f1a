/**
 * Lines of one subject as one sealed block: deflated together, then AES-256-GCM.
 *   u8 method (0 stored, 1 deflate with DICTIONARY_1) || u16 lines || ciphertext || tag[16]
 *   key   = HMAC-SHA256(subject key, "tripline/payload/v1\0" || log_id)
 *   nonce = u32 0 || u64 index of the block's first entry
 *   aad   = u8 method || u16 lines || u64 subject number
 * A log enters an index once, with one line, so that a key meets a nonce with one plaintext only: the same rows from a
 * second run of the same batch, and nothing random in between. The key of a log binds the block to it.
 */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import { deflateRawSync, inflateRawSync } from 'node:zlib';

const KEY_DOMAIN = Buffer.from('tripline/payload/v1\0');
const TAG_BYTES = 16;
const NONCE_BYTES = 12;
/** A record holds 768 KiB. */
const MAX_BLOCK_BYTES = 1024 * 1024;
const HEAD_BYTES = 3;
const STORED = 0;
const DEFLATED = 1;
const LF = 10;
const DEFLATE_LEVEL = 1;
/** A short block is done sooner than the tables of a full window are made. */
const SHORT_BLOCK_BYTES = 3000;
const SHORT_WINDOW = { windowBits: 12, memLevel: 5 };

/**
 * What events have in common, so that a block of one line is small too. Part of the format: another one needs another
 * method number.
 */
const DICTIONARY_1 = Buffer.from(
  `"stream.heartbeat""stream.open""registry.snapshot","decision":{"promptHash":"approval""call.body","part":"error":{"code":-32602,"message":"content":[{"type":"resource","uri":"https://"file:///","isError":true}],"structuredContent":{"path":"/","url":"https://www.","query":","name":"","id":"","title":"","description":""definitionHash":"","annotations":{"readOnlyHint":true,"labels":["trust":"untrusted","verdict":"allow","spanId":"","parentSpanId":"","traceId":"","logicalCallId":"","principal":"","host":"","schemaValid":true,"outcome":"error","durationMs":,"resultHash":"","resultBytes":,"outcome":"ok","result":{"content":[{"type":"text","text":"argsHash":"","class":"","args":{"server":"","transport":"stdio","tool":"","callId":"","session":"","agent":"","nonce":"","time":"2026-","seq":{"v":1,"kind":"call.intent","stream":"{"v":1,"kind":"call.result","stream":"`,
);

export interface BlockPlace {
  /** Hex. */
  readonly logId: string;
  /** Index of the first entry of the block. */
  readonly index: number;
  readonly subject: number;
}

/** The key of a subject in one log. */
export function logKey(subjectKey: Uint8Array, logId: string): Buffer {
  return createHmac('sha256', subjectKey).update(KEY_DOMAIN).update(Buffer.from(logId, 'hex')).digest();
}

/** Several lines hold no line break, since record cuts its lines at them; a single one may. */
export function sealLines(lines: readonly Uint8Array[], place: BlockPlace, key: Uint8Array): Buffer {
  const joined = lines.length === 1 ? (lines[0] ?? new Uint8Array(0)) : joinLines(lines);
  const window = joined.length < SHORT_BLOCK_BYTES ? SHORT_WINDOW : {};
  const deflated = deflateRawSync(joined, { level: DEFLATE_LEVEL, dictionary: DICTIONARY_1, ...window });
  const isSmaller = deflated.length < joined.length;
  const method = isSmaller ? DEFLATED : STORED;
  const cipher = createCipheriv('aes-256-gcm', key, nonceOf(place.index));
  const head = headOf(method, lines.length);
  cipher.setAAD(aadOf(head, place.subject));
  const sealed = cipher.update(isSmaller ? deflated : joined);
  cipher.final();
  return Buffer.concat([head, sealed, cipher.getAuthTag()]);
}

/** Undefined where the block is not what was sealed under this key at this place. */
export function openLines(sealed: Uint8Array, place: BlockPlace, key: Uint8Array): Buffer[] | undefined {
  const method = sealed[0];
  if (sealed.length < HEAD_BYTES + TAG_BYTES || (method !== STORED && method !== DEFLATED)) return undefined;
  const decipher = createDecipheriv('aes-256-gcm', key, nonceOf(place.index));
  const head = Buffer.from(sealed.subarray(0, HEAD_BYTES));
  decipher.setAAD(aadOf(head, place.subject));
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
  const plain = decipher.update(sealed.subarray(HEAD_BYTES, sealed.length - TAG_BYTES));
  try {
    decipher.final();
  } catch {
    return undefined; // The tag does not fit: other bytes, or another place.
  }
  const lines =
    method === STORED
      ? plain
      : inflateRawSync(plain, { dictionary: DICTIONARY_1, maxOutputLength: MAX_BLOCK_BYTES });
  return head.readUInt16BE(1) === 1 ? [lines] : splitAtLf(lines);
}

function joinLines(lines: readonly Uint8Array[]): Buffer {
  const separator = Buffer.of(LF);
  return Buffer.concat(lines.flatMap((line, at) => (at === 0 ? [line] : [separator, line])));
}

function splitAtLf(bytes: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  let from = 0;
  for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, from)) {
    lines.push(bytes.subarray(from, at));
    from = at + 1;
  }
  lines.push(bytes.subarray(from));
  return lines;
}

function nonceOf(index: number): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeBigUInt64BE(BigInt(index), NONCE_BYTES - 8);
  return nonce;
}

function headOf(method: number, lines: number): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt8(method, 0);
  head.writeUInt16BE(lines, 1);
  return head;
}

function aadOf(head: Buffer, subject: number): Buffer {
  const aad = Buffer.alloc(HEAD_BYTES + 8);
  aad.set(head);
  aad.writeBigUInt64BE(BigInt(subject), HEAD_BYTES);
  return aad;
}
