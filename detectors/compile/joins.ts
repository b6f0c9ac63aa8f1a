/** Comparisons between elements: `join` and `flow` of a rule. */
import type { Compilation, Place } from './compilation.ts';
import { flowField } from './flow-field.ts';
import type { Join, JoinOperator } from './rule.ts';

const JOIN = /^\s*([A-Za-z_]\w*)\.(\S+)\s*(==|!=|<=|>=|<|>)\s*([A-Za-z_]\w*)\.(\S+)\s*$/;

interface Side {
  readonly elements: readonly number[];
  readonly field: string;
}

interface Pair {
  readonly left: Side;
  readonly right: Side;
  readonly operator: JoinOperator;
}

/** By element its joins. In a sequence the later one asks; in a set whichever comes second. */
export function compileJoins(c: Compilation): readonly (readonly Join[])[] {
  const joins = c.elements.map((): Join[] => []);
  const bothWays = c.source.all_of !== undefined;
  for (const { left, right, operator } of [...valueJoins(c), ...flows(c)]) {
    for (const a of left.elements) {
      for (const b of right.elements) {
        if (b > a || bothWays) {
          joins[b]?.push({
            other: a,
            otherField: left.field,
            operator,
            ownField: right.field,
            swapped: false,
          });
        }
        if (a > b || bothWays) {
          joins[a]?.push({
            other: b,
            otherField: right.field,
            operator,
            ownField: left.field,
            swapped: true,
          });
        }
      }
    }
  }
  return joins;
}

function valueJoins(c: Compilation): Pair[] {
  return c.source.join.flatMap((text, index) => {
    const at = ['join', index];
    const parts = JOIN.exec(text);
    if (parts === null) {
      c.fault(at, `${text} is no join`, 'write step.field == other.field; operators are == != < <= > >=');
      return [];
    }
    const [, leftStep = '', leftField = '', operator = '==', rightStep = '', rightField = ''] = parts;
    const left = { elements: c.elementsOf(leftStep, at), field: c.field(leftField, at) };
    const right = { elements: c.elementsOf(rightStep, at), field: c.field(rightField, at) };
    if (leftStep === rightStep) c.fault(at, 'joins a step with itself', 'name two different steps');
    return [{ left, right, operator: operator as JoinOperator }];
  });
}

/** `step.field` in its two parts. */
export function splitPlace(text: string): readonly [step: string, field: string] {
  const dot = text.indexOf('.');
  return dot < 0 ? [text, ''] : [text.slice(0, dot), text.slice(dot + 1)];
}

function flows(c: Compilation): Pair[] {
  return c.source.flow.flatMap((flow, index) => {
    const at = ['flow', index];
    if (c.source.all_of !== undefined) {
      c.fault(at, 'a set has no order for a value to flow in', 'write a sequence');
    }
    const side = (end: 'from' | 'to'): Side => {
      const [step, field] = splitPlace(flow[end]);
      const elements = c.elementsOf(step, [...at, end]);
      return { elements, field: valueField(c, flow, { end, field: c.field(field, [...at, end]) }) };
    };
    const left = side('from');
    const right = side('to');
    if (Math.min(...right.elements) <= Math.max(...left.elements)) {
      c.fault(at, `${flow.from} does not come before ${flow.to}`, 'swap the two ends');
    }
    return [{ left, right, operator: 'flows' as const }];
  });
}

function valueField(
  c: Compilation,
  flow: Compilation['source']['flow'][number],
  place: { readonly end: 'from' | 'to'; readonly field: string },
): string {
  const made = flowField(
    {
      side: place.end === 'from' ? 'source' : 'sink',
      field: place.field,
      via: flow.via,
      minEntropy: flow.min_entropy,
    },
    c.options.sha256Hex,
  );
  if (made.kind === 'field') return made.name;
  const at: Place = ['flow', c.source.flow.indexOf(flow), 'via'];
  c.fault(at, made.message, made.hint);
  return place.field;
}
