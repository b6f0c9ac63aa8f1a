/** Requests in flight, and those that ended but whose answer may still come. Bounded: the oldest give way, and say so. */
import type { Exchange } from './exchange.ts';

export class PendingExchanges {
  readonly #byKey = new Map<string, Exchange[]>();
  readonly #byProgress = new Map<string, Exchange>();
  readonly #max: number;
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  get size(): number {
    return this.#count;
  }

  /** Adds one; answers those that gave way for it, oldest first. A twin id in flight keeps its place before it. */
  add(exchange: Exchange): readonly Exchange[] {
    const twins = this.#byKey.get(exchange.key);
    if (twins === undefined) this.#byKey.set(exchange.key, [exchange]);
    else twins.push(exchange);
    if (exchange.progressKey !== undefined) this.#byProgress.set(exchange.progressKey, exchange);
    this.#count++;
    return this.#count > this.#max ? this.#evictOldest() : [];
  }

  #evictOldest(): readonly Exchange[] {
    for (const [key, exchanges] of this.#byKey) {
      this.#byKey.delete(key);
      this.#count -= exchanges.length;
      for (const exchange of exchanges) this.#forgetProgress(exchange);
      return exchanges;
    }
    return [];
  }

  #forgetProgress(exchange: Exchange): void {
    const { progressKey } = exchange;
    if (progressKey !== undefined && this.#byProgress.get(progressKey) === exchange)
      this.#byProgress.delete(progressKey);
  }

  /** The one that an answer with this key ends, no longer pending. */
  take(key: string): Exchange | undefined {
    const exchanges = this.#byKey.get(key);
    const exchange = exchanges?.shift();
    if (exchange === undefined || exchanges === undefined) return undefined;
    this.#count--;
    this.#forgetProgress(exchange);
    if (exchanges.length === 0) this.#byKey.delete(key);
    return exchange;
  }

  has(exchange: Exchange): boolean {
    return this.#byKey.get(exchange.key)?.includes(exchange) === true;
  }

  remove(exchange: Exchange): void {
    const exchanges = this.#byKey.get(exchange.key);
    const at = exchanges?.indexOf(exchange) ?? -1;
    if (exchanges === undefined || at < 0) return;
    exchanges.splice(at, 1);
    this.#count--;
    this.#forgetProgress(exchange);
    if (exchanges.length === 0) this.#byKey.delete(exchange.key);
  }

  /** The newest under this key that has no result on record. */
  find(key: string): Exchange | undefined {
    return this.#byKey.get(key)?.findLast((exchange) => !exchange.ended);
  }

  withProgress(progressKey: string): Exchange | undefined {
    return this.#byProgress.get(progressKey);
  }

  *all(): Generator<Exchange> {
    for (const exchanges of this.#byKey.values()) yield* exchanges;
  }

  clear(): void {
    this.#byKey.clear();
    this.#byProgress.clear();
    this.#count = 0;
  }
}
