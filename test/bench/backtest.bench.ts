/**
 * `tripline backtest` of one shipped rule over stored events, from the command's start to its last line, beside
 * windowFunnel over the same table in the same engine. windowFunnel tells how far each session got; the backtest tells
 * every alert with its calls and its id. BACKTEST_EVENTS=10000000 takes ten millions; the tables take minutes to fill.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { TOPICS } from '../../schemas/topics.ts';
import type { Store } from '../../services/platform/store/port.ts';
import { up } from '../support/scenario/tripline.ts';
import { median, result, wallMs, type Bench, type BenchResult } from './bench.ts';
import { temporaryDir } from './place.ts';
import { fillStored, openStored } from './stored-events.ts';
import { LOADER } from '../support/sources/words.ts';

const EVENTS = Number(process.env['BACKTEST_EVENTS'] ?? 1_000_000);
const RULE = 'chain.search-vault-post';
const RUNS = 3;
const WITHIN_MS = 600_000;
const COMMAND = [...LOADER, join(import.meta.dirname, '../../services/cli/main.ts')];

const FUNNEL = `SELECT countIf(level = 3) AS hit FROM (SELECT session_id, windowFunnel(${WITHIN_MS})(
    toUInt64(toUnixTimestamp64Milli(effective_time)), class IN ('search', 'web_read'), class = 'secret_read',
    class IN ('external_post', 'message', 'publish') AND dest_host != '') AS level
  FROM events WHERE topic = '${TOPICS.toolcalls.name}' AND tenant = 'default' AND kind = 'call.intent' GROUP BY session_id)`;

async function funnelMs(store: Store): Promise<{ readonly ms: number; readonly hit: number }> {
  let hit = 0;
  const times: number[] = [];
  for (let run = 0; run <= RUNS; run++) {
    const ms = await wallMs(async () => {
      const [row] = await store.query<{ hit: string }>(FUNNEL);
      hit = Number(row?.hit);
    });
    // The first reads the disk.
    if (run > 0) times.push(ms);
  }
  return { ms: median(times), hit };
}

interface Ran {
  readonly events: number;
  readonly alerts: number;
  readonly sessions: ReadonlySet<string>;
}

function backtest(dataDir: string, url: string): Ran {
  // Nothing of whoever measures steers what is measured.
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('TRIPLINE_'));
  const env = { ...Object.fromEntries(own), TRIPLINE_URL: url, TRIPLINE_DATA_DIR: dataDir };
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [...COMMAND, 'backtest', RULE, '--tenant', 'default', '--json'],
    { env, encoding: 'utf8', maxBuffer: 2 ** 30 },
  );
  assert.equal(status, 0, stderr);
  const lines = stdout.trimEnd().split('\n');
  const { events, alerts } = JSON.parse(lines.pop() ?? '') as Ran;
  const sessions = lines.map((line) => (JSON.parse(line) as { key: { session: string } }).key.session);
  return { events, alerts, sessions: new Set(sessions) };
}

async function measure(): Promise<readonly BenchResult[]> {
  const { dir, remove } = temporaryDir();
  try {
    const dataDir = join(dir, 'data');
    const store = await openStored(dataDir);
    await fillStored(store, EVENTS);
    const funnel = await funnelMs(store);
    await store.close();
    const service = up({ dataDir, logFile: join(dir, 'log'), steps: 'query' });
    const url = await service.url;
    const times: number[] = [];
    let ran: Ran | undefined;
    for (let run = 0; run < RUNS; run++) times.push(await wallMs(() => void (ran = backtest(dataDir, url))));
    await service.stop();
    assert.equal(ran?.events, EVENTS);
    assert.equal(ran.sessions.size, funnel.hit, 'both see the same sessions');
    const note = `${EVENTS} events, a tenth of them steps; ${ran.alerts} alerts in ${ran.sessions.size} sessions, beside windowFunnel's time`;
    return [result('backtest', { value: median(times), baseline: funnel.ms, unit: 'ms' }, note)];
  } finally {
    remove();
  }
}

export const backtestBench: Bench = {
  name: 'backtest',
  about: 'one rule over stored events, beside windowFunnel over the same table',
  run: measure,
};
