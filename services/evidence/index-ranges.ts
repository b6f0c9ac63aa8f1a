/** Lists of ledger indexes as text: ascending numbers and ranges, both ends included, such as `0-4,9,12-13`. Pure. */

export interface IndexRange {
  readonly from: number;
  /** Inclusive. */
  readonly to: number;
}

/** Ranges of ascending indexes. */
export function rangesOf(indexes: Iterable<number>): IndexRange[] {
  const ranges: { from: number; to: number }[] = [];
  for (const index of indexes) {
    const last = ranges.at(-1);
    if (last !== undefined && last.to === index - 1) last.to = index;
    else ranges.push({ from: index, to: index });
  }
  return ranges;
}

export function formatRanges(ranges: readonly IndexRange[]): string {
  return ranges.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join(',');
}

const RANGE = /^(0|[1-9]\d{0,15})(?:-([1-9]\d{0,15}))?$/u;

/** Undefined for what is no such list: ascending, no number twice. */
export function parseRanges(text: string): IndexRange[] | undefined {
  const ranges: IndexRange[] = [];
  let next = 0;
  for (const part of text.split(',')) {
    const match = RANGE.exec(part);
    if (match === null) return undefined;
    const from = Number(match[1]);
    const to = match[2] === undefined ? from : Number(match[2]);
    if (from < next || to < from || !Number.isSafeInteger(to)) return undefined;
    ranges.push({ from, to });
    next = to + 1;
  }
  return ranges;
}
