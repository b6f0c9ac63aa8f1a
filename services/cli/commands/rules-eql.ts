/** rules match --eql, rules import --eql: EQL queries on the command line, for those who come from there. */
import { readFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { EqlError } from '../../../detectors/eql/error.ts';
import { importEql } from '../../../detectors/eql/import.ts';
import { matchEql } from '../../../detectors/eql/match.ts';
import { TriplineError } from '../../../schemas/errors.ts';
import type { CommandContext } from '../command.ts';
import { EXIT, visible } from '../output.ts';

type EventObject = Readonly<Record<string, unknown>>;

export interface MatchEqlOptions {
  readonly query: string;
  readonly eventsFile: string;
  readonly idField: string;
  readonly categoryField: string;
  readonly timestampField: string;
  readonly tiebreaker: string | undefined;
  readonly dialect: 'auto' | 'elasticsearch' | 'endgame';
}

/** Runs an EQL query over a file of events, as EQL would; prints `{"ids":[…]}` a match. */
export async function matchEqlQuery(context: CommandContext, options: MatchEqlOptions): Promise<void> {
  const events = readObjects(options.eventsFile);
  const matches = withUsage(options.query, () =>
    matchEql(options.query, events, {
      id: options.idField,
      category: options.categoryField,
      timestamp: options.timestampField,
      tiebreaker: options.tiebreaker,
      dialect: options.dialect === 'auto' ? undefined : options.dialect,
    }),
  );
  for (const { ids } of matches)
    context.output.item({ ids }, () => ids.map((id) => visible(String(id))).join(' → '));
}

export interface ImportEqlOptions {
  readonly query: string | undefined;
  readonly file: string | undefined;
  readonly id: string;
}

/** Prints an EQL sequence as a rule of ours; exit 1, with every reason on stderr, when it cannot be one. */
export async function importEqlQuery(context: CommandContext, options: ImportEqlOptions): Promise<number> {
  const query = options.query ?? readText(options.file ?? '', '--eql-file');
  const outcome = withUsage(query, () => importEql(query, { id: options.id }));
  const { output } = context;
  if (outcome.kind === 'refused') {
    for (const refusal of outcome.refusals) {
      if (output.json) output.item({ refusal }, () => '');
      else output.note(`REFUSED ${visible(refusal.what)}: ${visible(refusal.why, 400)}`);
    }
    return EXIT.failed;
  }
  for (const note of outcome.notes) output.note(`note: ${note}`);
  // Long lines stay lines: a folded pattern is hard to compare with its source.
  const yaml = (): string =>
    stringify(outcome.rule, { lineWidth: 0, aliasDuplicateObjects: false }).trimEnd();
  output.item({ rule: outcome.rule }, yaml);
  return EXIT.done;
}

/** What is wrong with a query is a mistake in the call, told with line and column. */
function withUsage<T>(query: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof EqlError)) throw error;
    const lines = query.slice(0, error.at).split('\n');
    const place = `line ${lines.length}, column ${(lines.at(-1) ?? '').length + 1}`;
    throw new TriplineError('usage', `--eql, ${place}: ${error.message}`, { path: '--eql', cause: error });
  }
}

function readText(file: string, option: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new TriplineError('usage', `${file} cannot be read`, { path: option, cause });
  }
}

/** A JSON array of objects, or one object a line. */
function readObjects(file: string): EventObject[] {
  const text = readText(file, '--events');
  if (text.trimStart().startsWith('[')) {
    const list: unknown = parse(text, file);
    if (!Array.isArray(list)) throw new TriplineError('usage', `${file} holds no list`, { path: '--events' });
    return list.map((item, index) => asObject(item, `${file}[${index}]`));
  }
  return text
    .split('\n')
    .map((line, index) => ({ line, place: `${file}:${index + 1}` }))
    .filter(({ line }) => line.trim() !== '')
    .map(({ line, place }) => asObject(parse(line, place), place));
}

function parse(text: string, place: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new TriplineError('usage', `${place} is no JSON`, { path: '--events', cause });
  }
}

function asObject(value: unknown, place: string): EventObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new TriplineError('usage', `${place} is no object`, { path: '--events' });
  return value as EventObject;
}
