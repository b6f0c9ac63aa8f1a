/** Limits that both adapters hold, so that what one takes the other takes too. */
import { TriplineError } from '../../../schemas/errors.ts';
import type { BusMessage } from './port.ts';

/** Key, value and headers of one message together. Under Kafka's default of 1 MiB a batch (message.max.bytes). */
export const MAX_MESSAGE_BYTES = 1_000_000;
const OVERHEAD_BYTES = 32;
const HEADER_OVERHEAD_BYTES = 8;

/** Bytes that a message takes, with a little for its framing. Throws bus_record_too_large over the limit. */
export function messageBytes(message: BusMessage): number {
  let bytes = OVERHEAD_BYTES + (message.key?.length ?? 0) + (message.value?.length ?? 0);
  for (const [name, value] of Object.entries(message.headers))
    bytes += HEADER_OVERHEAD_BYTES + Buffer.byteLength(name) + Buffer.byteLength(value);
  if (bytes > MAX_MESSAGE_BYTES)
    throw new TriplineError(
      'bus_record_too_large',
      `A message holds at most ${MAX_MESSAGE_BYTES} bytes, this one ${bytes}.`,
    );
  return bytes;
}

/**
 * Bytes that wait to be acknowledged, of the whole bus and of each partition. A partition may take at most half of the
 * budget, so that one that hangs leaves room for the others; an empty one always takes one send.
 */
export class QueueBudget {
  readonly #maxBytes: number;
  readonly #queuedByLane = new Map<string, number>();
  #queuedBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Throws bus_backpressure when full; then nothing is counted. */
  reserve(lane: string, bytes: number): void {
    const queued = this.#queuedByLane.get(lane) ?? 0;
    const full = this.#queuedBytes + bytes > this.#maxBytes || queued + bytes > this.#maxBytes / 2;
    if (full && queued > 0) throw new TriplineError('bus_backpressure');
    this.#queuedByLane.set(lane, queued + bytes);
    this.#queuedBytes += bytes;
  }

  release(lane: string, bytes: number): void {
    const left = (this.#queuedByLane.get(lane) ?? 0) - bytes;
    if (left <= 0) this.#queuedByLane.delete(lane);
    else this.#queuedByLane.set(lane, left);
    this.#queuedBytes -= bytes;
  }
}
