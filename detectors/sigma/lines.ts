/** Where a part of a YAML document stands in its text. */
import { isMap, isScalar, isSeq, type Document, type LineCounter } from 'yaml';
import type { Place } from './refusal.ts';

interface Step {
  readonly node: unknown;
  /** Offset in the text, undefined where the part is not there. */
  readonly offset: number | undefined;
}

function stepInto(node: unknown, part: string | number): Step {
  if (isMap(node)) {
    const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part));
    return { node: pair?.value, offset: isScalar(pair?.key) ? pair.key.range?.[0] : undefined };
  }
  const item = isSeq(node) ? node.items[Number(part)] : undefined;
  const { range } = (item ?? {}) as { readonly range?: readonly number[] };
  return { node: item, offset: range?.[0] };
}

/** Line of the innermost part of `at` that stands in the text: of its key, where it is a value of a map. */
export function lineIn(document: Document, lines: LineCounter, at: Place): number {
  let node: unknown = document.contents;
  let offset = document.contents?.range?.[0] ?? 0;
  for (const part of at) {
    const step = stepInto(node, part);
    node = step.node;
    offset = step.offset ?? offset;
  }
  return lines.linePos(offset).line;
}
