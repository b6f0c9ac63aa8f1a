/** Join keys of an event. A list stands for each of its values: every distinct combination is a key of its own. */
import { compileExpression, type Evaluate } from './compile.ts';
import type { Dialect, Expression } from './syntax.ts';
import { fold, isList, type EventObject, type Value } from './values.ts';

/** Combinations of one event at most: lists of lists must not fill the memory. */
const MAX_COMBINATIONS = 4096;

/** Keys as text; none when a required one is missing. */
export type KeyReader = (event: EventObject) => readonly string[];

interface Part {
  readonly read: Evaluate;
  readonly isOptional: boolean;
}

export function keyReader(by: readonly Expression[], dialect: Dialect): KeyReader {
  if (by.length === 0) {
    const shared = ['[]'];
    return () => shared;
  }
  const parts: readonly Part[] = by.map((expression) => ({
    read: compileExpression(expression, dialect),
    // The older dialect joins null with null, Elasticsearch where a field is written as optional.
    isOptional: dialect === 'endgame' || (expression.kind === 'field' && expression.isOptional),
  }));
  return (event) => combine(event, parts, dialect);
}

function combine(event: EventObject, parts: readonly Part[], dialect: Dialect): string[] {
  let combinations: Value[][] = [[]];
  for (const { read, isOptional } of parts) {
    const values = alternatives(read(event), dialect);
    if (values.length === 0 && !isOptional) return [];
    const present = values.length === 0 ? [null] : values;
    // The first key varies fastest: that is the order in which matches of one event are told.
    combinations = present
      .flatMap((value) => combinations.map((head) => [...head, value]))
      .slice(0, MAX_COMBINATIONS);
  }
  return [...new Set(combinations.map((values) => JSON.stringify(values)))];
}

/** Distinct values without null; the older dialect joins without case. */
function alternatives(value: Value, dialect: Dialect): Value[] {
  const flat = flatten(value).filter((item) => item !== null);
  return [...new Set(dialect === 'endgame' ? flat.map((item) => fold(item)) : flat)];
}

function flatten(value: Value): Value[] {
  return isList(value) ? value.flatMap((item) => flatten(item)) : [value];
}
