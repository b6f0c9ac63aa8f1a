/** Sees each entry act on the prefixes of a key, for explanations. */
import type { Entry, Prefixes } from './prefixes.ts';

export interface Watch {
  before(entry: Entry, prefixes: Prefixes): void;
  /** `forbidden`: bits of the guards before and after that keep the entry from a step. */
  after(entry: Entry, prefixes: Prefixes, forbidden: number): void;
}
