/** A YAML document of settings against its schema: strict, every fault told with its place. */
import { readFileSync } from 'node:fs';
import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { TriplineError } from '../../../schemas/errors.ts';

export type Tree = Record<string, unknown>;

/** The mapping in `file`; empty, with faults added, where there is none. */
export function readYaml(file: string, faults: string[]): Tree {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    faults.push(`${file}: cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
    return {};
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, maxAliasCount: 0 } as object);
  for (const error of document.errors)
    faults.push(`${file}:${lines.linePos(error.pos[0]).line}: ${error.message.split('\n')[0] ?? ''}`);
  if (document.errors.length > 0) return {};
  const value: unknown = document.toJS({ maxAliasCount: 0 });
  if (value === null || value === undefined) return {};
  if (typeof value === 'object' && !Array.isArray(value)) return value as Tree;
  faults.push(`${file}: must hold a mapping`);
  return {};
}

/** The tree as its schema reads it, deep-frozen. Throws config_invalid with `faults` and all of its own. */
export function checked<Schema extends z.ZodType>(
  schema: Schema,
  tree: Tree,
  faults: readonly string[],
): z.infer<Schema> {
  const parsed = schema.safeParse(tree);
  const all = parsed.success
    ? faults
    : [...faults, ...parsed.error.issues.flatMap((issue) => describe(issue))];
  if (all.length > 0 || !parsed.success)
    throw new TriplineError('config_invalid', `configuration has faults:\n  ${all.join('\n  ')}`);
  return deepFreeze(parsed.data);
}

function describe(issue: z.core.$ZodIssue): string[] {
  const at = z.core.toDotPath(issue.path);
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => `${at === '' ? key : `${at}.${key}`}: unknown key`);
  return [`${at === '' ? '(root)' : at}: ${issue.message}`];
}

export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const child of Object.values(value)) deepFreeze(child);
  return Object.freeze(value);
}
