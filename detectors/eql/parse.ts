/** EQL query → syntax tree. Throws EqlError and nothing else. */
import { Cursor } from './cursor.ts';
import { EqlError } from './error.ts';
import { parseCondition, parseValue } from './parse-expression.ts';
import type { EventFilter, Expression, Pipe, Query, SequenceQuery, Term } from './syntax.ts';
import { tokenize } from './tokens.ts';

const MAX_STAGES = 256;
const MAX_RUNS = 100;
const MAX_KEYS = 16;
const MAX_SPAN_MS = 100 * 365 * 86_400_000;

const UNITS_MS: readonly (readonly [names: readonly string[], ms: number])[] = [
  [['ms'], 1],
  [['s', 'sec', 'secs', 'second', 'seconds'], 1000],
  [['m', 'min', 'mins', 'minute', 'minutes'], 60_000],
  [['h', 'hour', 'hours'], 3_600_000],
  [['d', 'day', 'days'], 86_400_000],
];

export function parseQuery(text: string): Query {
  const cursor = new Cursor(tokenize(text));
  const body = parseBody(cursor);
  const pipes: Pipe[] = [];
  while (cursor.accept('|')) pipes.push(parsePipe(cursor));
  if (cursor.next.kind !== 'end') throw cursor.fault('the end is expected');
  return { body, pipes, dialect: cursor.isEndgame ? 'endgame' : 'elasticsearch' };
}

function parseBody(cursor: Cursor): Query['body'] {
  const isOpen = cursor.peek(1).text !== 'where';
  if (cursor.at('sample') && isOpen) throw cursor.fault('samples are not supported: sequence is expected');
  if (cursor.at('join') && isOpen) {
    cursor.isEndgame = true;
    return parseSequence(cursor, 'join');
  }
  if (cursor.at('sequence') && isOpen) return parseSequence(cursor, 'sequence');
  return { kind: 'event', filter: parseFilter(cursor) };
}

function parseFilter(cursor: Cursor): EventFilter {
  const { kind, text } = cursor.next;
  if (kind !== 'name' && kind !== 'string' && kind !== 'quoted_name')
    throw cursor.fault('a category is expected');
  cursor.take();
  cursor.expect('where');
  return {
    category: kind === 'name' && text === 'any' ? undefined : text,
    condition: parseCondition(cursor),
  };
}

function parseSequence(cursor: Cursor, kind: SequenceQuery['kind']): SequenceQuery {
  const { at } = cursor.take();
  let by: readonly Expression[] = [];
  let maxSpanMs: number | undefined;
  while (cursor.at('by') || cursor.at('with')) {
    if (cursor.accept('by')) by = parseKeys(cursor);
    else maxSpanMs = parseMaxSpan(cursor);
  }
  const terms: Term[] = [];
  while (cursor.at('[') || cursor.at('!')) terms.push(parseTerm(cursor));
  const until = cursor.accept('until') ? parseTerm(cursor) : undefined;
  const query = { kind, by, maxSpanMs, terms, until };
  checkSequence(query, at);
  return query;
}

function checkSequence(query: SequenceQuery, at: number): void {
  const { kind, terms } = query;
  const stages = terms.reduce((sum, term) => sum + term.runs, 0);
  if (stages < 2) throw new EqlError(`a ${kind} needs two events or more`, at);
  if (stages > MAX_STAGES) throw new EqlError(`a ${kind} has at most ${MAX_STAGES} events`, at);
  if (terms.every((term) => term.isMissing)) throw new EqlError('one event at least must be there', at);
  checkKeys(query, at);
  checkMissing(query);
}

function checkKeys({ by, terms, until }: SequenceQuery, at: number): void {
  const all = until === undefined ? terms : [...terms, until];
  const keys = terms[0]?.by.length ?? 0;
  const odd = all.find((term) => term.by.length !== keys);
  if (odd !== undefined) throw new EqlError('every event needs as many keys (by) as the others', odd.at);
  if (by.length + keys > MAX_KEYS) throw new EqlError(`at most ${MAX_KEYS} keys`, at);
}

function checkMissing({ kind, maxSpanMs, terms, until }: SequenceQuery): void {
  if (until?.isMissing === true) throw new EqlError('until takes an event that is there', until.at);
  const absent = terms.find((term) => term.isMissing);
  if (absent === undefined) return;
  if (kind === 'join') throw new EqlError('a join has no missing events', absent.at);
  if (maxSpanMs === undefined) throw new EqlError('a missing event needs with maxspan', absent.at);
}

function parseKeys(cursor: Cursor): Expression[] {
  return cursor.list(() => {
    const key = parseValue(cursor);
    if (key.kind !== 'field') cursor.isEndgame = true;
    return key;
  });
}

function parseMaxSpan(cursor: Cursor): number {
  cursor.expect('with');
  cursor.expect('maxspan');
  cursor.expect('=');
  const { kind, text, at } = cursor.next;
  if (kind !== 'number') throw cursor.fault('a time span is expected');
  cursor.take();
  const unit = cursor.next.kind === 'name' ? cursor.take().text : '';
  const unitMs = UNITS_MS.find(([names]) => names.includes(unit))?.[1];
  if (unitMs === undefined) throw new EqlError('a time span has a unit: ms, s, m, h or d', at);
  const spanMs = Number(text) * unitMs;
  if (spanMs <= 0 || spanMs > MAX_SPAN_MS)
    throw new EqlError('a time span is longer than 0, up to 100 years', at);
  return spanMs;
}

function parseTerm(cursor: Cursor): Term {
  const { at } = cursor.next;
  const isMissing = cursor.accept('!');
  cursor.expect('[');
  const filter = parseFilter(cursor);
  cursor.expect(']');
  let term: Term = { filter, by: [], isMissing, runs: 1, isFork: false, at };
  for (;;) {
    if (cursor.accept('by')) term = { ...term, by: parseKeys(cursor) };
    else if (cursor.accept('with')) term = { ...term, runs: parseRuns(cursor) };
    else if (cursor.at('fork')) term = { ...term, isFork: parseFork(cursor) };
    else break;
  }
  if (isMissing && term.runs > 1) throw new EqlError('a missing event has no runs', at);
  return term;
}

function parseRuns(cursor: Cursor): number {
  cursor.expect('runs');
  cursor.expect('=');
  const { kind, text, at } = cursor.take();
  const runs = kind === 'number' ? Number(text) : Number.NaN;
  if (!Number.isInteger(runs) || runs < 1 || runs > MAX_RUNS)
    throw new EqlError(`runs is a whole number from 1 to ${MAX_RUNS}`, at);
  return runs;
}

function parseFork(cursor: Cursor): boolean {
  cursor.isEndgame = true;
  cursor.expect('fork');
  if (!cursor.accept('=')) return true;
  const { text, at } = cursor.take();
  if (!['true', 'false', '0', '1'].includes(text)) throw new EqlError('fork is true or false', at);
  return text === 'true' || text === '1';
}

function parsePipe(cursor: Cursor): Pipe {
  const { text: name, at } = cursor.next;
  if (name === 'filter') {
    cursor.isEndgame = true;
    cursor.take();
    return { name, count: 0, condition: parseCondition(cursor) };
  }
  if (name !== 'head' && name !== 'tail')
    throw new EqlError(`the pipe ${JSON.stringify(name)} is not supported: head, tail and filter are`, at);
  cursor.take();
  if (cursor.next.kind !== 'number') throw cursor.fault('a number is expected');
  const count = Number(cursor.take().text);
  if (!Number.isInteger(count) || count < 1 || count > 1e9)
    throw new EqlError('a whole number above 0 is expected', at);
  return { name, count, condition: undefined };
}
