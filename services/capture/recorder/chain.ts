/** The hash chain of a stream as its writer walks it (services/evidence/event-hash.ts). */
import { hash } from 'node:crypto';
import { eventHash } from '../../evidence/event-hash.ts';

// In one shot: a Hash object for each of the six hashes of a call costs more than hashing its bytes.
export const sha256Hex = (bytes: Uint8Array): string => hash('sha256', bytes, 'hex');
export const sha256 = (bytes: Uint8Array): Uint8Array => Buffer.from(sha256Hex(bytes), 'hex');

/** Where a chain stands: the sequence that comes next, and the event hash before it. */
export class ChainPosition {
  readonly #stream: Uint8Array;
  #seq: number;
  #prev: Uint8Array;

  constructor(stream: string, seq = 0, prev = '00'.repeat(32)) {
    this.#stream = Buffer.from(stream, 'hex');
    this.#seq = seq;
    this.#prev = Buffer.from(prev, 'hex');
  }

  get nextSeq(): number {
    return this.#seq;
  }

  /** Event hash before the next line, 64 lower-case hex digits. */
  get prev(): string {
    return Buffer.from(this.#prev).toString('hex');
  }

  /** The same, 32 bytes; never changed. */
  get hash(): Uint8Array {
    return this.#prev;
  }

  add(line: Uint8Array): void {
    this.#prev = eventHash({ stream: this.#stream, seq: this.#seq, prev: this.#prev, line }, sha256);
    this.#seq++;
  }

  /** Back to where the chain stood. */
  rewind(seq: number, prev: Uint8Array): void {
    this.#seq = seq;
    this.#prev = prev;
  }
}
