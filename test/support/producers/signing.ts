/** A producer that signs its batches, written from the description of the bytes and node:crypto alone. */
import { createHash, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { encodeEventRecord } from '../../../schemas/bus/record.ts';

export interface KeyPair {
  readonly privateKey: KeyObject;
  /** Raw 32 bytes. */
  readonly raw: Buffer;
  /** SHA-256 of it, hex. */
  readonly keyId: string;
}

export function newKeyPair(): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
  return { privateKey, raw, keyId: createHash('sha256').update(raw).digest('hex') };
}

export const u64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};

/** Event hashes of lines one after another, the first over `prev`. */
export function chainOfLines(
  stream: Buffer,
  firstSeq: number,
  lines: readonly string[],
  prev = Buffer.alloc(32),
): readonly Buffer[] {
  let before: Buffer = prev;
  return lines.map((line, at) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(Buffer.byteLength(line));
    before = createHash('sha256')
      .update(Buffer.concat([Buffer.from('tripline/event/v1\0'), stream, u64(firstSeq + at), before]))
      .update(Buffer.concat([length, Buffer.from(line)]))
      .digest();
    return before;
  });
}

export interface Batch {
  /** Hex. */
  readonly stream: string;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly lastHash: Buffer;
}

export class SigningProducer {
  readonly agent: KeyPair;
  readonly streamKey: KeyPair;
  readonly issuedMs = 1_764_000_000_000;

  constructor(agent: KeyPair = newKeyPair(), streamKey: KeyPair = newKeyPair()) {
    this.agent = agent;
    this.streamKey = streamKey;
  }

  certificate(stream: string): Buffer {
    const message = [Buffer.from('tripline/stream-key/v1\0'), Buffer.from(stream, 'hex'), this.streamKey.raw];
    return sign(null, Buffer.concat([...message, u64(this.issuedMs)]), this.agent.privateKey);
  }

  /** Header `batch-sig`. */
  header({ stream, firstSeq, lastSeq, lastHash }: Batch, sentMs = 1_764_000_000_500): string {
    const place = Buffer.concat([Buffer.from(stream, 'hex'), u64(firstSeq), u64(lastSeq), u64(sentMs)]);
    const message = Buffer.concat([Buffer.from('tripline/batch/v1\0'), place, lastHash]);
    return Buffer.concat([
      Buffer.from([1]),
      this.agent.raw,
      this.streamKey.raw,
      u64(this.issuedMs),
      this.certificate(stream),
      u64(sentMs),
      sign(null, message, this.streamKey.privateKey),
    ]).toString('base64');
  }

  /** A signed record of consecutive lines; `prev`: the hash before them, hex. */
  record(
    of: { readonly tenant: string; readonly session: string; readonly stream: string },
    firstSeq: number,
    lines: readonly string[],
    prev?: string,
  ) {
    const start = prev === undefined ? Buffer.alloc(32) : Buffer.from(prev, 'hex');
    const hashes = chainOfLines(Buffer.from(of.stream, 'hex'), firstSeq, lines, start);
    const lastSeq = firstSeq + lines.length - 1;
    const lastHash = hashes.at(-1) as Buffer;
    const batchSignature = this.header({ stream: of.stream, firstSeq, lastSeq, lastHash });
    const message = encodeEventRecord({
      ...of,
      firstSeq,
      ...(prev === undefined ? {} : { prev }),
      batchSignature,
      lines: lines.map((line) => Buffer.from(line)),
    });
    return { message, lastHash: lastHash.toString('hex') };
  }
}
