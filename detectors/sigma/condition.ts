/** The `condition` of Sigma: and, or, not, parentheses, `1 of name*`, `all of them`. Names are resolved by the caller. */
import { all, any, not, type Expression } from './boolean.ts';

export type ConditionOutcome<Leaf> =
  | { readonly kind: 'expression'; readonly expression: Expression<Leaf> }
  | { readonly kind: 'fault'; readonly message: string };

export interface Names<Leaf> {
  /** Expression of a name, undefined where there is none. */
  byName(name: string): Expression<Leaf> | undefined;
  /** Expressions of all names that fit `pattern*` or `them`. */
  byPattern(pattern: string): readonly Expression<Leaf>[];
}

const MAX_CONDITION_CHARACTERS = 4_096;
/** Parentheses and nots inside each other: the parser recurses. */
const MAX_DEPTH = 64;
const TOKEN = /\s*([()]|[A-Za-z0-9_*.-]+)/y;

/** A fault on its way out of the parser; parseCondition catches it. */
class ConditionFault extends Error {}

function tokensOf(text: string): string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  const end = text.trimEnd().length;
  while (TOKEN.lastIndex < end) {
    const from = TOKEN.lastIndex;
    const token = TOKEN.exec(text)?.[1];
    if (token === undefined)
      throw new ConditionFault(`cannot be read from ${text.slice(from, from + 20).trim()}`);
    tokens.push(token);
  }
  return tokens;
}

class Parser<Leaf> {
  private readonly tokens: readonly string[];
  private readonly names: Names<Leaf>;
  private at = 0;
  private depth = 0;

  constructor(tokens: readonly string[], names: Names<Leaf>) {
    this.tokens = tokens;
    this.names = names;
  }

  parse(): Expression<Leaf> {
    const expression = this.chain('or');
    const rest = this.tokens[this.at];
    if (rest !== undefined) throw new ConditionFault(`does not go on with ${rest}`);
    return expression;
  }

  /** `not` binds closest, then `and`, then `or`. */
  private chain(operator: 'and' | 'or'): Expression<Leaf> {
    const next = (): Expression<Leaf> => (operator === 'or' ? this.chain('and') : this.unary());
    const parts = [next()];
    while (this.takes(operator)) parts.push(next());
    const [first] = parts;
    if (parts.length === 1 && first !== undefined) return first;
    return operator === 'or' ? any(parts) : all(parts);
  }

  private unary(): Expression<Leaf> {
    this.depth += 1;
    if (this.depth > MAX_DEPTH) throw new ConditionFault(`nests deeper than ${MAX_DEPTH}`);
    const expression = this.takes('not') ? not(this.unary()) : this.primary();
    this.depth -= 1;
    return expression;
  }

  private primary(): Expression<Leaf> {
    if (this.takes('(')) {
      const inner = this.chain('or');
      if (!this.takes(')')) throw new ConditionFault('misses a closing parenthesis');
      return inner;
    }
    const token = this.tokens[this.at];
    this.at += 1;
    if (token === undefined || token === ')') throw new ConditionFault('ends where a name must stand');
    if (this.takes('of')) return this.quantified(token.toLowerCase());
    const found = this.names.byName(token);
    if (found === undefined) throw new ConditionFault(`names ${token}, which is not there`);
    return found;
  }

  private quantified(quantity: string): Expression<Leaf> {
    const pattern = this.tokens[this.at];
    this.at += 1;
    if (pattern === undefined) throw new ConditionFault('misses what to take of');
    const parts = this.names.byPattern(pattern);
    if (parts.length === 0) throw new ConditionFault(`finds nothing for ${pattern}`);
    if (quantity === 'all') return all(parts);
    if (quantity === '1' || quantity === 'any') return any(parts);
    throw new ConditionFault(`knows 1 of and all of, not ${quantity} of`);
  }

  private takes(word: string): boolean {
    if (this.tokens[this.at]?.toLowerCase() !== word) return false;
    this.at += 1;
    return true;
  }
}

/** Parses a condition. Never throws. */
export function parseSigmaCondition<Leaf>(text: string, names: Names<Leaf>): ConditionOutcome<Leaf> {
  if (text.length > MAX_CONDITION_CHARACTERS)
    return { kind: 'fault', message: `is longer than ${MAX_CONDITION_CHARACTERS} characters` };
  if (text.includes('|')) return { kind: 'fault', message: 'aggregates; write a correlation rule instead' };
  try {
    return { kind: 'expression', expression: new Parser(tokensOf(text), names).parse() };
  } catch (error) {
    if (error instanceof ConditionFault) return { kind: 'fault', message: error.message };
    throw error;
  }
}
