/** head, tail and filter, over the matches of a query. */
import { compileCondition } from './compile.ts';
import { EqlError } from './error.ts';
import type { Dialect, Pipe } from './syntax.ts';
import { readPath, type EventObject, type Value } from './values.ts';

interface Piped {
  /** Events of the match, undefined for a missing one. */
  readonly events: readonly (EventObject | undefined)[];
}

/** Throws EqlError for a filter that cannot be read. */
export function applyPipes<M extends Piped>(
  matches: readonly M[],
  pipes: readonly Pipe[],
  dialect: Dialect,
): M[] {
  let left = [...matches];
  for (const pipe of pipes) left = applyPipe(left, pipe, dialect);
  return left;
}

function applyPipe<M extends Piped>(matches: M[], { name, count, condition }: Pipe, dialect: Dialect): M[] {
  if (name === 'head') return matches.slice(0, count);
  if (name === 'tail') return matches.slice(-count);
  if (condition === undefined) return matches;
  // The condition reads the match as if it were an event with the list `events`; a bare field is one of the first event.
  const test = compileCondition(condition, dialect, (path) => {
    const [base, at, ...rest] = path;
    if (base !== 'events') return (match) => readFrom(match, 0, path);
    if (typeof at !== 'number') throw new EqlError('write events[0].field', condition.at);
    return (match) => readFrom(match, at, rest);
  });
  return matches.filter((match) => test({ events: match.events }));
}

function readFrom(match: EventObject, at: number, path: readonly (string | number)[]): Value {
  return readPath(match, ['events', at, ...path]);
}
