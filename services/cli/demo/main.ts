/**
 * `npm run demo`: Tripline embedded on loopback, a harmless agent, a turned one, the alert, the kill switch, the proof.
 * With --once it ends, and exits 0 only if everything in it happened. With --hold risky calls wait for the verdict on their
 * own intent, so that the first post is refused itself and nothing leaves at all.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pc from 'picocolors';
import { ApiClient } from '../client.ts';
import { followEvents, type Follow } from './follow.ts';
import { openOutsideWorld, type OutsideWorld } from './outside.ts';
import { startJsonProcess, type JsonProcess } from './processes.ts';
import {
  alertLines,
  otherAlertLines,
  chapter,
  checklist,
  fact,
  instructionLines,
  holdCostLines,
  refusedLines,
  verdictLines,
} from './story.ts';

type Item = Readonly<Record<string, unknown>>;

const RULE = 'chain.search-vault-post';
const WAIT_MS = 30_000;
/** Of the two sessions, and of the one that shows what waiting costs. */
const CALLS_IN_ALL = 6 + 200;
const extension = import.meta.filename.endsWith('.ts') ? 'ts' : 'js';
const node = [process.execPath, ...process.execArgv];
const tripline = new URL(`../main.${extension}`, import.meta.url).pathname;
const agentScript = new URL(`./agent.${extension}`, import.meta.url).pathname;
const once = process.argv.includes('--once');
const hold = process.argv.includes('--hold');
/** The budget is long: a demo on a busy machine must not let the post go because its verdict came late. */
const HOLD = hold
  ? { TRIPLINE_HOLD: 'risky', TRIPLINE_HOLD_BUDGET_MS: '10000', TRIPLINE_HOLD_ON_TIMEOUT: 'closed' }
  : {};

const print = (...lines: readonly string[]): void =>
  lines.filter((line) => line !== '').forEach((line) => console.log(line));

interface Stage {
  readonly dir: string;
  readonly client: ApiClient;
  readonly outside: OutsideWorld;
  readonly service: JsonProcess;
  readonly env: NodeJS.ProcessEnv;
}

async function main(): Promise<number> {
  const started = performance.now();
  print(`\n  ${pc.bold('Tripline')}  ${pc.dim('the flight recorder and tripwire for MCP agents')}`);
  const stage = await openStage();
  try {
    const done = await play(stage);
    print(
      chapter(hold ? 7 : 6, `What happened, in ${((performance.now() - started) / 1000).toFixed(1)} s`),
      ...checklist(done),
    );
    const ok = done.every(([, happened]) => happened);
    if (!once) await stayUp(stage);
    return ok ? 0 : 1;
  } finally {
    await closeStage(stage);
  }
}

async function openStage(): Promise<Stage> {
  print(chapter(1, 'Start Tripline: one process on loopback, no server to install'));
  const dir = mkdtempSync(join(tmpdir(), 'tripline-demo-'));
  const secret = `whsec_${randomBytes(32).toString('base64')}`;
  const outside = await openOutsideWorld(secret);
  const config = {
    rules: { modes: { [RULE]: 'enforce' } },
    respond: {
      destinations: [
        {
          name: 'team',
          kind: 'webhook',
          url: `${outside.url}/hook`,
          secret: { value: secret },
          allowPrivate: true,
        },
      ],
    },
    log: { level: 'warn' },
  };
  writeFileSync(join(dir, 'tripline.yaml'), JSON.stringify(config), { mode: 0o600 });
  const data = join(dir, 'data');
  const env = { ...process.env, TRIPLINE_DATA_DIR: data, TRIPLINE_URL: '', TRIPLINE_TOKEN: '' };
  const up = ['up', '--json', '--config', join(dir, 'tripline.yaml'), '--data', data, '--port', '0'];
  const service = startJsonProcess([...node, tripline, ...up], env);
  const ready = await service.next((item) => item['ready'] === true);
  const url = String(ready['url']);
  const token = readFileSync(join(data, 'admin.token'), 'utf8').trim();
  print(fact('service', url), fact('data', data));
  return {
    dir,
    outside,
    service,
    client: new ApiClient({ url, token }, AbortSignal.timeout(3_600_000)),
    env: { ...env, ...HOLD, TRIPLINE_URL: url },
  };
}

async function closeStage({ dir, outside, service }: Stage): Promise<void> {
  service.child.kill('SIGTERM');
  await service.ended;
  outside.close();
  rmSync(dir, { recursive: true, force: true });
}

type Done = readonly (readonly [what: string, ok: boolean])[];

async function play(stage: Stage): Promise<Done> {
  const follow = await followEvents(stage.client.endpoint, print);
  await playHarmless(stage, follow);
  const attack = await playAttack(stage, follow);
  const refused = await playAgain(attack.agent, follow);
  print(chapter(5, 'Prove the record'));
  const report = await verify(stage);
  print(...verdictLines(report));
  const { alert, acknowledged } = attack;
  const alerts = await toldAlerts(stage);
  const paged = await until(async () => {
    const told = await toldAlerts(stage);
    return told.length > 0 && stage.outside.pages.length === told.length ? told.length : undefined;
  });
  const outsidePosts = stage.outside.posts.filter((host) => host === 'collect.attacker.example').length;
  const done: Done = [
    ['every call of both sessions is on record', follow.counts.intents === 6 && follow.counts.results === 6],
    ['the harmless session raised no alert', alerts.every((item) => item['session'] === alert?.['session'])],
    ['search → vault → external post was found in the other', alert !== undefined],
    ['the team was paged by a signed webhook, once for each alert', paged !== undefined],
    ['the kill switch reached the host', acknowledged],
    ...(hold
      ? await heldFacts(stage, { attack, follow, outsidePosts })
      : ([
          [
            'the second post was refused (-32090) and never reached its server',
            refused['code'] === -32090 && outsidePosts === 1,
          ],
        ] as const)),
    ['the ledger verifies', report['verdict'] === 'verified'],
  ];
  follow.close();
  return done;
}

interface Happened {
  readonly attack: Attack;
  readonly follow: Follow;
  readonly outsidePosts: number;
}

/** What holding is for, and what it costs. */
async function heldFacts(stage: Stage, { attack, follow, outsidePosts }: Happened): Promise<Done> {
  print(chapter(6, 'What waiting costs: 100 harmless posts, and 100 searches that do not wait'));
  follow.hush();
  await startAgent(stage, 'many').next((item) => item['done'] === true);
  await until(() => Promise.resolve(follow.results.length >= CALLS_IN_ALL ? true : undefined));
  const isPost = (item: Item): boolean => item['tool'] === 'http_post';
  const waited = follow.results.filter((item) => isPost(item) && isClear(item)).map(waitedMs);
  const free = follow.results.filter((item) => !isPost(item));
  print(
    ...holdCostLines(
      waited.toSorted((a, b) => a - b),
      free.length,
    ),
  );
  const { code, data } = attack.first as { code?: unknown; data?: Item };
  return [
    [
      'the post that completes the chain was refused itself (-32090)',
      code === -32090 && data?.['controlId'] === 'hold',
    ],
    ['nothing was posted to the outside host, as its server counts', outsidePosts === 0],
    ['harmless posts waited for their verdict and went out', waited.length === 101],
    [
      'calls of other classes did not wait',
      free.length === 103 && free.every((item) => item['hold'] === undefined),
    ],
  ];
}

const holdOf = (item: Item): Item => (item['hold'] ?? {}) as Item;
const isClear = (item: Item): boolean => holdOf(item)['verdict'] === 'clear' && item['outcome'] === 'ok';
const waitedMs = (item: Item): number => Number(holdOf(item)['waitedMs']);

/** Alerts that page somebody: rules in mode shadow only take notes. */
async function toldAlerts(stage: Stage): Promise<readonly Item[]> {
  const alerts = await items(stage.client, '/v1/alerts');
  return alerts.filter((item) => bodyOf(item)['mode'] !== 'shadow');
}

function startAgent(stage: Stage, scenario: 'attack' | 'benign' | 'many'): JsonProcess {
  return startJsonProcess(
    [...node, agentScript, scenario, `${stage.outside.url}/outside`, tripline],
    stage.env,
  );
}

async function playHarmless(stage: Stage, follow: Follow): Promise<void> {
  print(chapter(2, 'A harmless run: search, then post to a wiki (three taps, one session)'));
  await startAgent(stage, 'benign').next((item) => item['done'] === true);
  await follow.settled();
}

interface Attack {
  readonly agent: JsonProcess;
  readonly alert: Item | undefined;
  readonly acknowledged: boolean;
  /** How its first post ended. */
  readonly first: Item;
}

async function playAttack(stage: Stage, follow: Follow): Promise<Attack> {
  print(chapter(3, 'Another session: a search result holds an instruction'));
  const agent = startAgent(stage, 'attack');
  const turned = await agent.next((item) => 'instruction' in item);
  await follow.settled();
  print(...instructionLines(turned));
  agent.send('go on');
  const first = await agent.next((item) => item['call'] === 'http_post');
  await agent.next((item) => item['waiting'] === 'again');
  const alert = await until(async () =>
    (await items(stage.client, '/v1/alerts')).find((item) => item['ruleId'] === RULE),
  );
  await follow.settled();
  print(...alertLines(bodyOf(alert)));
  if (first['outcome'] === 'refused') print(...refusedLines('the post itself', first['data'] as Item));
  const acknowledged = await until(async () => {
    const acks = await items(stage.client, '/v1/events?kind=control.ack&limit=50');
    return acks.length >= 3 ? true : undefined;
  });
  const paged = await until(() => Promise.resolve(stage.outside.pages[0] as Item | undefined));
  print(
    fact('paged', paged === undefined ? pc.red('no') : 'webhook delivered, signature verified'),
    fact(
      'kill switch',
      acknowledged === undefined
        ? pc.red('not acknowledged')
        : 'set by the rule, acknowledged by all three taps',
    ),
    ...otherAlertLines((await toldAlerts(stage)).map(bodyOf), RULE),
  );
  return { agent, alert, acknowledged: acknowledged === true, first };
}

async function playAgain(agent: JsonProcess, follow: Follow): Promise<Item> {
  print(chapter(4, 'The agent tries to post again'));
  agent.send('again');
  const refused = await agent.next((item) => item['outcome'] === 'refused' || item['done'] === true);
  await agent.ended;
  await follow.settled();
  if (refused['outcome'] === 'refused') print(...refusedLines('the second post', refused['data'] as Item));
  return refused;
}

async function verify(stage: Stage): Promise<Item> {
  await until(async () => {
    const { partitions } = (await stage.client.get('/v1/ledger')) as { partitions: readonly Item[] };
    // Reading is audited, so that topic never stands still while we look.
    const behind = partitions.filter((at) => at['topic'] !== 'tripline.audit.v1' && at['lag'] !== 0);
    return behind.length === 0 ? partitions : undefined;
  });
  const verifier = startJsonProcess([...node, tripline, 'verify', '--json'], stage.env);
  return await verifier.next((item) => 'verdict' in item);
}

async function items(client: ApiClient, path: string): Promise<readonly Item[]> {
  const page = (await client.get(path)) as { readonly items: readonly Item[] };
  return page.items;
}

function bodyOf(alert: Item | undefined): Item {
  const body = alert?.['body'];
  return typeof body === 'object' && body !== null ? (body as Item) : (alert ?? {});
}

async function until<T>(look: () => Promise<T | undefined>): Promise<T | undefined> {
  const deadline = performance.now() + WAIT_MS;
  while (performance.now() < deadline) {
    const found = await look();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return undefined;
}

async function stayUp(stage: Stage): Promise<void> {
  const { url, token } = stage.client.endpoint;
  print(
    '',
    `  ${pc.bold('Open the console:')} ${pc.cyan(`${url}/#token=${token ?? ''}`)}`,
    pc.dim('  The service stays up. Ctrl-C ends it and removes its data.\n'),
  );
  await Promise.race([
    stage.service.ended,
    new Promise<void>((resolve) => {
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => resolve());
    }),
  ]);
}

process.exitCode = await main();
