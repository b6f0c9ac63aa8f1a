/** Instruction-like text of a result, marked or taken out: replacements of whole JSON strings, all other bytes as they came. */
import type { Member } from '../json-scan.ts';
import { stringAt } from '../message.ts';
import type { Splice } from '../trace-context.ts';
import { instructionsIn, rewritten } from './instruction-text.ts';
import { resultTexts } from './result-texts.ts';

/** Bytes of one result's texts that are looked at. */
export const MAX_MARKED_BYTES = 1024 * 1024;

export interface Marking {
  readonly splices: readonly Splice[];
  /** Passages that were marked or taken out. */
  readonly texts: number;
  /** Some text was not looked at. */
  readonly cut: boolean;
}

/** `members` of the result. */
export function markInstructions(
  bytes: Uint8Array,
  members: readonly Member[],
  how: { readonly mode: 'mark' | 'strip'; readonly nonce: string },
): Marking {
  const { spans, more } = resultTexts(bytes, members);
  const splices: Splice[] = [];
  let texts = 0;
  let left = MAX_MARKED_BYTES;
  let cut = more;
  for (const span of spans) {
    left -= span.end - span.start;
    const text = left < 0 ? undefined : stringAt(bytes, span, MAX_MARKED_BYTES);
    if (text === undefined) {
      cut = true;
      continue;
    }
    const found = instructionsIn(text);
    cut ||= found.more;
    if (found.spans.length === 0) continue;
    texts += found.spans.length;
    splices.push({ ...span, text: JSON.stringify(rewritten(text, found.spans, how)) });
  }
  return { splices, texts, cut };
}
