/** A part of a query that a rule cannot say. */
export interface Refusal {
  readonly what: string;
  readonly why: string;
}

/** Ends the import of one event of a query; caught in import.ts, where the others are still read. */
export class ImportRefusal extends Error {
  readonly refusal: Refusal;

  constructor(what: string, why: string) {
    super(`${what}: ${why}`);
    this.name = 'ImportRefusal';
    this.refusal = { what, why };
  }
}
