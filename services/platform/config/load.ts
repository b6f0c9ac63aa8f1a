/**
 * Configuration from YAML, environment and command line, in rising precedence. Strict: all faults come in one
 * config_invalid error, unknown keys are faults, the result is deep-frozen and passed in as an argument.
 */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import { LineCounter, parseDocument } from 'yaml';
import { z } from 'zod';
import { zConfig, type Config } from '../../../schemas/config/v1.ts';
import { TriplineError } from '../../../schemas/errors.ts';
import { readEnvironment } from './environment.ts';

export interface ConfigSources {
  /** Path of the YAML file, if any. */
  readonly file?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Command-line settings, strongest. */
  readonly overrides?: readonly { readonly path: readonly string[]; readonly value: unknown }[];
}

type Tree = Record<string, unknown>;

/** The configuration, defaults filled in, `~` expanded, deep-frozen. Throws config_invalid with all faults. */
export function loadConfig(sources: ConfigSources): Config {
  const environment = readEnvironment(sources.env);
  const faults = environment.unknown.map((name) => `${name}: no such environment variable is read`);
  const overrides = [...environment.settings, ...(sources.overrides ?? [])];
  const config = loadDocument(zConfig, { file: sources.file, overrides }, faults);
  return deepFreeze({ ...config, dataDir: expandHome(config.dataDir) });
}

/** A document of any schema from YAML and settings, the later ones stronger. Throws config_invalid with all faults. */
export function loadDocument<Schema extends z.ZodType>(
  schema: Schema,
  sources: Pick<ConfigSources, 'file' | 'overrides'>,
  found: readonly string[] = [],
): z.infer<Schema> {
  const faults = [...found];
  const tree: Tree = sources.file === undefined ? {} : readYaml(sources.file, faults);
  for (const { path, value } of sources.overrides ?? []) assign(tree, path, value);
  const parsed = schema.safeParse(tree);
  if (!parsed.success) faults.push(...parsed.error.issues.flatMap((issue) => describe(issue)));
  if (faults.length > 0 || !parsed.success)
    throw new TriplineError('config_invalid', `configuration has faults:\n  ${faults.join('\n  ')}`);
  return deepFreeze(parsed.data);
}

/** `~/x` → the user's home; made absolute. */
export function expandHome(path: string): string {
  return resolve(path === '~' || path.startsWith('~/') ? homedir() + path.slice(1) : path);
}

function readYaml(file: string, faults: string[]): Tree {
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

function assign(tree: Tree, path: readonly string[], value: unknown): void {
  let at = tree;
  for (const name of path.slice(0, -1)) {
    const next = at[name];
    if (typeof next !== 'object' || next === null) at[name] = {};
    at = at[name] as Tree;
  }
  at[path.at(-1) ?? ''] = value;
}

function describe(issue: z.core.$ZodIssue): string[] {
  const at = z.core.toDotPath(issue.path);
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => `${at === '' ? key : `${at}.${key}`}: unknown key`);
  return [`${at === '' ? '(root)' : at}: ${issue.message}`];
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const child of Object.values(value)) deepFreeze(child);
  return Object.freeze(value);
}
