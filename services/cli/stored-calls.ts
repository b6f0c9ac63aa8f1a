/** Calls that a rule could hear of, out of the store as columns. */
import { heardSelections } from '../../detectors/engine/cost.ts';
import { columnsFor, zCallLine, type CallLine, type CallRequest } from '../../schemas/event/columns.ts';
import { TriplineError } from '../../schemas/errors.ts';
import { EVENT_KINDS } from '../../schemas/event/v1.ts';
import type { Config } from '../../schemas/config/v1.ts';
import type { CompiledRule } from '../../detectors/compile/rule.ts';
import { fieldsReadBy } from '../../detectors/compile/needs.ts';
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
  const of = heardSelections(rule).flatMap(({ kinds, classes }) => {
    const own = EVENT_KINDS.filter((kind) => (kinds as readonly string[]).includes(kind));
    const wanted = classes === undefined ? null : [...classes];
    return own.length === 0 || wanted?.length === 0 ? [] : [{ kinds: own, classes: wanted }];
  });
  if (of.length === 0) return undefined;
  const columns = columnsFor(fieldsReadBy(rule));
  // A call is told from another by its writer and id where one call may stand for two steps.
  const identity = rule.distinctCalls ? (['stream', 'call_id'] as const) : [];
  const { since, until } = filters;
  return {
    ...(since === undefined ? {} : { since }),
    ...(until === undefined ? {} : { until }),
    of,
    columns: columns === undefined ? [] : [...new Set([...columns, ...identity])],
    lines: columns === undefined,
    mapping: classMappingVersion(classify, sha256).version,
  };
}

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
