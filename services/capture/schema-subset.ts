/**
 * A copy of an output schema that can be evaluated in bounded time, or none. The server writes the schema and the value:
 * a pattern can take exponential time, references can double a schema at every level, and both run inside a host. What
 * is not on the list below, or too large, is left unchecked instead of half checked. JSON Schema 2020-12.
 */
export type Schema = Readonly<Record<string, unknown>> | boolean;

const MAX_NODES = 2_000;
const MAX_DEPTH = 32;

/** Say nothing about a value here; `format` is an annotation by default (2020-12 §7.2.1). */
const ANNOTATIONS = new Set(
  'title description default examples $schema $comment deprecated readOnly writeOnly format $defs definitions contentMediaType contentEncoding contentSchema'.split(
    ' ',
  ),
);
/** Limits and lists without schemas inside. */
const PLAIN = new Set(
  'type const enum required minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength minItems maxItems minProperties maxProperties dependentRequired minContains maxContains'.split(
    ' ',
  ),
);
const ONE_SCHEMA = new Set('items additionalProperties propertyNames contains not if then else'.split(' '));
const SCHEMA_LISTS = new Set(['allOf', 'anyOf', 'oneOf', 'prefixItems']);
const SCHEMA_MAPS = new Set(['properties', 'dependentSchemas']);

class Unsupported extends Error {}

interface Copying {
  readonly root: unknown;
  nodes: number;
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function spend(copying: Copying, depth: number): void {
  copying.nodes++;
  if (copying.nodes > MAX_NODES || depth > MAX_DEPTH) throw new Unsupported();
}

/** Values inside const and enum count too: each is compared. */
function plainValue(copying: Copying, value: unknown, depth: number): unknown {
  spend(copying, depth);
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) plainValue(copying, inner, depth + 1);
  }
  return value;
}

function schemaMap(copying: Copying, value: unknown, depth: number): unknown {
  if (!isObject(value)) throw new Unsupported();
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => {
      // No own property of this name survives an assignment in the library.
      if (name === '__proto__') throw new Unsupported();
      return [name, copySchema(copying, inner, depth)];
    }),
  );
}

function copyKeyword(copying: Copying, name: string, value: unknown, depth: number): unknown {
  if (PLAIN.has(name)) return plainValue(copying, value, depth);
  if (ONE_SCHEMA.has(name)) return copySchema(copying, value, depth);
  if (SCHEMA_MAPS.has(name)) return schemaMap(copying, value, depth);
  if (SCHEMA_LISTS.has(name) && Array.isArray(value))
    return value.map((inner) => copySchema(copying, inner, depth));
  throw new Unsupported();
}

/** `#` or `#/a/b` inside the schema itself (RFC 6901); nothing else is looked up, least of all over the network. */
function resolve(root: unknown, reference: unknown): unknown {
  if (reference === '#') return root;
  if (typeof reference !== 'string' || !reference.startsWith('#/')) throw new Unsupported();
  let at: unknown = root;
  for (const part of reference.slice(2).split('/')) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (part.includes('%') || typeof at !== 'object' || at === null || !Object.hasOwn(at, name))
      throw new Unsupported();
    at = (at as Record<string, unknown>)[name];
  }
  return at;
}

function copySchema(copying: Copying, schema: unknown, depth: number): Schema {
  spend(copying, depth);
  if (typeof schema === 'boolean') return schema;
  if (!isObject(schema)) throw new Unsupported();
  const copy: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(schema)) {
    if (name === '$ref' || ANNOTATIONS.has(name)) continue;
    copy[name] = copyKeyword(copying, name, value, depth + 1);
  }
  if (schema['$ref'] === undefined) return copy;
  // References become copies: a schema that contains itself runs out of depth.
  const target = copySchema(copying, resolve(copying.root, schema['$ref']), depth + 1);
  return { allOf: [target, copy] };
}

export interface BoundedSchema {
  readonly schema: Schema;
  readonly nodes: number;
}

/** undefined where the schema cannot be checked in bounded time, or is none. */
export function boundedSchema(schema: unknown): BoundedSchema | undefined {
  const copying: Copying = { root: schema, nodes: 0 };
  try {
    return { schema: copySchema(copying, schema, 0), nodes: copying.nodes };
  } catch (error) {
    if (error instanceof Unsupported) return undefined;
    throw error;
  }
}
