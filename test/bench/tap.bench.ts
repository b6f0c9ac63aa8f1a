/**
 * What a tap adds to a call, in time and CPU, to the start of a server, and how soon a kill over HTTP refuses a call. The
 * tap is the compiled one. A direct connection and a bare pipe (the least that any proxy in Node can do) run in turn with
 * it; the service of the first part is a process that only says 202, so that its work is not counted as the tap's.
 */
import { quantile, rotated } from './bench.ts';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { CALLS_SERVER, ROOT, nodeArguments, tapEnvironment, workplace } from '../support/mcp/host.ts';
import { Service } from '../support/mcp/service.ts';

interface BenchResult {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline: number;
  readonly ratio: number;
  readonly note: string;
}

/** A tap is young for its first calls, which V8 has not compiled yet, and settled after them. */
const FIRST_CALLS = 300;
const CALLS_UNTIL_SETTLED = 10_000;
const ROUNDS = 20;
const CALLS_PER_ROUND = 100;
const STARTS = 5;
const KILLS = 50;
/** Linux: USER_HZ is 100 on every architecture that Node runs on. */
const TICK_US = 10_000;

export const TAP = path.join(ROOT, 'dist/services/cli/main.js');
export const SERVER = [process.execPath, ...nodeArguments(CALLS_SERVER)];
const SINK = `const http = require('node:http');
http.createServer((request, response) => request.resume().on('end', () => {
  response.writeHead(202, { 'content-type': 'application/json' });
  response.end('{"accepted":1,"duplicates":0,"rejected":[]}');
})).listen(0, '127.0.0.1', function () { console.log(this.address().port); });
process.stdin.on('end', () => process.exit()).resume();`;
const PIPE = `const [command, ...args] = process.argv.slice(1);
const child = require('node:child_process').spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
process.stdin.pipe(child.stdin); child.stdout.pipe(process.stdout); child.on('exit', (code) => process.exit(code));`;

const round = (value: number): number => Math.round(value * 1000) / 1000;
function result(
  about: Pick<BenchResult, 'name' | 'unit' | 'note'>,
  value: number,
  baseline: number,
): BenchResult {
  return { ...about, value: round(value), baseline: round(baseline), ratio: round(value / baseline) };
}

interface Connection {
  readonly client: Client;
  readonly pid: number;
  readonly startMs: number;
  cpuUs: number;
}

export async function connect(args: readonly string[], env: Record<string, string>): Promise<Connection> {
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [...args],
    env,
    stderr: 'ignore',
  });
  const client = new Client({ name: 'bench', version: '1.0.0' });
  const startedMs = performance.now();
  await client.connect(transport);
  return { client, pid: transport.pid ?? 0, startMs: performance.now() - startedMs, cpuUs: 0 };
}

/** CPU time of a process, user and system, in µs (proc(5): fields 14 and 15 of stat). */
function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_US;
}

const echo = (client: Client): Promise<unknown> =>
  client.callTool({ name: 'echo', arguments: { text: 'x' } });

export async function timeCalls({ client }: Connection, calls: number): Promise<number[]> {
  const sample: number[] = [];
  for (let n = 0; n < calls; n++) {
    const startedMs = performance.now();
    await echo(client);
    sample.push(performance.now() - startedMs);
  }
  return sample;
}

export async function startSink(): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const child = spawn(process.execPath, ['-e', SINK], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [port] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, url: `http://127.0.0.1:${port.toString().trim()}` };
}

const WAYS = ['direct', 'pipe', 'tap'] as const;
type Ways = Readonly<Record<(typeof WAYS)[number], Connection>>;

async function connectAll(env: Record<string, string>): Promise<Ways> {
  return {
    direct: await connect(SERVER.slice(1), env),
    pipe: await connect(['-e', PIPE, '--', ...SERVER], env),
    tap: await connect([TAP, 'tap', '--server', 'calls', '--', ...SERVER], env),
  };
}

type Samples = Readonly<Record<keyof Ways, readonly number[]>>;

async function timeAll(ways: Ways): Promise<Samples> {
  const callsMs: Record<keyof Ways, number[]> = { direct: [], pipe: [], tap: [] };
  for (let n = 0; n < ROUNDS; n++)
    for (const way of rotated(WAYS, n)) callsMs[way].push(...(await timeCalls(ways[way], CALLS_PER_ROUND)));
  return callsMs;
}

async function closeAll(ways: Ways): Promise<void> {
  await Promise.all(WAYS.map((way) => ways[way].client.close()));
}

async function benchCalls(): Promise<readonly BenchResult[]> {
  const place = workplace();
  const sink = await startSink();
  const env = tapEnvironment({ place, url: sink.url });
  const startsMs = { direct: [] as number[], pipe: [] as number[], tap: [] as number[] };
  try {
    for (let n = 0; n < STARTS; n++) {
      const started = await connectAll(env);
      for (const way of WAYS) startsMs[way].push(started[way].startMs);
      await closeAll(started);
    }
    const ways = await connectAll(env);
    for (const way of WAYS) await timeCalls(ways[way], FIRST_CALLS);
    const young = await timeAll(ways);
    for (const way of WAYS) await timeCalls(ways[way], CALLS_UNTIL_SETTLED);
    for (const way of WAYS) ways[way].cpuUs = -cpuOf(ways[way].pid);
    const settled = await timeAll(ways);
    for (const way of WAYS) ways[way].cpuUs += cpuOf(ways[way].pid);
    await closeAll(ways);
    return [
      ...addedResults(young, 'tap_young'),
      ...addedResults(settled, 'tap'),
      ...ownResults(ways, startsMs),
    ];
  } finally {
    sink.child.stdin?.end();
    place.remove();
  }
}

function addedResults(callsMs: Samples, name: string): readonly BenchResult[] {
  const p = (way: keyof Ways, q: number): number => quantile(callsMs[way], q);
  const ms = (what: string, note: string) => ({ name: `${name}_${what}`, unit: 'ms', note });
  const added = (way: keyof Ways, q: number): number => p(way, q) - p('direct', q);
  const over = 'over the direct connection; baseline: what a bare pipe adds';
  return [
    result(ms('call_p50', 'baseline: direct connection'), p('tap', 0.5), p('direct', 0.5)),
    result(ms('call_p99', 'baseline: direct connection'), p('tap', 0.99), p('direct', 0.99)),
    result(ms('added_p50', over), added('tap', 0.5), added('pipe', 0.5)),
    result(ms('added_p99', over), added('tap', 0.99), added('pipe', 0.99)),
  ];
}

function ownResults(
  ways: Ways,
  startsMs: Readonly<Record<keyof Ways, readonly number[]>>,
): readonly BenchResult[] {
  const calls = ROUNDS * CALLS_PER_ROUND;
  return [
    result(
      { name: 'tap_cpu_per_call', unit: 'us', note: 'CPU time; baseline: bare pipe' },
      ways.tap.cpuUs / calls,
      ways.pipe.cpuUs / calls,
    ),
    result(
      { name: 'tap_start', unit: 'ms', note: 'until the client is connected; baseline: direct connection' },
      quantile(startsMs.tap, 0.5),
      quantile(startsMs.direct, 0.5),
    ),
  ];
}

/** From the request that sets a control to the first refusal that the client sees, in ms. */
async function benchKills(): Promise<readonly BenchResult[]> {
  const place = workplace();
  const service = new Service(place.dataDir);
  await service.start();
  const host = await connect([TAP, 'tap', '--server', 'calls', '--', ...SERVER], tapEnvironment({ place }));
  const isAllowed = (): Promise<boolean> =>
    echo(host.client).then(
      () => true,
      () => false,
    );
  const sample: number[] = [];
  try {
    const callsMs = await timeCalls(host, FIRST_CALLS);
    for (let n = 0; n < KILLS; n++) {
      const startedMs = performance.now();
      const set = service.setControl({ scope: 'tool', target: 'calls/echo' });
      while (await isAllowed());
      sample.push(performance.now() - startedMs);
      await service.liftControl((await set).id);
      while (!(await isAllowed()));
    }
    const about = (name: string) => ({ name, unit: 'ms', note: 'baseline: p50 of a call through the tap' });
    const callP50 = quantile(callsMs, 0.5);
    return [
      result(about('kill_to_refused_p50'), quantile(sample, 0.5), callP50),
      result(about('kill_to_refused_p99'), quantile(sample, 0.99), callP50),
    ];
  } finally {
    await host.client.close();
    await service.stop();
    place.remove();
  }
}

export function assertCompiled(): void {
  if (!existsSync(TAP)) throw new Error('the compiled tap is missing: npm run build:service');
}

export const tapCall = {
  name: 'tap_call',
  about: 'what a tap adds to a call in time and CPU, and to the start of a server',
  run: (): Promise<readonly BenchResult[]> => {
    assertCompiled();
    return benchCalls();
  },
};
export const killToRefused = {
  name: 'kill_to_refused',
  about: 'from the request that sets a control to the first refused call',
  run: (): Promise<readonly BenchResult[]> => {
    assertCompiled();
    return benchKills();
  },
};

if (import.meta.filename === process.argv[1]) {
  for (const { run } of [tapCall, killToRefused])
    for (const line of await run()) process.stdout.write(`${JSON.stringify(line)}\n`);
}
