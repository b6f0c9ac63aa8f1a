/** The one error of EQL compatibility: what is wrong with a query, and where it stands in it. */
export class EqlError extends Error {
  /** Position in the query, in characters from 0. */
  readonly at: number;

  constructor(message: string, at: number) {
    super(message);
    this.name = 'EqlError';
    this.at = at;
  }
}
