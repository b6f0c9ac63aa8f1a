/**
 * Has checkpoints of the root log stamped by an RFC 3161 authority. It is asked over HTTP and sees a hash and nothing
 * else; its answer is kept only where it is one to what was asked. Whether its signature is worth anything is judged by
 * whoever verifies, against the authority's certificate.
 */
import { randomBytes } from 'node:crypto';
import { TriplineError } from '../../../schemas/errors.ts';
import { equalBytes, utf8 } from '../../evidence/bytes.ts';
import { parseSize } from '../../evidence/tlog/checkpoint.ts';
import { answersQuery, parseTimestamp, timestampQuery } from '../../evidence/timestamp.ts';
import { within } from '../../platform/http/within.ts';
import { sha256 } from '../../platform/ledger/crypto.ts';
import { STAMP_SIZES_FILE, stampPath } from '../../platform/ledger/root-source.ts';
import type { RootFiles } from './files.ts';
import { readBounded } from './read-bounded.ts';

const NONCE_BYTES = 8;
/** An answer with its certificates has a few kB. */
const MAX_ANSWER_BYTES = 256 * 1024;

export interface StamperOptions {
  readonly url: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface Stamped {
  readonly note: string;
  readonly size: number;
}

export class Stamper {
  readonly #options: StamperOptions;

  constructor(options: StamperOptions) {
    this.#options = options;
  }

  /**
   * Keeps a stamp of the note, the list of sizes last. Nothing where the newest stamp is of this size. Throws timestamp_refused for an answer that is none, timestamp_unreachable where there was none.
   */
  async stamp({ note, size }: Stamped, files: RootFiles): Promise<boolean> {
    const known = Buffer.from((await files.read(STAMP_SIZES_FILE)) ?? []).toString();
    const sizes = known.split('\n').flatMap((text) => parseSize(text) ?? []);
    if (size === 0 || (sizes.at(-1) ?? 0) >= size) return false;
    const query = timestampQuery(utf8(note), randomBytes(NONCE_BYTES), sha256);
    const response = await this.#ask(query);
    const stamp = parseTimestamp(response);
    const isAnswer = stamp !== undefined && answersQuery(stamp, query);
    if (!isAnswer || !equalBytes(stamp.imprint, sha256(utf8(note))))
      throw new TriplineError('timestamp_refused');
    await files.write(stampPath(size, 'note'), utf8(note));
    await files.write(stampPath(size, 'tsq'), query);
    await files.write(stampPath(size, 'tsr'), response);
    await files.write(STAMP_SIZES_FILE, utf8([...sizes, size].map((one) => `${one}\n`).join('')));
    return true;
  }

  async #ask(query: Uint8Array): Promise<Uint8Array> {
    const { url, timeoutMs, signal } = this.#options;
    try {
      return await within({ timeoutMs, signal }, async (ending) => {
        const response = await fetch(url, {
          method: 'POST',
          headers: { 'content-type': 'application/timestamp-query' },
          body: Buffer.from(query),
          redirect: 'error',
          signal: ending,
        });
        if (!response.ok) throw new TriplineError('timestamp_refused', `status ${response.status}`);
        const answer = await readBounded(response.body, MAX_ANSWER_BYTES);
        if (answer === undefined) throw new TriplineError('timestamp_refused', 'the answer is too long');
        return answer;
      });
    } catch (cause) {
      if (cause instanceof TriplineError) throw cause;
      throw new TriplineError('timestamp_unreachable', undefined, { cause });
    }
  }
}
