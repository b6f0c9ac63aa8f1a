/** backtest: a rule over what is on record, by the engine that runs live; nothing is published. */
import type { AlertBody } from '../../../schemas/alert/v1.ts';
import { Backtest, settingsOf } from '../../detect/main.ts';
import { loadConfig } from '../../platform/config/load.ts';
import { sha256 } from '../../platform/ledger/crypto.ts';
import { withReader, type CommandContext } from '../command.ts';
import { visible } from '../output.ts';
import { chooseRule } from '../rule-choice.ts';
import { exportQuery, storedParts } from '../stored-lines.ts';
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
  const rule = chooseRule(options.rule, config);
  const run = new Backtest(settingsOf(config, [{ ...rule, mode: 'alert' }], 1), sha256);
  const started = performance.now();
  const { alerts, told } = await withReader(context, async (client) => {
    await feed(context, run, await client.bytes(`/v1/ledger/export${exportQuery(options.filters)}`));
    const known = new Set<unknown>();
    for await (const item of client.items('/v1/alerts', { rule: rule.id }, 100_000))
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

async function feed(
  context: CommandContext,
  run: Backtest,
  source: AsyncIterable<Uint8Array>,
): Promise<void> {
  let noted = 0;
  for await (const part of storedParts(source)) {
    if (part.type === 'log') run.openLog(part.tenant);
    else run.line(part.line);
    if (run.events - noted < PROGRESS_EVERY_EVENTS) continue;
    noted = run.events;
    context.output.note(`read ${noted} events`);
  }
}

function alertText(alert: AlertBody, told: ReadonlySet<unknown>): string {
  const last = alert.calls.at(-1);
  const chain = alert.calls.map((call) => visible(call.tool ?? call.step, 40)).join(' → ');
  return `${last?.time ?? ''}  ${visible(last?.session ?? '', 60)}  ${chain}  ${told.has(alert.id) ? 'told' : 'not told'}`;
}
