/** `field|modifier: values` → a test of a call's fields. Text compares without case, as in Sigma, unless `cased` says otherwise. */
import { isInNetworks, parseNetwork } from './cidr.ts';
import { fieldReader, scalarText, type FieldReader, type FieldSource } from './fields.ts';
import { anyPattern, compilePattern } from './pattern.ts';

type TextOperator = 'eq' | 'contains' | 'startswith' | 'endswith' | 're';
type NumberOperator = 'gt' | 'gte' | 'lt' | 'lte';
type BaseOperator = TextOperator | NumberOperator | 'cidr' | 'exists';
/** With `|all` every value must fit, else any. Part of the operator, so that it is part of what is hashed. */
export type Operator = BaseOperator | `${TextOperator}|all`;
export type Scalar = string | number | boolean;

/** One line of a selection, normalised: what is hashed, tested and explained. */
export interface Condition {
  readonly field: string;
  readonly operator: Operator;
  readonly negated: boolean;
  readonly cased: boolean;
  readonly values: readonly Scalar[];
}

export type Test = (source: FieldSource) => boolean;
export type ConditionOutcome =
  | { readonly kind: 'condition'; readonly condition: Condition }
  | { readonly kind: 'fault'; readonly message: string; readonly hint: string };

const TEXT_OPERATORS: ReadonlySet<string> = new Set(['eq', 'contains', 'startswith', 'endswith', 're']);
const NUMBER_OPERATORS: ReadonlySet<string> = new Set(['gt', 'gte', 'lt', 'lte']);
/** Those that a modifier names. */
const OPERATORS: ReadonlySet<string> = new Set([
  ...[...TEXT_OPERATORS].filter((name) => name !== 'eq'),
  'cidr',
  ...NUMBER_OPERATORS,
  'exists',
]);
export const MODIFIERS: readonly string[] = ['not', 'in', 'not_in', ...OPERATORS, 'cased', 'all'];

const fault = (message: string, hint: string): ConditionOutcome => ({ kind: 'fault', message, hint });

interface Draft {
  operator: BaseOperator;
  negated: boolean;
  cased: boolean;
  all: boolean;
}

function applyModifier(draft: Draft, modifier: string): boolean {
  if (modifier === 'not' || modifier === 'not_in') draft.negated = true;
  else if (modifier === 'cased') draft.cased = true;
  else if (modifier === 'all') draft.all = true;
  else if (OPERATORS.has(modifier) && draft.operator === 'eq') draft.operator = modifier as BaseOperator;
  else if (modifier !== 'in') return false;
  return true;
}

/** The operator with `|all`, undefined where that says nothing. */
function operatorOf({ operator, all }: Draft): Operator | undefined {
  if (!all) return operator;
  return TEXT_OPERATORS.has(operator) ? `${operator as TextOperator}|all` : undefined;
}

const baseOf = (operator: Operator): BaseOperator => operator.replace('|all', '') as BaseOperator;
/** Field that `$self.field` names, undefined for every other value. */
const selfField = (value: Scalar): string | undefined =>
  typeof value === 'string' && value.startsWith('$self.') ? value.slice(6) : undefined;

/** Fields of the same event that these values name. */
export const selfFields = (values: readonly Scalar[]): readonly string[] =>
  values.flatMap((value) => selfField(value) ?? []);

/** Values with `$name` lists put in place; the name of a list that nobody defines otherwise. */
function expandLists(
  values: readonly Scalar[],
  lists: ReadonlyMap<string, readonly string[]>,
): Scalar[] | string {
  const expanded: Scalar[] = [];
  for (const value of values) {
    if (typeof value !== 'string' || !value.startsWith('$') || value.startsWith('$self.'))
      expanded.push(value);
    else {
      const list = lists.get(value.slice(1));
      if (list === undefined) return value;
      expanded.push(...list);
    }
  }
  return expanded;
}

type ValueFault = readonly [message: string, hint: string];

/** Why a value does not fit its operator, and what would; undefined when it does. */
function valueFault(
  { operator, cased }: Condition,
  value: Scalar,
  areTried: boolean,
): ValueFault | undefined {
  const base = baseOf(operator);
  if (NUMBER_OPERATORS.has(base) && typeof value !== 'number')
    return ['compares numbers', 'write a number without quotes'];
  if (base === 'exists' && typeof value !== 'boolean') return ['takes true or false', 'write exists: true'];
  if (base === 'cidr') return networkFault(value);
  if (base === 're') return areTried ? undefined : patternFault(value, cased);
  const named = selfField(value);
  if (named === undefined || fieldReader(named) !== undefined) return undefined;
  return [`compares with ${named}, which is no field`, 'see the table of fields'];
}

function networkFault(value: Scalar): ValueFault | undefined {
  if (typeof value === 'string' && parseNetwork(value) !== undefined) return undefined;
  return [`takes networks, ${String(value)} is none`, 'write 10.0.0.0/8 or fd00::/8'];
}

function patternFault(value: Scalar, cased: boolean): ValueFault | undefined {
  const hint = "write a pattern of RE2's syntax: no look-around, no back-references, repeats up to 1000";
  if (typeof value !== 'string') return ['takes patterns', hint];
  const outcome = compilePattern(value, cased);
  return outcome.kind === 'fault' ? [`cannot take ${value}: ${outcome.message}`, hint] : undefined;
}

function checkValues(condition: Condition, areTried: boolean): ConditionOutcome {
  for (const value of condition.values) {
    const [message, hint] = valueFault(condition, value, areTried) ?? [];
    if (message !== undefined && hint !== undefined) {
      const operator = condition.operator === 'eq' ? '' : `|${condition.operator}`;
      return fault(`${condition.field}${operator} ${message}`, hint);
    }
  }
  return { kind: 'condition', condition };
}

/** Reads one line of a selection. `areTried`: its patterns are known to compile, and are not compiled to find out. */
export function parseCondition(
  name: string,
  raw: Scalar | readonly Scalar[],
  lists: ReadonlyMap<string, readonly string[]>,
  areTried = false,
): ConditionOutcome {
  const [fieldName = '', ...modifiers] = name.split('|');
  if (fieldReader(fieldName) === undefined) {
    return fault(
      `there is no field ${fieldName}`,
      'fields are tool.name, tool.class, args.*, result.*, dest.host, session, agent, …',
    );
  }
  const draft: Draft = { operator: 'eq', negated: false, cased: false, all: false };
  for (const modifier of modifiers) {
    if (!applyModifier(draft, modifier)) {
      return fault(
        `modifier ${modifier} is unknown or does not fit here`,
        `modifiers are ${MODIFIERS.join(', ')}`,
      );
    }
  }
  const operator = operatorOf(draft);
  if (operator === undefined)
    return fault(
      `all does not fit ${draft.operator}`,
      'all goes with contains, startswith, endswith, re or alone',
    );
  const values = expandLists(Array.isArray(raw) ? (raw as Scalar[]) : [raw as Scalar], lists);
  if (typeof values === 'string') {
    return fault(
      `list ${values} is not defined`,
      'define it under lists of the rule or in rules.lists of the configuration',
    );
  }
  const { negated, cased } = draft;
  return checkValues({ field: fieldName, operator, negated, cased, values }, areTried);
}

type ValueTest = (value: unknown, source: FieldSource) => boolean;

function textTest(
  operator: BaseOperator,
  cased: boolean,
  wanted: readonly string[],
): (text: string) => boolean {
  if (operator === 're') return anyPattern(wanted, cased);
  const fold = (text: string): string => (cased ? text : text.toLowerCase());
  const folded = wanted.map(fold);
  const exact = new Set(folded);
  if (operator === 'contains') return (text) => folded.some((part) => fold(text).includes(part));
  if (operator === 'startswith') return (text) => folded.some((part) => fold(text).startsWith(part));
  if (operator === 'endswith') return (text) => folded.some((part) => fold(text).endsWith(part));
  return (text) => exact.has(fold(text));
}

function numberTest(operator: BaseOperator, limits: readonly Scalar[]): ValueTest {
  const fits = (value: number, limit: number): boolean => {
    if (operator === 'gt') return value > limit;
    if (operator === 'gte') return value >= limit;
    return operator === 'lt' ? value < limit : value <= limit;
  };
  return (value) => typeof value === 'number' && limits.some((limit) => fits(value, Number(limit)));
}

function networkTest(values: readonly Scalar[]): ValueTest {
  const networks = values.flatMap((value) => {
    const network = parseNetwork(String(value));
    return network === undefined ? [] : [network];
  });
  return (value) => typeof value === 'string' && isInNetworks(value, networks);
}

/** Whether a scalar of the event fits any of the values. */
function scalarTest(operator: BaseOperator, cased: boolean, values: readonly Scalar[]): ValueTest {
  if (NUMBER_OPERATORS.has(operator)) return numberTest(operator, values);
  if (operator === 'cidr') return networkTest(values);
  // What a pattern says is its own: it names no field.
  const named = operator === 're' ? [] : values.flatMap((value) => selfField(value) ?? []);
  const own = operator === 're' ? values : values.filter((value) => selfField(value) === undefined);
  const fixed = textTest(operator, cased, own.map(String));
  const selves = named.map((field) => fieldReader(field) as FieldReader);
  return (value, source) => {
    const text = scalarText(value);
    if (text === null) return false;
    if (fixed(text)) return true;
    return selves.some((reader) => {
      const other = scalarText(reader.read(source));
      return other !== null && textTest(operator, cased, [other])(text);
    });
  };
}

/** Elements of a list in an event that are compared. */
const MAX_ELEMENTS = 256;

function fitsAny(value: unknown, test: ValueTest, source: FieldSource): boolean {
  return Array.isArray(value)
    ? value.slice(0, MAX_ELEMENTS).some((item) => test(item, source))
    : test(value, source);
}

/**
 * Test of a condition. A list in the event: any element; with `all` each value may be fitted by another one. A missing
 * field fits nothing, so it fits every negation.
 */
export function conditionTest(condition: Condition): Test {
  const { operator, negated, cased, values } = condition;
  const reader = fieldReader(condition.field) as FieldReader;
  if (operator === 'exists') {
    const wanted = values[0] !== negated;
    return (source) => ((reader.read(source) ?? null) !== null) === wanted;
  }
  const base = baseOf(operator);
  if (operator === base) {
    const test = scalarTest(base, cased, values);
    return (source) => fitsAny(reader.read(source), test, source) !== negated;
  }
  const tests = values.map((value) => scalarTest(base, cased, [value]));
  return (source) => {
    const value = reader.read(source);
    return tests.every((test) => fitsAny(value, test, source)) !== negated;
  };
}
