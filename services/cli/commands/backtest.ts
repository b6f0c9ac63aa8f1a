/** backtest: a rule over what is on record, by the engine that runs live; nothing is published. */
import type { AlertBody } from '../../../schemas/alert/v1.ts';
import { TriplineError } from '../../../schemas/errors.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import { loadRules } from '../../../detectors/compile/load.ts';
import { Backtest, readBuiltinRules, readRuleFiles, settingsOf, sha256Hex } from '../../detect/main.ts';
import { readBundle, type BundleRows } from '../../evidence/bundle.ts';
import { loadConfig } from '../../platform/config/load.ts';
import { sha256 } from '../../platform/ledger/crypto.ts';
import { withReader, type CommandContext } from '../command.ts';
import { visible } from '../output.ts';
import type { Filters } from './read.ts';

const PROGRESS_EVERY_EVENTS = 50_000;

export interface BacktestOptions {
  /** Rule file, or id of a shipped rule. */
  readonly rule: string;
  readonly config: string | undefined;
  readonly filters: Filters;
}

/** Prints each would-be alert, `told` where the live run told it too; last a summary. */
export async function backtest(context: CommandContext, options: BacktestOptions): Promise<void> {
  const config = loadConfig({
    file: options.config ?? context.io.env['TRIPLINE_CONFIG'],
    env: context.io.env,
  });
  const { rules } = loadRules([ruleFile(options.rule)], { sha256Hex, lists: config.rules.lists });
  const chosen = rules.filter((rule) => rules.length === 1 || rule.id === options.rule);
  if (chosen.length === 0)
    throw new TriplineError('rule_invalid', `${options.rule} holds no sound rule; see rules lint`);
  const run = new Backtest(
    settingsOf(
      config,
      chosen.map((rule) => ({ ...rule, mode: 'alert' as const })),
      1,
    ),
    sha256,
  );
  const started = performance.now();
  const { alerts, told } = await withReader(context, async (client) => {
    const query = queryOf(options.filters);
    await feed(context, run, await client.bytes(`/v1/ledger/export${query}`));
    const known = new Set<unknown>();
    for await (const item of client.items('/v1/alerts', { rule: chosen[0]?.id }, 100_000))
      known.add((item as { alertId?: unknown; id?: unknown }).alertId ?? (item as { id?: unknown }).id);
    return { alerts: run.finish(), told: known };
  });
  for (const alert of alerts)
    context.output.item({ ...alert, told: told.has(alert.id) }, () => alertText(alert, told));
  const micros = run.events === 0 ? 0 : ((performance.now() - started) * 1000) / run.events;
  context.output.note(
    `${alerts.length} alerts over ${run.events} events, ${micros.toFixed(1)} us an event with reading`,
  );
}

function ruleFile(name: string): { path: string; text: string } {
  const shipped = readBuiltinRules().find(
    (file) => file.path.includes(`/${name.split('.').at(-1) ?? ''}/`) && file.text.includes(`id: ${name}`),
  );
  if (shipped !== undefined) return shipped;
  try {
    const [file] = readRuleFiles(name);
    if (file !== undefined) return file;
  } catch (cause) {
    throw new TriplineError('usage', `${name} is neither a shipped rule's id nor a file`, {
      path: 'RULE',
      cause,
    });
  }
  throw new TriplineError('usage', `${name} holds no rule file`, { path: 'RULE' });
}

function queryOf(filters: Filters): string {
  const wanted = ['tenant', 'since', 'until'].flatMap((name) => {
    const value = filters[name];
    return value === undefined ? [] : [[name, value] satisfies [string, string]];
  });
  return wanted.length === 0 ? '' : `?${new URLSearchParams(wanted).toString()}`;
}

async function feed(
  context: CommandContext,
  run: Backtest,
  source: AsyncIterable<Uint8Array>,
): Promise<void> {
  let reading = false;
  let noted = 0;
  for await (const part of readBundle(source)) {
    if (part.type === 'log') {
      reading = part.topic === TOPICS.toolcalls.name;
      if (reading) run.openLog(part.tenant);
    } else if (part.type === 'rows' && reading) feedRows(run, part);
    if (run.events - noted < PROGRESS_EVERY_EVENTS) continue;
    noted = run.events;
    context.output.note(`read ${noted} events`);
  }
}

/** Entries that hold no line (gaps) have no payload. */
function feedRows(run: Backtest, { ledger: [entry], payloads: [payload] }: BundleRows): void {
  if (entry === undefined || payload === undefined) return;
  const { partition, offset, line, append_ms: appendMs, stream_id: stream, seq } = entry;
  run.line({ partition, offset, line, appendMs, stream, seq, bytes: Buffer.from(payload.bytes, 'base64') });
}

function alertText(alert: AlertBody, told: ReadonlySet<unknown>): string {
  const last = alert.calls.at(-1);
  const chain = alert.calls.map((call) => visible(call.tool ?? call.step, 40)).join(' → ');
  return `${last?.time ?? ''}  ${visible(last?.session ?? '', 60)}  ${chain}  ${told.has(alert.id) ? 'told' : 'not told'}`;
}
