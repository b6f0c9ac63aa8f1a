/**
 * Signs a stream's lines in batches, with a key that lives in memory as long as the stream does and that the host's
 * agent key certified. A batch is signed when it is full, when it is about to be sent, or a flush interval after its
 * first line, and the signature goes into the spool: who drains it after a crash sends it as it is. What a killed host
 * had not signed by then is sent unsigned; nobody else can vouch for it.
 */
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import {
  batchMessage,
  batchSignatureHeader,
  certificateMessage,
  type StreamCertificate,
} from '../../evidence/batch-signature.ts';
import { toBase64 } from '../../evidence/bytes.ts';
import type { AgentKey } from './agent-key.ts';
import type { SealedBatch } from './sealed.ts';
import { MAX_LINES_PER_RECORD, MAX_RECORD_BYTES } from '../../../schemas/topics.ts';

export interface BatchSignerOptions {
  /** 32 lower-case hex digits. */
  readonly stream: string;
  readonly agentKey: AgentKey;
  readonly nowMs: () => number;
  /** A batch is signed at the latest so long after its first line. */
  readonly sealAfterMs: number;
  /** Keeps a signature beside the lines that it covers, before they are sent. */
  readonly keep: (batch: SealedBatch) => void;
}

interface OpenBatch {
  readonly firstSeq: number;
  lines: number;
  bytes: number;
  lastHash: Uint8Array;
}

export class BatchSigner {
  readonly #options: BatchSignerOptions;
  readonly #stream: Uint8Array;
  readonly #privateKey: KeyObject;
  readonly #certificate: StreamCertificate;
  readonly #sealed: SealedBatch[] = [];
  #open: OpenBatch | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: BatchSignerOptions) {
    this.#options = options;
    this.#stream = Buffer.from(options.stream, 'hex');
    const { privateKey, publicKey } = generateKeyPairSync('ed25519');
    this.#privateKey = privateKey;
    const der = publicKey.export({ type: 'spki', format: 'der' });
    this.#certificate = certify(options, this.#stream, new Uint8Array(der.subarray(der.length - 32)));
  }

  /** Field `certificate` of stream.open. */
  get certificate(): Readonly<Record<string, string | number>> {
    const { agentKey, streamKey, issuedMs, signature } = this.#certificate;
    return {
      agentKey: toBase64(agentKey),
      streamKey: toBase64(streamKey),
      issuedMs,
      signature: toBase64(signature),
    };
  }

  /** A line that stands in the spool now, and its event hash. Lines come in the order of their sequence. */
  add(seq: number, bytes: number, hash: Uint8Array): void {
    if (this.#open !== undefined && this.#open.bytes + 1 + bytes > MAX_RECORD_BYTES) this.seal();
    const open = (this.#open ??= { firstSeq: seq, lines: 0, bytes: -1, lastHash: hash });
    open.lines += 1;
    open.bytes += 1 + bytes;
    open.lastHash = hash;
    if (open.lines === MAX_LINES_PER_RECORD) return this.seal();
    this.#timer ??= setTimeout(() => this.seal(), this.#options.sealAfterMs).unref();
  }

  /** Signs what is open. */
  seal(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    const lastSeq = open.firstSeq + open.lines - 1;
    const sentMs = this.#options.nowMs();
    const range = { stream: this.#stream, firstSeq: open.firstSeq, lastSeq, lastEventHash: open.lastHash };
    const signature = sign(null, batchMessage(range, sentMs), this.#privateKey);
    const header = batchSignatureHeader({ certificate: this.#certificate, sentMs, signature });
    const sealed = { firstSeq: open.firstSeq, lastSeq, signature: header };
    this.#options.keep(sealed);
    this.#sealed.push(sealed);
  }

  /** Signed batches that are not sent, oldest first. */
  get sealed(): readonly SealedBatch[] {
    return this.#sealed;
  }

  /** Lines below `seq` are sent. True when nothing is left that a kept signature is for. */
  sentBelow(seq: number): boolean {
    while ((this.#sealed[0]?.lastSeq ?? seq) < seq) this.#sealed.shift();
    return this.#sealed.length === 0;
  }
}

function certify(
  { agentKey, nowMs }: BatchSignerOptions,
  stream: Uint8Array,
  streamKey: Uint8Array,
): StreamCertificate {
  const issuedMs = nowMs();
  const signature = sign(null, certificateMessage(stream, { streamKey, issuedMs }), agentKey.privateKey);
  return { agentKey: agentKey.publicKey, streamKey, issuedMs, signature };
}
