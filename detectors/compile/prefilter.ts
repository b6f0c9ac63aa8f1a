/** Which of several patterns may match a text at all, by the texts that each of them requires. */
import { requiredTexts } from './required.ts';
import { MAX_SCANNED_CHARACTERS, TextScan } from './text-scan.ts';

export class Prefilter {
  private readonly scan: TextScan;
  /** By pattern the numbers of the texts that it requires, any of each list; none where nothing is known. */
  private readonly required: readonly (readonly (readonly number[])[])[];
  private readonly found: Uint8Array;

  constructor(patterns: readonly string[]) {
    const all = patterns.map(requiredTexts);
    const texts = [...new Set(all.flat(2))];
    const isTooMuch = texts.join('').length > MAX_SCANNED_CHARACTERS;
    const numbers = new Map(texts.map((text, number) => [text, number]));
    this.scan = new TextScan(isTooMuch ? [] : texts);
    this.found = new Uint8Array(texts.length);
    this.required = all.map((lists) =>
      isTooMuch ? [] : lists.map((oneOf) => oneOf.map((text) => numbers.get(text) as number)),
    );
  }

  /** Numbers of the patterns that may match. */
  candidates(text: string): readonly number[] {
    const { found, required } = this;
    found.fill(0);
    if (this.scan.count > 0) this.scan.scan(text, found);
    const candidates: number[] = [];
    for (let pattern = 0; pattern < required.length; pattern++) {
      const lists = required[pattern] as readonly (readonly number[])[];
      if (lists.every((oneOf) => oneOf.some((number) => found[number] === 1))) candidates.push(pattern);
    }
    return candidates;
  }
}
