/** Counts what a request makes us hold, while it is read: a few bytes on the wire may become a whole object here. */
import { TriplineError } from '../../../../schemas/errors.ts';
import { MAX_VALUES, type DecodeLimits } from '../model.ts';

export class Budget {
  readonly #maxItems: number;
  #items = 0;
  #values = 0;

  constructor({ maxItems }: DecodeLimits) {
    this.#maxItems = maxItems;
  }

  /** Index of the next span or log record. Throws body_too_large. */
  item(): number {
    if (this.#items >= this.#maxItems)
      throw new TriplineError('body_too_large', `more than ${this.#maxItems} spans or log records`);
    return this.#items++;
  }

  /** One more group, attribute or value. Throws body_too_large. */
  value(): void {
    this.#values += 1;
    if (this.#values > MAX_VALUES)
      throw new TriplineError('body_too_large', `more than ${MAX_VALUES} attribute values`);
  }
}

/** A fault of one span or log record; the others are taken. */
export class ItemFault extends Error {}
