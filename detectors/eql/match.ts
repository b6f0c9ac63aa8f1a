/** Runs an EQL query over events, as EQL would: for migration, and to compare with our own semantics. */
import { compileCondition } from './compile.ts';
import { orderEvents, type EventFields, type OrderedEvent } from './events.ts';
import { JoinMachine } from './join.ts';
import { keyReader, type KeyReader } from './keys.ts';
import { Absences, holds, type MissingStage } from './missing.ts';
import { parseQuery } from './parse.ts';
import { applyPipes } from './pipes.ts';
import { SequenceMachine, type Completed, type Hit } from './sequence.ts';
import type { Dialect, EventFilter, Expression, Query, SequenceQuery, Term } from './syntax.ts';
import type { EventObject } from './values.ts';

/** Id that stands for an event that is missing, as it should be. */
const MISSING_ID = -1;

export interface MatchOptions extends EventFields {
  /** Undefined: told by the query (`=`, join, fork, single quotes and computed keys are the older dialect's). */
  readonly dialect?: Dialect | undefined;
}

export interface EqlMatch {
  readonly ids: readonly (string | number)[];
}

interface Found extends EqlMatch {
  readonly events: readonly (EventObject | undefined)[];
}

/** Matches in the order in which they complete. Throws EqlError for a query or event that cannot be read. */
export function matchEql(query: string, events: readonly EventObject[], options: MatchOptions): EqlMatch[] {
  const parsed = parseQuery(query);
  const dialect = options.dialect ?? parsed.dialect;
  const ordered = orderEvents(events, options);
  const found = applyPipes(find(parsed, ordered, dialect), parsed.pipes, dialect);
  return found.map(({ ids }) => ({ ids }));
}

function find({ body }: Query, events: readonly OrderedEvent[], dialect: Dialect): Found[] {
  if (body.kind !== 'event') return findSequences(body, events, dialect);
  const fits = compileFilter(body.filter, dialect);
  return events.filter((event) => fits(event)).map(({ id, event }) => ({ ids: [id], events: [event] }));
}

function compileFilter(
  { category, condition }: EventFilter,
  dialect: Dialect,
): (event: OrderedEvent) => boolean {
  const test = compileCondition(condition, dialect);
  return ({ event, categories }) => (category === undefined || categories.includes(category)) && test(event);
}

interface CompiledTerm {
  readonly term: Term;
  /** Keys for which the event fits; none where it does not. */
  readonly keysOf: (event: OrderedEvent) => readonly string[];
}

const NO_KEYS: readonly string[] = [];

function compileTerm(term: Term, by: readonly Expression[], dialect: Dialect): CompiledTerm {
  const fits = compileFilter(term.filter, dialect);
  const keys: KeyReader = keyReader([...by, ...term.by], dialect);
  return { term, keysOf: (event) => (fits(event) ? keys(event.event) : NO_KEYS) };
}

/** Elements of a match in the order of the query: a stage of the machine, or an event that must be missing. */
interface Plan {
  readonly positive: readonly CompiledTerm[];
  readonly missing: readonly (MissingStage & { readonly keysOf: CompiledTerm['keysOf'] })[];
  readonly layout: readonly ('event' | 'missing')[];
  readonly until: CompiledTerm | undefined;
}

function planOf(query: SequenceQuery, dialect: Dialect): Plan {
  const positive: CompiledTerm[] = [];
  const missing: Plan['missing'][number][] = [];
  const layout: Plan['layout'][number][] = [];
  for (const term of query.terms) {
    const compiled = compileTerm(term, query.by, dialect);
    for (let run = 0; run < term.runs; run++) {
      layout.push(term.isMissing ? 'missing' : 'event');
      if (!term.isMissing) positive.push(compiled);
      else
        missing.push({ afterEvent: positive.length - 1, absences: new Absences(), keysOf: compiled.keysOf });
    }
  }
  const until = query.until === undefined ? undefined : compileTerm(query.until, query.by, dialect);
  return { positive, missing, layout, until };
}

function machineOf(
  query: SequenceQuery,
  { positive }: Plan,
): SequenceMachine<OrderedEvent> | JoinMachine<OrderedEvent> {
  const stages = positive.length;
  if (query.kind === 'join') return new JoinMachine(stages);
  const forks = new Set(positive.flatMap(({ term }, stage) => (term.isFork ? [stage] : [])));
  return new SequenceMachine({ stages, maxSpanMs: query.maxSpanMs, forks });
}

function findSequences(query: SequenceQuery, events: readonly OrderedEvent[], dialect: Dialect): Found[] {
  const plan = planOf(query, dialect);
  const machine = machineOf(query, plan);
  const completed: Completed<OrderedEvent>[] = [];
  for (const event of events) {
    for (const { keysOf, absences } of plan.missing) absences.add(keysOf(event), event.moment);
    completed.push(...machine.accept(event, hitsOf(event, plan), plan.until?.keysOf(event) ?? NO_KEYS));
  }
  const options = { stages: plan.missing, events: plan.positive.length, maxSpanMs: query.maxSpanMs ?? 0 };
  return completed
    .filter((one) => plan.missing.length === 0 || holds(one.events, one.key, options))
    .map((one) => foundOf(one.events, plan));
}

function hitsOf(event: OrderedEvent, { positive }: Plan): Hit[] {
  const hits: Hit[] = [];
  // Runs of one event share a term: it is read once.
  let known: { readonly of: CompiledTerm; readonly keys: readonly string[] } | undefined;
  positive.forEach((term, stage) => {
    if (known?.of !== term) known = { of: term, keys: term.keysOf(event) };
    if (known.keys.length > 0) hits.push({ stage, keys: known.keys });
  });
  return hits;
}

function foundOf(events: readonly OrderedEvent[], { layout }: Plan): Found {
  let at = 0;
  const elements = layout.map((kind) => (kind === 'event' ? events[at++] : undefined));
  return {
    ids: elements.map((element) => element?.id ?? MISSING_ID),
    events: elements.map((element) => element?.event),
  };
}
