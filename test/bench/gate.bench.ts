/**
 * What the gate adds to a call. The gate is the compiled one; a direct connection, a relay of bytes (the least that a
 * process of Node between two connections can add, whatever it does with them) and a bare reverse proxy (the least that one
 * adds that reads HTTP) run in turn with it. The service is a process that only says 202.
 */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { nodeArguments, ROOT, tapEnvironment, workplace } from '../support/mcp/host.ts';
import { quantile, result, type Bench, type BenchResult, rotated } from './bench.ts';
import { startSink } from './tap.bench.ts';

/**
 * A gate is young for its first calls, which V8 has not compiled yet, and settled for all of its life after them. The first
 * calls of all are no part of either.
 */
const FIRST_CALLS = 300;
const CALLS_UNTIL_SETTLED = 5_000;
const ROUNDS = 20;
const CALLS_PER_ROUND = 100;
const COMMAND = path.join(ROOT, 'dist/services/cli/main.js');
const SERVER = path.join(ROOT, 'test/support/mcp/http-server.ts');
const PROXY = `const http = require('node:http'); const target = new URL(process.argv[1]);
const agent = new http.Agent({ keepAlive: true });
http.createServer((request, response) => {
  const { hostname, port } = target;
  const out = http.request({ hostname, port, path: request.url, method: request.method, headers: request.headers, agent });
  out.on('response', (answer) => { response.writeHead(answer.statusCode, answer.headers); answer.pipe(response); });
  out.on('error', () => response.destroy());
  request.pipe(out);
}).listen(0, '127.0.0.1', function () { console.log(this.address().port); });
process.stdin.on('end', () => process.exit()).resume();`;
const RELAY = `const net = require('node:net'); const target = new URL(process.argv[1]);
net.createServer({ noDelay: true }, (near) => {
  const far = net.connect({ host: target.hostname, port: Number(target.port), noDelay: true });
  for (const [from, to] of [[near, far], [far, near]]) {
    from.on('data', (bytes) => to.write(bytes)); from.on('error', () => to.destroy()); from.on('close', () => to.destroy());
  }
}).listen(0, '127.0.0.1', function () { console.log(this.address().port); });
process.stdin.on('end', () => process.exit()).resume();`;

const FORMS = { events: {}, json: { JSON: '1' } } as const;
type Form = keyof typeof FORMS;
const WAYS = ['direct', 'relay', 'proxy', 'gate'] as const;
type Way = (typeof WAYS)[number];

async function started(
  args: readonly string[],
  env: Record<string, string>,
): Promise<{ readonly child: ChildProcess; readonly line: string }> {
  const child = spawn(process.execPath, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { child, line };
}

async function connected(url: string): Promise<Client> {
  const client = new Client({ name: 'bench', version: '1.0.0' });
  const transport = new StreamableHTTPClientTransport(new URL(url));
  await client.connect(transport);
  return client;
}

async function timeCalls(client: Client, calls: number): Promise<number[]> {
  const sample: number[] = [];
  for (let n = 0; n < calls; n++) {
    const startedMs = performance.now();
    await client.callTool({ name: 'echo', arguments: { text: 'x' } });
    sample.push(performance.now() - startedMs);
  }
  return sample;
}

type Samples = Readonly<Record<Way, readonly number[]>>;

async function timeAll(clients: readonly { readonly way: Way; readonly client: Client }[]): Promise<Samples> {
  const samples: Record<Way, number[]> = { direct: [], relay: [], proxy: [], gate: [] };
  for (let n = 0; n < ROUNDS; n++)
    for (const { way, client } of rotated(clients, n))
      samples[way].push(...(await timeCalls(client, CALLS_PER_ROUND)));
  return samples;
}

async function measure(form: Form): Promise<readonly BenchResult[]> {
  const place = workplace();
  const sink = await startSink();
  const env = tapEnvironment({ place, url: sink.url });
  const server = await started(nodeArguments(SERVER), { ...env, ...FORMS[form] });
  const url = `http://127.0.0.1:${server.line}/mcp`;
  const relay = await started(['-e', RELAY, '--', url], env);
  const proxy = await started(['-e', PROXY, '--', url], env);
  const gate = await started(
    [COMMAND, 'gate', '--json', '--upstream', url, '--server', 'calls', '--port', '0'],
    env,
  );
  try {
    const urls: Readonly<Record<Way, string>> = {
      direct: url,
      relay: `http://127.0.0.1:${relay.line}/mcp`,
      proxy: `http://127.0.0.1:${proxy.line}/mcp`,
      gate: `${(JSON.parse(gate.line) as { url: string }).url}/calls`,
    };
    const clients = await Promise.all(WAYS.map(async (way) => ({ way, client: await connected(urls[way]) })));
    for (const { client } of clients) await timeCalls(client, FIRST_CALLS);
    const young = await timeAll(clients);
    for (const { client } of clients) await timeCalls(client, CALLS_UNTIL_SETTLED);
    const settled = await timeAll(clients);
    await Promise.all(clients.map(({ client }) => client.close()));
    return [...resultsOf(form, settled), youngResult(form, young)];
  } finally {
    gate.child.kill('SIGTERM');
    await once(gate.child, 'exit');
    for (const { child } of [relay, proxy, server, sink]) child.stdin?.end();
    place.remove();
  }
}

const added = (samples: Samples, way: Way, q: number): number =>
  quantile(samples[way], q) - quantile(samples.direct, q);

function youngResult(form: Form, samples: Samples): BenchResult {
  const value = added(samples, 'gate', 0.5);
  const baseline = added(samples, 'proxy', 0.5);
  const note = `of the first ${ROUNDS * CALLS_PER_ROUND} calls; baseline: what a bare proxy adds`;
  return result(`gate_${form}_young_added_p50`, { value, baseline, unit: 'ms' }, note);
}

function resultsOf(form: Form, samples: Samples): readonly BenchResult[] {
  const p = (way: Way, q: number): number => quantile(samples[way], q);
  const ms = (name: string, value: number, baseline: number, note: string): BenchResult =>
    result(`gate_${form}_${name}`, { value, baseline, unit: 'ms' }, note);
  const adds = (way: Way, q: number): number => added(samples, way, q);
  const note = (than: string): string => `over the direct connection; baseline: what a ${than} adds`;
  return [
    ms('call_p50', p('gate', 0.5), p('direct', 0.5), 'baseline: direct connection'),
    ms('call_p99', p('gate', 0.99), p('direct', 0.99), 'baseline: direct connection'),
    ms('added_p50', adds('gate', 0.5), adds('proxy', 0.5), note('bare proxy')),
    ms('added_p99', adds('gate', 0.99), adds('proxy', 0.99), note('bare proxy')),
    ms('added_to_relay_p50', adds('gate', 0.5), adds('relay', 0.5), note('relay of bytes')),
  ];
}

export const gateCall: Bench = {
  name: 'gate_call',
  about: 'what the gate adds to a call, with answers as event streams and as JSON',
  run: async () => {
    if (!existsSync(COMMAND)) throw new Error('the compiled gate is missing: npm run build:service');
    return [...(await measure('events')), ...(await measure('json'))];
  },
};
