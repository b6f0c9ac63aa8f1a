/** What the importer answers where a Sigma rule cannot be said in our language. */
export interface Refusal {
  readonly path: string;
  readonly line: number;
  /** What is refused: a place in the document. */
  readonly what: string;
  readonly why: string;
}

export type Place = readonly (string | number)[];

/** Leaves a document from inside the importer; import.ts turns it into a Refusal, nobody else sees it. */
export class Refused extends Error {
  readonly at: Place;

  constructor(at: Place, why: string) {
    super(why);
    this.at = at;
  }
}

export function refuse(at: Place, why: string): never {
  throw new Refused(at, why);
}
