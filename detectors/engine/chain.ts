/** A prefix as the chain of its nodes, and the values that stand in it. */
import type { FieldPlace } from './plan.ts';
import type { FieldValue, Node } from './prefixes.ts';

/** The nodes of an assignment in the order of its calls. */
export function chainOf(last: Node): Node[] {
  const nodes: Node[] = [];
  for (let node: Node | null = last; node !== null; node = node.prev) nodes.push(node);
  return nodes.toReversed();
}

/** The node of an element in a chain, null where the chain does not hold it. */
export function nodeOf(last: Node, step: number): Node | null {
  for (let node: Node | null = last; node !== null; node = node.prev) if (node.step === step) return node;
  return null;
}

/** Value at a place; undefined where the chain lacks the element, null where the element lacks the value. */
export function placeValue(last: Node, [step, index]: FieldPlace): FieldValue | null | undefined {
  const node = nodeOf(last, step);
  return node === null ? undefined : (node.entry.fields[index] ?? null);
}

/** Value as a key has it. */
export function textOf(value: FieldValue | null | undefined): string | null {
  return value === null || value === undefined || typeof value === 'string'
    ? (value ?? null)
    : value.identity;
}
