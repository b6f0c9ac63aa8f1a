/**
 * Configuration from YAML, environment and command line, in rising precedence. Strict: all faults come in one
 * config_invalid error, unknown keys are faults, the result is deep-frozen and passed in as an argument.
 */
import { homedir } from 'node:os';
import { resolve } from 'node:path';
import { zConfig, type Config } from '../../../schemas/config/v1.ts';
import { checked, deepFreeze, readYaml, type Tree } from './document.ts';
import { readEnvironment } from './environment.ts';

export interface ConfigSources {
  /** Path of the YAML file, if any. */
  readonly file?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Command-line settings, strongest. */
  readonly overrides?: readonly { readonly path: readonly string[]; readonly value: unknown }[];
}

/** The configuration, defaults filled in, `~` expanded, deep-frozen. Throws config_invalid with all faults. */
export function loadConfig(sources: ConfigSources): Config {
  const faults: string[] = [];
  const tree: Tree = sources.file === undefined ? {} : readYaml(sources.file, faults);
  const environment = readEnvironment(sources.env);
  for (const name of environment.unknown) faults.push(`${name}: no such environment variable is read`);
  for (const { path, value } of environment.settings) assign(tree, path, value);
  for (const { path, value } of sources.overrides ?? []) assign(tree, path, value);
  const config = checked(zConfig, tree, faults);
  return deepFreeze({ ...config, dataDir: expandHome(config.dataDir) });
}

/** `~/x` → the user's home; made absolute. */
export function expandHome(path: string): string {
  return resolve(path === '~' || path.startsWith('~/') ? homedir() + path.slice(1) : path);
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
