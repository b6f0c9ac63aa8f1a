/** Rule files on disk: the built-in ones and the operator's directories. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config } from '../../schemas/config/v1.ts';
import { loadRules, type LoadedRules, type RuleFile } from '../../detectors/compile/load.ts';
import type { RuleFault } from '../../detectors/compile/rule.ts';

export const sha256Hex = (text: string): string => createHash('sha256').update(text).digest('hex');
export const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

/** Folder of the package: the nearest one upwards that holds detectors/rules (the source tree, or the package around dist). */
function builtinDirectory(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const rules = join(folder, 'detectors', 'rules');
    if (existsSync(join(folder, 'package.json')) && existsSync(rules)) return rules;
    const parent = dirname(folder);
    if (parent === folder) return rules;
    folder = parent;
  }
}

function isRuleFile(name: string): boolean {
  return name.endsWith('.yaml') || name.endsWith('.yml');
}

/** Reads a file, or all YAML files below a folder, in the order of their names. */
export function readRuleFiles(path: string): RuleFile[] {
  if (statSync(path).isFile()) return [{ path, text: readFileSync(path, 'utf8') }];
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .filter(isRuleFile)
    .toSorted()
    .map((name) => ({ path: join(path, name), text: readFileSync(join(path, name), 'utf8') }));
}

/** The shipped rules; their paths are given from the package root. */
export function readBuiltinRules(): RuleFile[] {
  const folder = builtinDirectory();
  const root = dirname(dirname(folder));
  return readRuleFiles(folder).map((file) => ({ ...file, path: relative(root, file.path) }));
}

/** What a folder or file holds; what cannot be read is a fault of its own, so that it takes nothing else down. */
function readConfigured(path: string): {
  readonly files: readonly RuleFile[];
  readonly faults: readonly RuleFault[];
} {
  try {
    return { files: readRuleFiles(path), faults: [] };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'error';
    const hint = 'mend rules.directories, or the rights of the files';
    return {
      files: [],
      faults: [{ path, line: 1, at: 'rules.directories', message: `cannot be read (${code})`, hint }],
    };
  }
}

/** Rules as the configuration asks for them, with every fault of every file; modes and lists are the operator's. */
export function loadConfiguredRules(rules: Config['rules']): LoadedRules {
  const read = rules.directories.map((directory) => readConfigured(directory));
  const shipped = rules.builtin ? readBuiltinRules().map((file) => ({ ...file, isShipped: true })) : [];
  const files = [...shipped, ...read.flatMap((each) => each.files)];
  const { modes, lists, exceptions } = rules;
  const loaded = loadRules(files, { sha256Hex, modes, lists, exceptions });
  return { rules: loaded.rules, faults: [...read.flatMap((each) => each.faults), ...loaded.faults] };
}
