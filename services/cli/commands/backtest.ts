/** backtest: a rule over what is on record, by the engine that runs live; nothing is published. */
import type { AlertBody } from '../../../schemas/alert/v1.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import { Backtest, settingsOf } from '../../detect/main.ts';
import { loadConfig } from '../../platform/config/load.ts';
import { sha256 } from '../../platform/ledger/crypto.ts';
import type { ApiClient } from '../client.ts';
import { withReader, type CommandContext } from '../command.ts';
import { EXIT, visible } from '../output.ts';
import { Progress } from '../progress.ts';
import { CitedCalls, precisionText, rulePrecision, zLiveAlert, type LiveAlert } from '../precision.ts';
import { chooseRule } from '../rule-choice.ts';
import { exportQuery, storedParts } from '../stored-lines.ts';
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
    const { engineMs } = await feed(context, client, { run, cited, filters: options.filters });
    const finishMs = performance.now();
    const alerts = run.finish();
    return { alerts, live, cited, engineMs: engineMs + performance.now() - finishMs };
  });
  const isCut = context.io.signal.aborted;
  const micros = (ms: number): string => (run.events === 0 ? '0' : ((ms * 1000) / run.events).toFixed(1));
  const told = printAlerts(context, ran);
  context.output.note(
    `${isCut ? 'interrupted: ' : ''}${ran.alerts.length} alerts (${told} of them told live) over ${run.events} events; ` +
      `${micros(ran.engineMs)} us an event, ${micros(performance.now() - startMs)} us with reading`,
  );
  const precision = rulePrecision(ran.alerts, ran.live, ran.cited);
  const totals = { events: run.events, alerts: ran.alerts.length, told, interrupted: isCut };
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

interface Feed {
  readonly run: Backtest;
  readonly cited: CitedCalls;
  readonly filters: Filters;
}

/** Streams the events through the run. An interruption ends it early, with what was read so far in the run. */
async function feed(
  context: CommandContext,
  client: ApiClient,
  { run, cited, filters }: Feed,
): Promise<{ readonly engineMs: number }> {
  const progress = new Progress(context.output, await totalEvents(client, filters));
  let engineMs = 0;
  try {
    for await (const part of storedParts(await client.bytes(`/v1/ledger/export${exportQuery(filters)}`))) {
      if (context.io.signal.aborted) break;
      if (part.type === 'line') cited.see(part.line);
      const startMs = performance.now();
      if (part.type === 'log') run.openLog(part.tenant);
      else run.line(part.line);
      const nowMs = performance.now();
      engineMs += nowMs - startMs;
      progress.at(run.events, nowMs);
    }
  } catch (error) {
    // The signal ends the request too; every other failure is one.
    if (!context.io.signal.aborted) throw error;
  }
  return { engineMs };
}

/** Events that the ledger holds, undefined where a filter leaves some out: the ledger counts by log, not by time. */
async function totalEvents(client: ApiClient, filters: Filters): Promise<number | undefined> {
  if (filters['since'] !== undefined || filters['until'] !== undefined) return undefined;
  const { coverage } = (await client.get('/v1/ledger', { tenant: filters['tenant'] })) as {
    readonly coverage: readonly {
      readonly topic: string;
      readonly entries: Readonly<Record<string, number>>;
    }[];
  };
  return coverage
    .filter(({ topic }) => topic === TOPICS.toolcalls.name)
    .reduce((sum, { entries }) => sum + Object.values(entries).reduce((all, count) => all + count, 0), 0);
}

function alertText(alert: AlertBody, isTold: boolean): string {
  const last = alert.calls.at(-1);
  const chain = alert.calls.map((call) => visible(call.tool ?? call.step, 40)).join(' → ');
  return `${last?.time ?? ''}  ${visible(last?.session ?? '', 60)}  ${chain}  ${isTold ? 'told' : 'not told'}`;
}
