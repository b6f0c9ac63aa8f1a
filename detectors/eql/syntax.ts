/** The syntax tree of an EQL query. */

export type Dialect = 'elasticsearch' | 'endgame';

export type Literal = string | number | boolean | null;
/** One part of a field's path: a name, or a position in a list. */
export type PathPart = string | number;

export type EqualityOperator = '==' | '!=' | '=';
export type OrderOperator = '<' | '<=' | '>' | '>=';
export type ArithmeticOperator = '+' | '-' | '*' | '/' | '%';

/** in, like and regex: a value against a list, any of which may fit. */
export interface ListTest {
  readonly kind: 'list';
  readonly operator: 'in' | 'like' | 'regex' | ':';
  readonly isInsensitive: boolean;
  readonly isNegated: boolean;
  readonly value: Expression;
  readonly items: readonly Expression[];
  readonly at: number;
}

export interface FieldExpression {
  readonly kind: 'field';
  readonly path: readonly PathPart[];
  readonly isOptional: boolean;
  readonly at: number;
}

export interface CallExpression {
  readonly kind: 'call';
  readonly name: string;
  readonly isInsensitive: boolean;
  readonly items: readonly Expression[];
  readonly at: number;
}

export interface CompareExpression {
  readonly kind: 'compare';
  readonly operator: EqualityOperator | OrderOperator;
  readonly left: Expression;
  readonly right: Expression;
  readonly at: number;
}

export type Expression =
  | { readonly kind: 'literal'; readonly value: Literal; readonly at: number }
  | FieldExpression
  | CallExpression
  | CompareExpression
  | ListTest
  | {
      readonly kind: 'arithmetic';
      readonly operator: ArithmeticOperator;
      readonly left: Expression;
      readonly right: Expression;
      readonly at: number;
    }
  | { readonly kind: 'not'; readonly value: Expression; readonly at: number }
  | { readonly kind: 'and' | 'or'; readonly items: readonly Expression[]; readonly at: number };

/** `category where condition`; category undefined = any. */
export interface EventFilter {
  readonly category: string | undefined;
  readonly condition: Expression;
}

export interface Term {
  readonly filter: EventFilter;
  readonly by: readonly Expression[];
  /** `![…]`: no such event may lie there. */
  readonly isMissing: boolean;
  /** `with runs=N`. */
  readonly runs: number;
  /** The older dialect's `fork`: the pending sequence is copied, not moved. */
  readonly isFork: boolean;
  readonly at: number;
}

export interface Pipe {
  readonly name: 'head' | 'tail' | 'filter';
  /** Of head and tail. */
  readonly count: number;
  /** Of filter. */
  readonly condition: Expression | undefined;
}

export interface SequenceQuery {
  readonly kind: 'sequence' | 'join';
  readonly by: readonly Expression[];
  readonly maxSpanMs: number | undefined;
  readonly terms: readonly Term[];
  readonly until: Term | undefined;
}

export interface Query {
  readonly body: SequenceQuery | { readonly kind: 'event'; readonly filter: EventFilter };
  readonly pipes: readonly Pipe[];
  /** What of it only the older dialect has: `=`, join, fork, single quotes, keys that are computed. */
  readonly dialect: Dialect;
}
