/** What is on record, streamed through a backtest: as the columns of the calls that its rule could hear of, else whole. */
import type { CompiledRule } from '../../detectors/compile/rule.ts';
import type { AlertBody } from '../../schemas/alert/v1.ts';
import type { Config } from '../../schemas/config/v1.ts';
import { TriplineError } from '../../schemas/errors.ts';
import {
  MAX_CALL_PLACES,
  type CallHeader,
  type CallPart,
  type CallRequest,
} from '../../schemas/event/columns.ts';
import { TOPICS } from '../../schemas/topics.ts';
import { CITED_COLUMNS, type Backtest, type CitedPlace } from '../detect/main.ts';
import { ApiClient } from './client.ts';
import type { CommandContext } from './command.ts';
import type { Filters } from './commands/read.ts';
import type { CitedCalls } from './precision.ts';
import { Progress } from './progress.ts';
import { requestFor, storedCalls } from './stored-calls.ts';
import { exportQuery, storedParts } from './stored-lines.ts';

/** Limit of one request for the rows of cited calls. */
const CITING_MS = 300_000;

interface FeedOptions {
  readonly run: Backtest;
  readonly cited: CitedCalls;
  readonly rule: CompiledRule;
  readonly config: Config;
  readonly filters: Filters;
}

/** Streams what is on record through the run. An interruption ends it early, with what was read so far in the run. */
export class Feed {
  readonly #context: CommandContext;
  readonly #client: ApiClient;
  readonly #options: FeedOptions;
  readonly #request: CallRequest | undefined;
  /** Time spent in the engine, without reading. */
  engineMs = 0;

  constructor(context: CommandContext, client: ApiClient, options: FeedOptions) {
    this.#context = context;
    this.#client = client;
    this.#options = options;
    this.#request = requestFor(options.rule, options.config, options.filters);
  }

  get #isCut(): boolean {
    return this.#context.io.signal.aborted;
  }

  /** Answers over how many events. */
  async all(): Promise<number> {
    const { run } = this.#options;
    try {
      const header = await this.#calls();
      if (header?.refused === null) return this.#isCut ? run.events : header.events;
      if (header !== undefined && header.refused !== null) this.#context.output.note(REFUSED[header.refused]);
      await this.#lines();
    } catch (error) {
      // The signal ends the request too; every other failure is one.
      if (!this.#isCut) throw error;
    }
    return run.events;
  }

  /** By the columns of the calls that the rule could hear of. Undefined where it hears of none. */
  async #calls(): Promise<CallHeader | undefined> {
    const { run, filters } = this.#options;
    if (this.#request === undefined) return undefined;
    let header: CallHeader | undefined;
    let progress: Progress | undefined;
    for await (const line of storedCalls(this.#client, filters['tenant'], this.#request)) {
      if (this.#isCut) break;
      if (line.type === 'header') {
        header = line;
        progress = new Progress(this.#context.output, line.calls);
      } else if (line.type === 'calls') progress?.at(run.events, this.#take(line));
    }
    if (header !== undefined && !this.#isCut) this.#lookedThrough(header);
    return header;
  }

  /** Answers the time after it. */
  #take(part: CallPart): number {
    const { run, cited } = this.#options;
    const { partition, offset: offsets, line: lines } = part;
    offsets.forEach((offset, at) => cited.see({ partition, offset, line: lines[at] as number }));
    return this.#timed(() => run.calls(part));
  }

  #lookedThrough({ spans }: CallHeader): void {
    for (const { partition, ...span } of spans) this.#options.cited.seeAll(partition, span);
  }

  /** By whole lines, all of them. */
  async #lines(): Promise<void> {
    const { run, cited, filters } = this.#options;
    const progress = new Progress(this.#context.output, await totalEvents(this.#client, filters));
    const bundle = await this.#client.bytes(`/v1/ledger/export${exportQuery(filters)}`);
    for await (const part of storedParts(bundle)) {
      if (this.#isCut) break;
      if (part.type === 'log') run.openLog(part.tenant);
      else {
        cited.see(part.line);
        progress.at(
          run.events,
          this.#timed(() => run.line(part.line)),
        );
      }
    }
  }

  /** The alerts, with all that they cite. */
  async finish(): Promise<readonly AlertBody[]> {
    const { run } = this.#options;
    this.#timed(() => run.end());
    const places = run.citations.places();
    for (let from = 0; from < places.length; from += MAX_CALL_PLACES)
      await this.#cite(places.slice(from, from + MAX_CALL_PLACES));
    if (run.citations.places().length > 0)
      throw new TriplineError('export_invalid', 'a call that an alert cites is gone from the store');
    let alerts: readonly AlertBody[] = [];
    this.#timed(() => (alerts = run.alerts()));
    return alerts;
  }

  async #cite(at: readonly CitedPlace[]): Promise<void> {
    const { run, filters } = this.#options;
    if (this.#request === undefined) return;
    // An interruption ends the reading; what was found is told all the same.
    const client = new ApiClient(this.#client.endpoint, AbortSignal.timeout(CITING_MS));
    const { sieve: _, ...asked } = this.#request;
    const request = { ...asked, columns: [...CITED_COLUMNS], lines: false, at: [...at] };
    for await (const line of storedCalls(client, filters['tenant'], request))
      if (line.type === 'calls') run.citations.complete(line);
  }

  /** Answers the time after it. */
  #timed(work: () => void): number {
    const startMs = performance.now();
    work();
    const nowMs = performance.now();
    this.engineMs += nowMs - startMs;
    return nowMs;
  }
}

const REFUSED = {
  class_mapping: 'classes on record are of another mapping: all lines are read whole',
  append_time: 'append times on record run back: all lines are read whole',
};

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
