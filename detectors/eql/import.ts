/**
 * EQL sequence → a rule of ours (the YAML of schemas/rule/v1.ts). The rule means what our rules mean: it finds every chain that the
 * query finds, and those that EQL's method loses; where intervals differ, a note says so.
 */
import { zRule } from '../../schemas/rule/v1.ts';
import { convertCondition } from './import-condition.ts';
import { knownCategories, mapCategory, mapField } from './import-fields.ts';
import { allOfThem, oneLine, type Alternative, type Scalar } from './import-lines.ts';
import { ImportRefusal, type Refusal } from './import-refusal.ts';
import { parseQuery } from './parse.ts';
import type { Dialect, Expression, SequenceQuery, Term } from './syntax.ts';

export type ImportOutcome =
  | {
      readonly kind: 'rule';
      /** To be printed as YAML. */
      readonly rule: Readonly<Record<string, unknown>>;
      /** Where the rule does not mean exactly what the query means. */
      readonly notes: readonly string[];
    }
  | { readonly kind: 'refused'; readonly refusals: readonly Refusal[] };

export interface ImportOptions {
  readonly id: string;
  readonly dialect?: Dialect | undefined;
}

/** Throws EqlError for a query that cannot be read. */
export function importEql(query: string, options: ImportOptions): ImportOutcome {
  const { body, pipes, dialect } = parseQuery(query);
  const refusals: Refusal[] = pipes.map(({ name }) => ({
    what: `| ${name}`,
    why: 'a rule runs on a stream, which has no such end: use after_match',
  }));
  if (body.kind !== 'sequence')
    refusals.push({ what: body.kind, why: 'only sequences are imported: write a set as all_of by hand' });
  if (body.kind !== 'sequence' || refusals.length > 0) return { kind: 'refused', refusals };
  return importSequence(body, { ...options, dialect: options.dialect ?? dialect });
}

interface NamedTerm {
  readonly name: string;
  readonly term: Term;
}

function nameTerms({ terms, until }: SequenceQuery): NamedTerm[] {
  const named = terms.map((term, index) => ({
    name: `${term.isMissing ? 'absent' : 'step'}${index + 1}`,
    term,
  }));
  return until === undefined ? named : [...named, { name: 'until', term: until }];
}

function importSequence(
  query: SequenceQuery,
  options: Omit<ImportOptions, 'dialect'> & { readonly dialect: Dialect },
): ImportOutcome {
  const named = nameTerms(query);
  const refusals: Refusal[] = [];
  const part = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof ImportRefusal)) throw error;
      refusals.push(error.refusal);
      return undefined;
    }
  };
  const events = named.map(
    ({ name, term }) => [name, part(() => selectionOf(term, options.dialect))] as const,
  );
  const key = part(() => keyOf(query, named));
  if (query.maxSpanMs === undefined)
    refusals.push({
      what: 'sequence',
      why: 'it has no maxspan, a rule must have within: add with maxspan=…',
    });
  if (query.terms.some((term) => term.isFork))
    refusals.push({
      what: 'fork',
      why: 'it is not needed here: no chain takes another one away; leave it out',
    });
  if (refusals.length > 0) return { kind: 'refused', refusals };
  const rule = {
    id: options.id,
    title: `Imported EQL sequence of ${query.terms.length} events`,
    level: 'medium',
    mode: 'shadow',
    key,
    events: Object.fromEntries(events),
    ...structure(query, named),
  };
  return checked(rule, notesOf(query));
}

function checked(rule: Readonly<Record<string, unknown>>, notes: readonly string[]): ImportOutcome {
  const parsed = zRule.safeParse(rule);
  if (parsed.success) return { kind: 'rule', rule, notes };
  const refusals = parsed.error.issues.map(({ path, message }) => ({
    what: path.map(String).join('.'),
    why: message,
  }));
  return { kind: 'refused', refusals };
}

const isStep = ({ name, term }: NamedTerm): boolean => !term.isMissing && name !== 'until';

/** Where nothing may lie: between the neighbours, or for the time span before the first or after the last step. */
function guardOf(
  event: string,
  [before, after]: readonly [readonly NamedTerm[], readonly NamedTerm[]],
  within: string,
): Readonly<Record<string, unknown>> {
  const left = before.findLast((one) => isStep(one))?.name;
  const right = after.find((one) => isStep(one))?.name;
  if (left === undefined) return { event, before: right, for: within };
  return right === undefined ? { event, after: left, for: within } : { event, between: [left, right] };
}

/** Sequence, window and absences. */
function structure(query: SequenceQuery, named: readonly NamedTerm[]): Readonly<Record<string, unknown>> {
  const steps = named.filter((one) => isStep(one));
  const within = durationText(query.maxSpanMs ?? 0);
  const without = named.flatMap((one, index) =>
    one.term.isMissing ? [guardOf(one.name, [named.slice(0, index), named.slice(index)], within)] : [],
  );
  return {
    sequence: steps.map(({ name, term }) =>
      term.runs === 1 ? name : { event: name, repeat: { min: term.runs, max: term.runs } },
    ),
    within,
    ...(without.length === 0 ? {} : { without }),
    ...(query.until === undefined ? {} : { until: 'until' }),
  };
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const;

/** In the largest unit that leaves no rest. */
function durationText(ms: number): string {
  const whole = Math.ceil(ms);
  const [unit, unitMs] = UNITS.find(([, size]) => whole % size === 0) ?? ['ms', 1];
  return `${whole / unitMs}${unit}`;
}

type Selection = Readonly<Record<string, Scalar | readonly Scalar[]>>;

function selectionOf({ filter }: Term, dialect: Dialect): Selection | readonly Selection[] {
  const { category, condition } = filter;
  const classes = category === undefined ? [] : classesOf(category);
  const inClass = classes.length === 0 ? [] : [oneLine({ key: 'tool.class', values: classes })];
  const alternatives = allOfThem([...inClass, convertCondition(condition, { dialect, negated: false })]);
  if (alternatives.length === 0) throw new ImportRefusal(category ?? 'any', 'its condition can never hold');
  const selections = alternatives.map((one) => selection(one));
  return selections.length === 1 ? (selections[0] as Selection) : selections;
}

function classesOf(category: string): readonly string[] {
  const classes = mapCategory(category);
  if (classes !== undefined) return classes;
  throw new ImportRefusal(
    category,
    `no class of tools is meant by this category: write ${knownCategories().join(', ')}`,
  );
}

function selection(alternative: Alternative): Selection {
  // A selection needs a line: any call has a tool.
  if (alternative.size === 0) return { 'tool.name|exists': true };
  return Object.fromEntries(
    [...alternative].map(([key, values]) => [key, values.length === 1 ? (values[0] as Scalar) : values]),
  );
}

type KeyPart = string | Readonly<Record<string, string>>;

function keyOf(
  query: SequenceQuery,
  named: readonly NamedTerm[],
): KeyPart | Readonly<Record<string, KeyPart>> {
  const own = named[0]?.term.by.length ?? 0;
  const shared: KeyPart[] = query.by.map((key) => keyField(key));
  const perTerm = Array.from({ length: own }, (_, at) => keyPart(named, at));
  const parts = [...shared, ...perTerm];
  if (parts.length === 0) return 'tenant';
  const [only] = parts;
  if (parts.length === 1 && typeof only === 'string') return only;
  return Object.fromEntries(parts.map((part, index) => [`key${index + 1}`, part]));
}

/** The key at this place of every event: one field where all name the same. */
function keyPart(named: readonly NamedTerm[], at: number): KeyPart {
  const fields = named.map(({ name, term }) => [name, keyField(term.by[at] as Expression)] as const);
  const [first] = fields;
  const isSame = fields.every(([, field]) => field === first?.[1]);
  return isSame && first !== undefined ? first[1] : Object.fromEntries(fields);
}

function keyField(key: Expression): string {
  const mapped = mapField(key);
  const name = key.kind === 'field' ? key.path.join('.') : key.kind;
  if (mapped === undefined) throw new ImportRefusal(`by ${name}`, 'there is no such field here to join by');
  return key.kind === 'field' && key.isOptional ? `${mapped.field}?` : mapped.field;
}

function notesOf({ terms, by }: SequenceQuery): string[] {
  const notes = ['the rule finds chains that EQL loses, and is in mode shadow: see detectors/eql/README.md'];
  if (terms[0]?.isMissing === true)
    notes.push(
      'what is missing first is looked for before the first step; EQL counts maxspan back from the last one',
    );
  if (terms.at(-1)?.isMissing === true)
    notes.push(
      'what is missing last is looked for after the last step; EQL counts maxspan from the first one',
    );
  if (by.length === 0 && terms[0]?.by.length === 0)
    notes.push('without by, calls of all sessions join: add a key');
  return notes;
}
