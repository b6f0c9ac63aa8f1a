/** backtest: a rule over what is on record, by the engine that runs live; nothing is published. */
import type { AlertBody } from '../../../schemas/alert/v1.ts';
import { Backtest, settingsOf } from '../../detect/main.ts';
import { loadConfig } from '../../platform/config/load.ts';
import { sha256 } from '../../platform/ledger/crypto.ts';
import { Feed } from '../backtest-feed.ts';
import type { ApiClient } from '../client.ts';
import { withReader, type CommandContext } from '../command.ts';
import { EXIT, visible } from '../output.ts';
import { CitedCalls, precisionText, rulePrecision, zLiveAlert, type LiveAlert } from '../precision.ts';
import { chooseRule } from '../rule-choice.ts';
import type { Filters } from './read.ts';

export interface BacktestOptions {
  /** Rule file, or id of a shipped rule. */
  readonly rule: string;
  readonly config: string | undefined;
  readonly filters: Filters;
}

/** A run over what is on record, whole or up to where it was interrupted. */
interface Ran {
  readonly alerts: readonly AlertBody[];
  /** What was told live of this rule, by whatever version of it. */
  readonly live: readonly LiveAlert[];
  readonly cited: CitedCalls;
  /** Events in the range, whether the rule could hear of them or not; those that were read where it was interrupted. */
  readonly events: number;
  /** Time spent in the engine, without reading. */
  readonly engineMs: number;
}

/**
 * Prints each would-be alert, `told` where the live run told it too; last a summary, with what dispositions say of this
 * version of the rule. Exit 1 where it was interrupted.
 */
export async function backtest(context: CommandContext, options: BacktestOptions): Promise<number> {
  const file = options.config ?? context.io.env['TRIPLINE_CONFIG'];
  const config = loadConfig({ file, env: context.io.env });
  const rule = chooseRule(options.rule, config);
  const run = new Backtest(settingsOf(config, [{ ...rule, mode: 'alert' }], 1), sha256);
  const startMs = performance.now();
  const ran = await withReader(context, async (client): Promise<Ran> => {
    // Before the events: who interrupts the run still learns which of its alerts were told.
    const live = await liveAlerts(client, rule.id, options.filters);
    const cited = new CitedCalls(live);
    const feed = new Feed(context, client, { run, cited, rule, config, filters: options.filters });
    const events = await feed.all();
    const alerts = await feed.finish();
    return { alerts, live, cited, events, engineMs: feed.engineMs };
  });
  const isCut = context.io.signal.aborted;
  const micros = (ms: number): string => (ran.events === 0 ? '0' : ((ms * 1000) / ran.events).toFixed(1));
  const told = printAlerts(context, ran);
  context.output.note(
    `${isCut ? 'interrupted: ' : ''}${ran.alerts.length} alerts (${told} of them told live) over ${ran.events} events; ` +
      `${micros(ran.engineMs)} us an event, ${micros(performance.now() - startMs)} us with reading`,
  );
  const precision = rulePrecision(ran.alerts, ran.live, ran.cited);
  const totals = { events: ran.events, alerts: ran.alerts.length, told, interrupted: isCut };
  context.output.item({ ...totals, ...precision }, () => precisionText(precision));
  return isCut ? EXIT.failed : EXIT.done;
}

/** Answers how many of them the live run told, under the same id. */
function printAlerts(context: CommandContext, { alerts, live }: Ran): number {
  const told = new Set(live.map(({ id }) => id));
  for (const alert of alerts) {
    const isTold = told.has(alert.id);
    context.output.item({ ...alert, told: isTold }, () => alertText(alert, isTold));
  }
  return alerts.filter(({ id }) => told.has(id)).length;
}

async function liveAlerts(client: ApiClient, rule: string, filters: Filters): Promise<LiveAlert[]> {
  const live: LiveAlert[] = [];
  const query = { rule, tenant: filters['tenant'] };
  for await (const item of client.items('/v1/alerts', query, 100_000)) live.push(zLiveAlert.parse(item));
  return live;
}

function alertText(alert: AlertBody, isTold: boolean): string {
  const last = alert.calls.at(-1);
  const chain = alert.calls.map((call) => visible(call.tool ?? call.step, 40)).join(' → ');
  return `${last?.time ?? ''}  ${visible(last?.session ?? '', 60)}  ${chain}  ${isTold ? 'told' : 'not told'}`;
}
