/** Whether structured output is what its tool promised: the tool's outputSchema over structuredContent, in bounded time. */
import { Validator } from '@cfworker/json-schema';
import { boundedSchema } from './schema-subset.ts';

export type SchemaVerdict = 'valid' | 'invalid' | 'unchecked';

/** Nodes of the schema times nodes of the value: at most so many pairs are looked at. */
const MAX_PAIRS = 200_000;
const MAX_DEPTH = 64;

interface Compiled {
  readonly validator: Validator;
  readonly nodes: number;
}

export class OutputSchema {
  readonly #text: string | undefined;
  #compiled: Compiled | 'unchecked' | undefined;

  /** JSON text of the schema as listed; undefined where it was too long to keep. */
  constructor(text: string | undefined) {
    this.#text = text;
  }

  check(value: unknown): SchemaVerdict {
    const compiled = (this.#compiled ??= compile(this.#text));
    if (compiled === 'unchecked') return 'unchecked';
    const nodes = countNodes(value, MAX_PAIRS / compiled.nodes, 0);
    if (nodes * compiled.nodes > MAX_PAIRS) return 'unchecked';
    try {
      return compiled.validator.validate(value).valid ? 'valid' : 'invalid';
    } catch {
      // A keyword of the wrong type: the schema says nothing that could be held against a value.
      return 'unchecked';
    }
  }
}

function compile(text: string | undefined): Compiled | 'unchecked' {
  if (text === undefined) return 'unchecked';
  try {
    const bounded = boundedSchema(JSON.parse(text));
    if (bounded === undefined || typeof bounded.schema === 'boolean') return 'unchecked';
    return { validator: new Validator(bounded.schema, '2020-12'), nodes: bounded.nodes };
  } catch {
    return 'unchecked';
  }
}

/** Stops where there are more than `max`, or they nest too deep: then the answer is above `max`. */
function countNodes(value: unknown, max: number, depth: number): number {
  if (typeof value !== 'object' || value === null) return 1;
  if (depth > MAX_DEPTH) return Number.POSITIVE_INFINITY;
  let nodes = 1;
  for (const inner of Object.values(value)) {
    nodes += countNodes(inner, max - nodes, depth + 1);
    if (nodes > max) return nodes;
  }
  return nodes;
}
