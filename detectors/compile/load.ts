/** Rule files → compiled rules and faults with file, line and hint. A bad rule never takes the others down. */
import { LineCounter, parseAllDocuments, isNode, type Document } from 'yaml';
import type { RuleMode } from '../../schemas/alert/v1.ts';
import { zRule, type RuleSource } from '../../schemas/rule/v1.ts';
import { compileOperatorExceptions, compileRule, type CompileOptions } from './compile.ts';
import type { CompiledRule, RuleFault } from './rule.ts';

export interface RuleFile {
  readonly path: string;
  readonly text: string;
  /** Comes with the package: what its tests have tried is taken as it is, and the rules' own tests are left out. */
  readonly isShipped?: boolean;
}

export interface LoadOptions extends CompileOptions {
  /** Operator's modes by rule id. */
  readonly modes?: Readonly<Record<string, RuleMode>>;
  /** Operator's exceptions, each with the id of its rule. */
  readonly exceptions?: readonly (RuleSource['exceptions'][number] & { readonly rule: string })[];
}

export interface LoadedRules {
  readonly rules: readonly CompiledRule[];
  readonly faults: readonly RuleFault[];
}

const MAX_RULE_FILE_CHARACTERS = 1024 * 1024;

interface Place {
  readonly path: string;
  readonly document: Document;
  readonly lines: LineCounter;
}

/** Line of the innermost node on the way to `at` that stands in the text. */
function lineOf(place: Place, at: readonly PropertyKey[]): number {
  for (let length = at.length; length >= 0; length--) {
    const node: unknown = place.document.getIn(at.slice(0, length), true);
    if (isNode(node) && node.range) return place.lines.linePos(node.range[0]).line;
  }
  return 1;
}

function faultAt(place: Place, at: readonly PropertyKey[], message: string, hint: string): RuleFault {
  const text = at.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  return { path: place.path, line: lineOf(place, at), at: text.replace(/^\./, ''), message, hint };
}

function compileDocument(place: Place, options: LoadOptions): LoadedRules {
  if (place.document.errors.length > 0) {
    const faults = place.document.errors.map((error) => ({
      path: place.path,
      line: error.linePos?.[0].line ?? 1,
      at: '',
      message: error.message.split('\n')[0] ?? 'no YAML',
      hint: 'mend the YAML',
    }));
    return { rules: [], faults };
  }
  const parsed = zRule.safeParse(place.document.toJS({ maxAliasCount: 100 }));
  if (!parsed.success) {
    const faults = parsed.error.issues.map((issue) =>
      faultAt(place, issue.path, issue.message, 'see detectors/rules/README.md for the form of a rule'),
    );
    return { rules: [], faults };
  }
  const outcome = compileRule(parsed.data, place.path, options);
  const faults = outcome.faults.map((fault) => faultAt(place, fault.at, fault.message, fault.hint));
  if (outcome.rule === undefined) return { rules: [], faults };
  const more = operatorExceptions(parsed.data, options);
  const rule = {
    ...outcome.rule,
    mode: options.modes?.[outcome.rule.id] ?? outcome.rule.mode,
    exceptions: [...outcome.rule.exceptions, ...more.exceptions],
  };
  return { rules: [rule], faults: [...faults, ...more.faults] };
}

function operatorExceptions(
  source: RuleSource,
  options: LoadOptions,
): { readonly exceptions: CompiledRule['exceptions']; readonly faults: readonly RuleFault[] } {
  const own = (options.exceptions ?? []).filter((exception) => exception.rule === source.id);
  if (own.length === 0) return { exceptions: [], faults: [] };
  const { exceptions, faults } = compileOperatorExceptions(source, own, { ...options, isShipped: false });
  const told = faults.map(({ message, hint }) => ({
    path: 'configuration',
    line: 1,
    at: `rules.exceptions (${source.id})`,
    message,
    hint,
  }));
  return { exceptions, faults: told };
}

/** The rules' own tests are most of a file, and of no use to who only runs it. */
const TESTS = /^tests:.*\n(?:(?:[ #].*|- .*)?(?:\n|$))*/gm;

function loadFile(file: RuleFile, options: LoadOptions): LoadedRules {
  if (file.isShipped !== true) return loadText(file, options);
  const text = file.text.replace(TESTS, '');
  const loaded = loadText({ path: file.path, text }, { ...options, isShipped: true });
  // Somebody changed it: faults are told as of any other file.
  return loaded.faults.length === 0 ? loaded : loadText(file, options);
}

function loadText(file: RuleFile, options: LoadOptions): LoadedRules {
  const whole = (message: string): RuleFault => ({
    path: file.path,
    line: 1,
    at: '',
    message,
    hint: 'split the file',
  });
  if (file.text.length > MAX_RULE_FILE_CHARACTERS) return { rules: [], faults: [whole('longer than 1 MiB')] };
  const lines = new LineCounter();
  const documents = parseAllDocuments(file.text, { lineCounter: lines, uniqueKeys: true });
  if (!Array.isArray(documents) || documents.length === 0)
    return { rules: [], faults: [whole('holds no rule')] };
  const loaded = documents.map((document) => compileDocument({ path: file.path, document, lines }, options));
  return { rules: loaded.flatMap((part) => part.rules), faults: loaded.flatMap((part) => part.faults) };
}

/** Loads files in order; of two rules with one id the first stays and the second is a fault. */
export function loadRules(files: readonly RuleFile[], options: LoadOptions): LoadedRules {
  const rules = new Map<string, CompiledRule>();
  const faults: RuleFault[] = [];
  for (const file of files) {
    const loaded = loadFile(file, options);
    faults.push(...loaded.faults);
    for (const rule of loaded.rules) {
      const first = rules.get(rule.id);
      if (first === undefined) rules.set(rule.id, rule);
      else {
        const message = `rule id ${rule.id} is taken by ${first.path}`;
        faults.push({ path: file.path, line: 1, at: 'id', message, hint: 'give it an id of its own' });
      }
    }
  }
  return { rules: [...rules.values()], faults };
}
