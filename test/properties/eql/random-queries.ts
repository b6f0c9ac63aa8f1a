/** Random streams and sequence queries, and what existence-complete semantics find: every choice of events is tried. */
import fc from 'fast-check';

export interface StreamEvent {
  readonly id: string;
  readonly kind: string;
  readonly time: number;
}

export interface RandomSequence {
  /** Letters of the steps, in order. */
  readonly steps: readonly string[];
  readonly maxSpanMs: number;
  /** Before step n (0 = before the first, steps.length = after the last) no M may lie. */
  readonly missingAt: number | undefined;
  readonly hasUntil: boolean;
}

export const sequences: fc.Arbitrary<RandomSequence> = fc
  .record({
    steps: fc.array(fc.constantFrom('A', 'B', 'C', 'D'), { minLength: 2, maxLength: 4 }),
    maxSpanMs: fc.integer({ min: 3, max: 30 }).map((seconds) => seconds * 1000),
    missing: fc.option(fc.nat(4), { nil: undefined }),
    hasUntil: fc.boolean(),
  })
  .map(({ steps, maxSpanMs, missing, hasUntil }) => ({
    steps,
    maxSpanMs,
    missingAt: missing === undefined ? undefined : missing % (steps.length + 1),
    hasUntil,
  }));

/** Each at a time of its own: EQL reads absences by the ms, which would decide ties otherwise. */
export const streams: fc.Arbitrary<readonly StreamEvent[]> = fc
  .array(
    fc.record({
      kind: fc.constantFrom('A', 'A', 'B', 'B', 'C', 'C', 'D', 'M', 'U'),
      gap: fc.integer({ min: 1, max: 4 }),
    }),
    { minLength: 6, maxLength: 14 },
  )
  .map((items) => {
    let time = 0;
    return items.map(({ kind, gap }) => {
      time += gap * 1000;
      return { id: `${kind}${time / 1000}`, kind, time };
    });
  });

export function queryOf({ steps, maxSpanMs, missingAt, hasUntil }: RandomSequence): string {
  const terms = steps.map((letter) => `[${letter} where true]`);
  if (missingAt !== undefined) terms.splice(missingAt, 0, '![M where true]');
  const until = hasUntil ? ' until [U where true]' : '';
  return `sequence with maxspan=${maxSpanMs / 1000}s ${terms.join(' ')}${until}`;
}

/** Every valid choice of events, one a step. */
export function validChains(sequence: RandomSequence, events: readonly StreamEvent[]): StreamEvent[][] {
  const chains: StreamEvent[][] = [];
  const extend = (chain: readonly StreamEvent[], from: number): void => {
    if (chain.length === sequence.steps.length) {
      if (isValid(sequence, chain, events)) chains.push([...chain]);
      return;
    }
    events.forEach((event, at) => {
      if (at >= from && event.kind === sequence.steps[chain.length]) extend([...chain, event], at + 1);
    });
  };
  extend([], 0);
  return chains;
}

function isValid(
  sequence: RandomSequence,
  chain: readonly StreamEvent[],
  events: readonly StreamEvent[],
): boolean {
  const times = chain.map(({ time }) => time);
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const isClear = (kind: string, [from, to]: readonly [number, number]): boolean =>
    !events.some((event) => event.kind === kind && event.time > from && event.time < to);
  return (
    last - first <= sequence.maxSpanMs &&
    (!sequence.hasUntil || isClear('U', [first, last])) &&
    (sequence.missingAt === undefined || isClear('M', missingInterval(sequence, sequence.missingAt, times)))
  );
}

/** The open intervals of EQL: what is missing at an end lies inside the span of the whole sequence, its ends included. */
function missingInterval(
  { maxSpanMs }: RandomSequence,
  missingAt: number,
  times: readonly number[],
): readonly [number, number] {
  const from = times[missingAt - 1] ?? (times.at(-1) ?? 0) - maxSpanMs - 0.5;
  const to = times[missingAt] ?? (times[0] ?? 0) + maxSpanMs + 0.5;
  return [from, to];
}
