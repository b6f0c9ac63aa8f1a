/** One witness as the root log's client sees it (c2sp.org/tlog-witness). What it answers is checked, never trusted. */
import { TriplineError } from '../../../schemas/errors.ts';
import type { EvidenceCrypto } from '../../evidence/bytes.ts';
import { formatAddCheckpoint, TLOG_SIZE_TYPE } from '../../evidence/tlog/add-checkpoint.ts';
import { parseCheckpoint, parseSize } from '../../evidence/tlog/checkpoint.ts';
import { checkNote, parseSignatures, type NoteSignature } from '../../evidence/tlog/note.ts';
import type { PolicyWitness } from '../../evidence/tlog/policy.ts';
import type { TileTree } from '../../evidence/tlog/tiles.ts';
import { within } from '../../platform/http/within.ts';
import { readBounded } from './read-bounded.ts';

export type WitnessAnswer =
  | { readonly kind: 'cosigned'; readonly signature: NoteSignature }
  /** It holds a history that ours does not extend: one of the two is a fork. */
  | { readonly kind: 'fork'; readonly status: number; readonly request: string; readonly answer: string }
  /** It does not know this log or its key. */
  | { readonly kind: 'refused'; readonly status: number }
  | { readonly kind: 'invalid'; readonly detail: string }
  | { readonly kind: 'away'; readonly detail: string };

export interface Submission {
  /** A signed note. */
  readonly checkpoint: string;
  /** Of the checkpoint's size. */
  readonly tree: TileTree;
}

const MAX_ANSWER_BYTES = 64 * 1024;
const CONFLICT = 409;
const UNPROCESSABLE = 422;

export class WitnessClient {
  readonly witness: PolicyWitness;
  readonly #url: string;
  readonly #timeoutMs: number;
  readonly #crypto: EvidenceCrypto;
  /** What it cosigned last, as far as is known; a witness tells when this is wrong. */
  #size = 0;

  constructor(
    witness: PolicyWitness & { readonly url: string },
    options: { readonly timeoutMs: number; readonly crypto: EvidenceCrypto },
  ) {
    this.witness = witness;
    this.#url = `${witness.url.replace(/\/+$/, '')}/add-checkpoint`;
    this.#timeoutMs = options.timeoutMs;
    this.#crypto = options.crypto;
  }

  /** Never rejects for what the witness does. */
  async submit(submission: Submission, signal: AbortSignal): Promise<WitnessAnswer> {
    const first = await this.#attempt(submission, signal);
    if (first !== 'another size') return first;
    const second = await this.#attempt(submission, signal);
    return second === 'another size' ? { kind: 'away', detail: 'its size moves' } : second;
  }

  async #attempt(
    { checkpoint, tree }: Submission,
    signal: AbortSignal,
  ): Promise<WitnessAnswer | 'another size'> {
    const oldSize = Math.min(this.#size, tree.size);
    const proof = await tree.consistencyProof(oldSize);
    const request = formatAddCheckpoint({ oldSize, proof, checkpoint });
    const response = await this.#post(request, signal).catch(() => undefined);
    if (response === undefined) return { kind: 'away', detail: 'no answer' };
    const { status, body } = response;
    if (status === 200) return this.#take(checkpoint, tree.size, body);
    if (status === CONFLICT && response.type === TLOG_SIZE_TYPE)
      return this.#resize(response, request, tree.size);
    if (status === CONFLICT || status === UNPROCESSABLE)
      return { kind: 'fork', status, request, answer: body };
    return status >= 500 ? { kind: 'away', detail: `status ${status}` } : { kind: 'refused', status };
  }

  #resize({ status, body }: Answered, request: string, ours: number): WitnessAnswer | 'another size' {
    const size = parseSize(body.replace(/\n$/, ''));
    if (size === undefined) return { kind: 'invalid', detail: 'its size is none' };
    // It has seen more of this log than there is here: ours was set back, or somebody else signs with our key.
    if (size > ours) return { kind: 'fork', status, request, answer: body };
    this.#size = size;
    return 'another size';
  }

  #take(checkpoint: string, size: number, body: string): WitnessAnswer {
    const note = parseCheckpoint(checkpoint)?.note;
    const signatures = parseSignatures(body);
    if (note === undefined || signatures === undefined)
      return { kind: 'invalid', detail: 'no signature lines' };
    const { key } = this.witness;
    const check = checkNote({ text: note.text, signatures }, [key], this.#crypto);
    const signature = signatures.find((one) => one.name === key.name && one.keyId === key.keyId);
    if (check.kind !== 'signed' || signature === undefined) return { kind: 'invalid', detail: check.kind };
    this.#size = size;
    return { kind: 'cosigned', signature };
  }

  async #post(body: string, signal: AbortSignal): Promise<Answered> {
    return await within({ timeoutMs: this.#timeoutMs, signal }, async (ending) => {
      const response = await fetch(this.#url, {
        method: 'POST',
        body,
        headers: { 'content-type': 'text/plain; charset=utf-8' },
        redirect: 'error',
        signal: ending,
      });
      const type = response.headers.get('content-type')?.split(';')[0]?.trim() ?? '';
      const bytes = await readBounded(response.body, MAX_ANSWER_BYTES);
      if (bytes === undefined) throw new TriplineError('unreachable', 'the answer is too long');
      return { status: response.status, type, body: Buffer.from(bytes).toString('utf8') };
    });
  }
}

interface Answered {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}
