/**
 * Which of many short texts stand in a long one, without case, in one walk (A. V. Aho, M. J. Corasick, "Efficient String
 * Matching", CACM 1975), as a table of states by characters.
 */

/** Characters that fold to an ASCII letter, though they are none: long s and the sign of kelvin. */
const FOLDED: readonly (readonly [unit: number, letter: string])[] = [
  [0x017f, 's'],
  [0x212a, 'k'],
];

interface Trie {
  /** By state, then column: next state, 0 for none. */
  readonly next: number[][];
  /** By state the texts that end there. */
  readonly ends: number[][];
}

export class TextScan {
  readonly count: number;
  /** By UTF-16 unit its column; 0 for all that stand in no text. */
  private readonly columns = new Uint8Array(0x10000);
  private width = 1;
  private readonly table: Uint16Array;
  private readonly ends: readonly (readonly number[])[];
  /** 1 where a text ends in the state. */
  private readonly isEnd: Uint8Array;

  /** Lower-case ASCII texts, none empty. */
  constructor(texts: readonly string[]) {
    this.count = texts.length;
    this.number(texts);
    const trie = this.trie(texts);
    this.table = this.complete(trie);
    this.ends = trie.ends;
    this.isEnd = Uint8Array.from(trie.ends, (ends) => (ends.length > 0 ? 1 : 0));
  }

  /** Marks with 1 the numbers of the texts that stand in it. */
  scan(text: string, found: Uint8Array): void {
    const { columns, width, table, isEnd } = this;
    let state = 0;
    for (let at = 0; at < text.length; at++) {
      state = table[state * width + (columns[text.charCodeAt(at)] as number)] as number;
      if (isEnd[state] === 1) for (const number of this.ends[state] as readonly number[]) found[number] = 1;
    }
  }

  private number(texts: readonly string[]): void {
    for (const letter of new Set(texts.join(''))) {
      const column = this.width++;
      this.columns[letter.charCodeAt(0)] = column;
      this.columns[letter.toUpperCase().charCodeAt(0)] = column;
      for (const [unit, folded] of FOLDED) if (folded === letter) this.columns[unit] = column;
    }
  }

  private trie(texts: readonly string[]): Trie {
    const trie: Trie = { next: [this.row()], ends: [[]] };
    texts.forEach((text, number) => {
      let state = 0;
      for (const letter of text) {
        const row = trie.next[state] as number[];
        const column = this.columns[letter.charCodeAt(0)] as number;
        if (row[column] === 0) {
          row[column] = trie.next.push(this.row()) - 1;
          trie.ends.push([]);
        }
        state = row[column] as number;
      }
      trie.ends[state]?.push(number);
    });
    return trie;
  }

  private row(): number[] {
    return Array.from({ length: this.width }, () => 0);
  }

  /** Fills in, breadth first, where each state goes when no text goes on. */
  private complete({ next, ends }: Trie): Uint16Array {
    const fallback = next.map(() => 0);
    const queue = (next[0] as number[]).filter((state) => state !== 0);
    for (const state of queue) {
      const back = fallback[state] as number;
      ends[state]?.push(...(ends[back] ?? []));
      (next[state] as number[]).forEach((to, column, row) => {
        const other = next[back]?.[column] ?? 0;
        if (to === 0) row[column] = other;
        else {
          fallback[to] = other;
          queue.push(to);
        }
      });
    }
    return Uint16Array.from(next.flat());
  }
}

/** States that a table of 16 bits can number. */
export const MAX_SCANNED_CHARACTERS = 60_000;
