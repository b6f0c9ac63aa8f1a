/** rules explain: why a rule fired over some events, or how far it came and what it waits for. */
import { explainRule } from '../../../detectors/engine/explain.ts';
import { arrivalsOf, type Arrival } from '../../../detectors/engine/arrivals.ts';
import { parseTimeMs } from '../../../detectors/engine/time.ts';
import { TriplineError } from '../../../schemas/errors.ts';
import { readEventLine } from '../../../schemas/event/read.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import { loadConfig } from '../../platform/config/load.ts';
import { withReader, type CommandContext } from '../command.ts';
import { readEvents } from '../event-file.ts';
import { explanationText } from '../explanation-text.ts';
import { chooseRule } from '../rule-choice.ts';
import { exportQuery, storedParts, type StoredPart } from '../stored-lines.ts';

export interface ExplainCommand {
  /** Rule file, or id of a shipped rule. */
  readonly rule: string;
  readonly events: string | undefined;
  readonly session: string | undefined;
  readonly tenant: string | undefined;
  readonly config: string | undefined;
}

/** Prints the explanation; one object with --json. */
export async function explain(context: CommandContext, command: ExplainCommand): Promise<void> {
  if ((command.events === undefined) === (command.session === undefined))
    throw new TriplineError('usage', 'rules explain takes one of --events FILE and --session ID', {
      path: '--events',
    });
  const file = command.config ?? context.io.env['TRIPLINE_CONFIG'];
  const config = loadConfig({ file, env: context.io.env });
  const rule = chooseRule(command.rule, config);
  const arrivals =
    command.events === undefined
      ? await storedArrivals(context, command)
      : arrivalsOf(readEvents(command.events));
  if (rule.scope === 'tenant' && command.session !== undefined)
    context.output.note('this rule joins sessions (scope tenant): only the calls of this one were read');
  if ([...rule.selections.values()].some(({ kinds }) => kinds.includes('alert')))
    context.output.note('this rule reads alerts of other rules: none are made here');
  const { mappings, internalHosts, labels: labelMapping } = config.classify;
  const explanation = explainRule(rule, arrivals, {
    lateWaitMs: config.detect.lateWaitMs,
    surroundings: { mappings, internalHosts, labelMapping },
  });
  context.output.item(explanation, () => explanationText(explanation));
}

/** The session as it is on record: bytes, places and append times of the live run. */
async function storedArrivals(
  context: CommandContext,
  { session, tenant }: ExplainCommand,
): Promise<Arrival[]> {
  const arrivals = await withReader(context, async (client) => {
    const found: Arrival[] = [];
    const bundle = await client.bytes(`/v1/ledger/export${exportQuery({ session, tenant })}`);
    for await (const part of storedParts(bundle)) found.push(...arrivalOf(part));
    return found;
  });
  if (arrivals.length === 0)
    throw new TriplineError('not_found', `no event of session ${session ?? ''} is on record`, {
      path: '--session',
    });
  return arrivals;
}

function arrivalOf(part: StoredPart): Arrival[] {
  if (part.type === 'log') return [];
  const read = readEventLine(part.line.bytes);
  // What cannot be read detection leaves out too.
  if (read.kind !== 'event') return [];
  const { partition, offset, line, appendMs } = part.line;
  const at = { tenant: part.tenant, topic: TOPICS.toolcalls.name, partition, offset, line };
  return [{ event: read.event, timeMs: parseTimeMs(read.event.time), appendMs, at }];
}
