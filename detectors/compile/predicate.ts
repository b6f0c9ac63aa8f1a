/** `field|modifier: values` → a test of a call's fields. Text compares without case, as in Sigma, unless `cased` says otherwise. */
import { fieldReader, scalarText, type FieldReader, type FieldSource } from './fields.ts';

export type Operator = 'eq' | 'contains' | 'startswith' | 'endswith' | 'gt' | 'gte' | 'lt' | 'lte' | 'exists';
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

const OPERATORS: ReadonlySet<string> = new Set([
  'contains',
  'startswith',
  'endswith',
  'gt',
  'gte',
  'lt',
  'lte',
  'exists',
]);
export const MODIFIERS: readonly string[] = ['not', 'in', 'not_in', ...OPERATORS, 'cased'];

const fault = (message: string, hint: string): ConditionOutcome => ({ kind: 'fault', message, hint });

interface Draft {
  operator: Operator;
  negated: boolean;
  cased: boolean;
}

function applyModifier(draft: Draft, modifier: string): boolean {
  if (modifier === 'not' || modifier === 'not_in') draft.negated = true;
  else if (modifier === 'cased') draft.cased = true;
  else if (OPERATORS.has(modifier) && draft.operator === 'eq') draft.operator = modifier as Operator;
  else if (modifier !== 'in') return false;
  return true;
}

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

function checkValues(condition: Condition): ConditionOutcome {
  const numeric = ['gt', 'gte', 'lt', 'lte'].includes(condition.operator);
  if (numeric && condition.values.some((value) => typeof value !== 'number')) {
    return fault(
      `${condition.field}|${condition.operator} compares numbers`,
      'write a number without quotes',
    );
  }
  if (condition.operator === 'exists' && condition.values.some((value) => typeof value !== 'boolean')) {
    return fault(`${condition.field}|exists takes true or false`, 'write exists: true');
  }
  for (const value of condition.values) {
    if (
      typeof value === 'string' &&
      value.startsWith('$self.') &&
      fieldReader(value.slice(6)) === undefined
    ) {
      return fault(`${value} names no field`, 'see the table of fields');
    }
  }
  return { kind: 'condition', condition };
}

/** Reads one line of a selection. */
export function parseCondition(
  name: string,
  raw: Scalar | readonly Scalar[],
  lists: ReadonlyMap<string, readonly string[]>,
): ConditionOutcome {
  const [fieldName = '', ...modifiers] = name.split('|');
  if (fieldReader(fieldName) === undefined) {
    return fault(
      `there is no field ${fieldName}`,
      'fields are tool.name, tool.class, args.*, result.*, dest.host, session, agent, …',
    );
  }
  const draft: Draft = { operator: 'eq', negated: false, cased: false };
  for (const modifier of modifiers) {
    if (!applyModifier(draft, modifier)) {
      return fault(
        `modifier ${modifier} is unknown or does not fit here`,
        `modifiers are ${MODIFIERS.join(', ')}`,
      );
    }
  }
  const values = expandLists(Array.isArray(raw) ? (raw as Scalar[]) : [raw as Scalar], lists);
  if (typeof values === 'string') {
    return fault(
      `list ${values} is not defined`,
      'define it under lists of the rule or in rules.lists of the configuration',
    );
  }
  return checkValues({ field: fieldName, ...draft, values });
}

type ValueTest = (value: unknown, source: FieldSource) => boolean;

function textTest(operator: Operator, cased: boolean, wanted: readonly string[]): (text: string) => boolean {
  const fold = (text: string): string => (cased ? text : text.toLowerCase());
  const folded = wanted.map(fold);
  const exact = new Set(folded);
  if (operator === 'contains') return (text) => folded.some((part) => fold(text).includes(part));
  if (operator === 'startswith') return (text) => folded.some((part) => fold(text).startsWith(part));
  if (operator === 'endswith') return (text) => folded.some((part) => fold(text).endsWith(part));
  return (text) => exact.has(fold(text));
}

function numberTest(operator: Operator, limits: readonly Scalar[]): ValueTest {
  const fits = (value: number, limit: number): boolean => {
    if (operator === 'gt') return value > limit;
    if (operator === 'gte') return value >= limit;
    return operator === 'lt' ? value < limit : value <= limit;
  };
  return (value) => typeof value === 'number' && limits.some((limit) => fits(value, Number(limit)));
}

function scalarTest(condition: Condition): ValueTest {
  if (['gt', 'gte', 'lt', 'lte'].includes(condition.operator))
    return numberTest(condition.operator, condition.values);
  const isSelf = (value: Scalar): value is string => typeof value === 'string' && value.startsWith('$self.');
  const fixed = textTest(
    condition.operator,
    condition.cased,
    condition.values.filter((value) => !isSelf(value)).map(String),
  );
  const selves = condition.values.filter(isSelf).map((value) => fieldReader(value.slice(6)) as FieldReader);
  return (value, source) => {
    const text = scalarText(value);
    if (text === null) return false;
    if (fixed(text)) return true;
    return selves.some((reader) => {
      const own = scalarText(reader.read(source));
      return own !== null && textTest(condition.operator, condition.cased, [own])(text);
    });
  };
}

/** Test of a condition. A list in the event: any element. A missing field fits nothing, so it fits every negation. */
export function conditionTest(condition: Condition): Test {
  const reader = fieldReader(condition.field) as FieldReader;
  if (condition.operator === 'exists') {
    const wanted = condition.values[0] !== condition.negated;
    return (source) => ((reader.read(source) ?? null) !== null) === wanted;
  }
  const test = scalarTest(condition);
  return (source) => {
    const value = reader.read(source);
    const fits = Array.isArray(value)
      ? value.slice(0, 256).some((item) => test(item, source))
      : test(value, source);
    return fits !== condition.negated;
  };
}
