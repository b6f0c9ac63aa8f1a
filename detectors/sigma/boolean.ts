/** Boolean expressions in disjunctive normal form: an OR of ANDs of literals, which is what a selection can say. */
export type Expression<Leaf> =
  | { readonly kind: 'leaf'; readonly leaf: Leaf }
  | { readonly kind: 'and' | 'or'; readonly parts: readonly Expression<Leaf>[] }
  | { readonly kind: 'not'; readonly part: Expression<Leaf> };

export interface Literal<Leaf> {
  readonly leaf: Leaf;
  readonly negated: boolean;
}
export type Term<Leaf> = readonly Literal<Leaf>[];

/** Alternatives of a selection (schemas/rule/v1.ts). */
export const MAX_TERMS = 64;
/** Literals of one alternative. */
const MAX_LITERALS = 256;

export const leaf = <Leaf>(value: Leaf): Expression<Leaf> => ({ kind: 'leaf', leaf: value });
export const all = <Leaf>(parts: readonly Expression<Leaf>[]): Expression<Leaf> => ({ kind: 'and', parts });
export const any = <Leaf>(parts: readonly Expression<Leaf>[]): Expression<Leaf> => ({ kind: 'or', parts });
export const not = <Leaf>(part: Expression<Leaf>): Expression<Leaf> => ({ kind: 'not', part });

/** Leaves are compared by identity: one leaf used twice is one literal. */
function join<Leaf>(a: Term<Leaf>, b: Term<Leaf>): Term<Leaf> {
  const added = b.filter((one) => !a.some((two) => two.leaf === one.leaf && two.negated === one.negated));
  return [...a, ...added];
}

/** The terms of an expression, undefined where there would be more than MAX_TERMS on the way. */
export function termsOf<Leaf>(expression: Expression<Leaf>, negated = false): Term<Leaf>[] | undefined {
  switch (expression.kind) {
    case 'leaf':
      return [[{ leaf: expression.leaf, negated }]];
    case 'not':
      return termsOf(expression.part, !negated);
    case 'and':
    case 'or': {
      const isSum = (expression.kind === 'or') !== negated;
      return isSum ? sum(expression.parts, negated) : product(expression.parts, negated);
    }
  }
}

function sum<Leaf>(parts: readonly Expression<Leaf>[], negated: boolean): Term<Leaf>[] | undefined {
  const terms: Term<Leaf>[] = [];
  for (const part of parts) {
    const own = termsOf(part, negated);
    if (own === undefined || terms.length + own.length > MAX_TERMS) return undefined;
    terms.push(...own);
  }
  return terms;
}

function product<Leaf>(parts: readonly Expression<Leaf>[], negated: boolean): Term<Leaf>[] | undefined {
  let terms: Term<Leaf>[] = [[]];
  for (const part of parts) {
    const own = termsOf(part, negated);
    if (own === undefined || terms.length * own.length > MAX_TERMS) return undefined;
    terms = terms.flatMap((term) => own.map((other) => join(term, other)));
    if (terms.some((term) => term.length > MAX_LITERALS)) return undefined;
  }
  return terms;
}
