/** What of one text is to be replaced, by which rule: detectors, patterns, and values that the session knows already. */
import { secretsIn, type FoundSecret, type TextContext } from '../../../detectors/labels/secrets.ts';
import type { KnownRange } from './known-values.ts';
import type { Selected, Treatment } from './rules.ts';

/** [start, end) of the text. */
export interface Range {
  readonly start: number;
  readonly end: number;
  readonly by: Treatment;
  /** A value that was known: its digest, and whether it stands here in another form. */
  readonly known?: { readonly digest: string; readonly isEncoded: boolean; readonly isBefore: boolean };
}

/** The detectors tell so many of one text at once. */
const FOUND_AT_ONCE = 16;

/** The value itself of what a detector tells: without its sign, its quotes, the user of an address. */
function valueSpan(
  text: string,
  { kind, start, end }: FoundSecret,
): { readonly start: number; readonly end: number } {
  switch (kind) {
    case 'private_key':
      return { start, end: keyEnd(text, start) };
    case 'url_password': {
      // ://user:password@
      const from = text.indexOf(':', start + 3) + 1;
      return { start: from, end: text.lastIndexOf('@', end) };
    }
    case 'assigned_secret': {
      const found = text.slice(start, end);
      const lead = /^>?[\s\\"'`]*/.exec(found)?.[0].length ?? 0;
      const tail = /[\s\\"'`]*$/.exec(found.slice(lead))?.[0].length ?? 0;
      return { start: start + lead, end: end - tail };
    }
    default:
      return { start, end };
  }
}

/** A private key goes to its last line; one that has none, to the end of the text. */
function keyEnd(text: string, start: number): number {
  const close = text.indexOf('-----END', start);
  if (close === -1) return text.length;
  const end = text.indexOf('-----', close + 8);
  return end === -1 ? text.length : end + 5;
}

function secretRanges(text: string, context: TextContext, selected: Selected): Range[] {
  const ranges: Range[] = [];
  let from = 0;
  for (;;) {
    const rest = from === 0 ? text : text.slice(from);
    const found = secretsIn(rest, context);
    for (const one of found) {
      const by = selected.secrets.find(({ kinds }) => kinds === 'all' || kinds.has(one.kind))?.by;
      const { start, end } = valueSpan(rest, one);
      if (by !== undefined && end > start) ranges.push({ start: from + start, end: from + end, by });
    }
    const last = found.at(-1);
    if (found.length < FOUND_AT_ONCE || last === undefined || last.end === 0) return ranges;
    from += last.end;
  }
}

function patternRanges(text: string, { patterns }: Selected): Range[] {
  return patterns.flatMap(({ regexp, by }) =>
    Array.from(text.matchAll(regexp), (match) => ({
      start: match.index,
      end: match.index + match[0].length,
      by,
    })),
  );
}

/** Known values first: what is equal stays equal. Then the rules in their order. In order, not overlapping. */
export function rangesIn(
  text: string,
  context: TextContext,
  selected: Selected,
  known: readonly KnownRange[],
): readonly Range[] {
  const ranges: Range[] = known.map(({ start, end, by, digest, isEncoded, isBefore = false }) => ({
    start,
    end,
    by,
    known: { digest, isEncoded, isBefore },
  }));
  const own = [
    ...(selected.secrets.length === 0 ? [] : secretRanges(text, context, selected)),
    ...(selected.patterns.length === 0 ? [] : patternRanges(text, selected)),
  ];
  return ranges.length + own.length < 2 ? [...ranges, ...own] : apart([...ranges, ...own]);
}

/** Earlier ranges stay whole; of later ones what is left of them stays, so that nothing of a value stands beside a marker. */
function apart(ranges: readonly Range[]): readonly Range[] {
  const taken: Range[] = [];
  for (const range of ranges) {
    let pieces = [range];
    for (const other of taken)
      pieces = pieces.flatMap((piece) => (overlaps(piece, other) ? without(piece, other) : [piece]));
    taken.push(...pieces);
  }
  return taken.toSorted((left, right) => left.start - right.start);
}

const overlaps = (left: Range, right: Range): boolean => left.start < right.end && right.start < left.end;

function without(piece: Range, { start, end }: Range): readonly Range[] {
  const { by } = piece;
  return [
    ...(piece.start < start ? [{ start: piece.start, end: start, by }] : []),
    ...(piece.end > end ? [{ start: end, end: piece.end, by }] : []),
  ];
}
