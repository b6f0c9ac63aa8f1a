/** Calls that a rule could hear of, out of the store as columns. */
import { heardSelections } from '../../detectors/engine/cost.ts';
import { sieveOf } from '../../detectors/engine/sieve.ts';
import {
  columnOf,
  columnsFor,
  MAX_EQUAL_CHARACTERS,
  MAX_EQUAL_VALUES,
  MAX_EQUALS,
  MAX_SIFTED_SELECTIONS,
  zCallLine,
  type CallEquality,
  type CallLine,
  type CallRequest,
  type CallSelection,
} from '../../schemas/event/columns.ts';
import { TriplineError } from '../../schemas/errors.ts';
import { EVENT_KINDS } from '../../schemas/event/v1.ts';
import type { Config } from '../../schemas/config/v1.ts';
import type { Condition } from '../../detectors/compile/predicate.ts';
import type { CompiledRule, Selection } from '../../detectors/compile/rule.ts';
import { fieldsReadBy } from '../../detectors/compile/needs.ts';
import { CITED_COLUMNS } from '../detect/main.ts';
import { classMappingVersion } from '../evidence/projection.ts';
import { sha256 } from '../platform/ledger/crypto.ts';
import type { ApiClient } from './client.ts';
import type { Filters } from './commands/read.ts';

const PATH = '/v1/ledger/calls';
/** A part holds the calls of 65,536 offsets, each with a few names of at most 256 characters. */
const MAX_LINE_CHARACTERS = 512 * 1024 * 1024;

/** What to ask for; undefined for a rule that hears of alerts only, which are in no table of calls. */
export function requestFor(
  rule: CompiledRule,
  { classify }: Pick<Config, 'classify'>,
  filters: Filters,
): CallRequest | undefined {
  const { of, numbers } = selectionsOf(rule);
  if (of.length === 0) return undefined;
  const columns = columnsFor(fieldsReadBy(rule));
  const { since, until } = filters;
  const common = {
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
    of,
    mapping: classMappingVersion(classify, sha256).version,
  };
  if (columns === undefined) return { ...common, columns: [], lines: true };
  const sieve = sieveOf(rule, ({ name }) => numbers.get(name) ?? -1);
  if (sieve !== null && of.length <= MAX_SIFTED_SELECTIONS) {
    // Few are left: all that an alert cites comes with them.
    const all = [...new Set([...columns, ...CITED_COLUMNS])];
    return { ...common, columns: all, lines: false, sieve: { ...sieve, steps: [...sieve.steps] } };
  }
  // A call is told from another by its writer and id where one call may stand for two steps.
  const identity = rule.distinctCalls ? (['stream', 'call_id'] as const) : [];
  return { ...common, columns: [...new Set([...columns, ...identity])], lines: false };
}

/** What to ask for by selection, and the position of each by its name. */
function selectionsOf(rule: CompiledRule): {
  readonly of: CallSelection[];
  readonly numbers: ReadonlyMap<string, number>;
} {
  const of: CallSelection[] = [];
  const numbers = new Map<string, number>();
  let characters = 0;
  for (const selection of heardSelections(rule)) {
    const asked = askedOf(selection, MAX_CHARACTERS - characters);
    if (asked === undefined) continue;
    characters += charactersOf(asked.equals ?? []);
    numbers.set(selection.name, of.push(asked) - 1);
  }
  return { of, numbers };
}

/** Of all values of a request: to a server they travel in the URL. */
const MAX_CHARACTERS = 16_384;

const charactersOf = (equals: readonly CallEquality[]): number =>
  equals.reduce((sum, { values }) => sum + values.join('').length, 0);

/** Undefined where no event fits it. Equalities whose values are too long are left to the rule itself. */
function askedOf(selection: Selection, maxCharacters: number): CallSelection | undefined {
  const { kinds, classes } = selection;
  const own = EVENT_KINDS.filter((kind) => (kinds as readonly string[]).includes(kind));
  if (own.length === 0 || classes?.length === 0) return undefined;
  const all = equalitiesOf(selection);
  const equals = charactersOf(all) > maxCharacters ? [] : all;
  return {
    kinds: own,
    classes: classes === undefined ? null : [...classes],
    ...(equals.length === 0 ? {} : { equals }),
  };
}

/** Equalities that a table judges as the rule does; what else the selection asks, the rule itself finds out. */
function equalitiesOf({ maps }: Selection): CallEquality[] {
  const [conditions, ...others] = maps;
  if (conditions === undefined || others.length > 0) return [];
  return conditions.flatMap((condition) => equalityOf(condition) ?? []).slice(0, MAX_EQUALS);
}

function equalityOf({ field, operator, negated, cased, values }: Condition): CallEquality | undefined {
  const column = columnOf(field);
  if (column === undefined || operator !== 'eq' || negated) return undefined;
  if (values.length === 0 || values.length > MAX_EQUAL_VALUES) return undefined;
  const texts = values.flatMap((value) => (typeof value === 'string' ? [value] : []));
  if (texts.length < values.length || !texts.every(isPlain)) return undefined;
  return { column, cased, values: cased ? texts : texts.map((text) => text.toLowerCase()) };
}

/** Printable ASCII, no reference to another field of the event. */
const isPlain = (text: string): boolean =>
  /^[\x20-\x7e]+$/.test(text) && text.length <= MAX_EQUAL_CHARACTERS && !text.startsWith('$self.');

/** Throws export_invalid for what is no such answer, and for one that is cut off. */
export async function* storedCalls(
  client: ApiClient,
  tenant: string | undefined,
  request: CallRequest,
): AsyncGenerator<CallLine> {
  const path = tenant === undefined ? PATH : `${PATH}?${new URLSearchParams({ tenant }).toString()}`;
  let last: CallLine | undefined;
  for await (const text of linesOf(await client.bytes(path, request))) {
    last = lineOf(text);
    yield last;
  }
  const isWhole = last?.type === 'end' || (last?.type === 'header' && last.refused !== null);
  if (!isWhole) throw new TriplineError('export_invalid', 'the answer is cut off');
}

function lineOf(text: string): CallLine {
  try {
    const parsed = zCallLine.safeParse(JSON.parse(text));
    if (parsed.success) return parsed.data;
  } catch {
    // Below.
  }
  throw new TriplineError('export_invalid', 'the answer holds no calls');
}

async function* linesOf(source: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let parts: string[] = [];
  let held = 0;
  for await (const chunk of source) {
    const text = decoder.decode(chunk, { stream: true });
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
      parts.push(text.slice(start, end));
      yield parts.join('');
      parts = [];
      held = 0;
      start = end + 1;
    }
    parts.push(text.slice(start));
    held += text.length - start;
    if (held > MAX_LINE_CHARACTERS) throw new TriplineError('export_invalid', 'a line is too long');
  }
}
