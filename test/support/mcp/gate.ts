/** A gate in this process or as a command, servers behind it, and SDK clients before it. */
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import {
  StreamableHTTPClientTransport,
  type StreamableHTTPClientTransportOptions,
} from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import type { Event } from '../../../schemas/event/v1.ts';
import { zGateConfig } from '../../../schemas/gate/v1.ts';
import { resolveGateConfig } from '../../../services/capture/gate/config.ts';
import { startGate, type GateOptions, type RunningGate } from '../../../services/capture/gate/gate.ts';
import { silentLog } from '../../../services/capture/log.ts';
import { readSettings } from '../../../services/capture/settings.ts';
import { MODERN_PROCESS, nodeArguments, ROOT, type Workplace } from './host.ts';
import type { Place } from './place.ts';
import type { Receiver } from './receiver.ts';

const CALLS_HTTP_SERVER = path.join(ROOT, 'test/support/mcp/http-server.ts');
const EVERYTHING = path.join(ROOT, 'node_modules/@modelcontextprotocol/server-everything/dist/index.js');

export interface GateSetup {
  /** As in the configuration file, beside `listen.port`. */
  readonly config: Readonly<Record<string, unknown>> & {
    readonly upstreams: readonly Readonly<Record<string, unknown>>[];
  };
  readonly env?: Readonly<Record<string, string>>;
  readonly options?: Partial<GateOptions>;
}

/** A gate of this process that reports to the receiver; stopped after the test. */
export async function gateBefore(
  context: TestContext,
  { place, receiver }: Place,
  { config, env = {}, options = {} }: GateSetup,
): Promise<RunningGate> {
  const listen = { port: 0, ...(config['listen'] as object | undefined) };
  const variables = {
    TRIPLINE_DATA_DIR: place.dataDir,
    TRIPLINE_URL: receiver.url,
    TRIPLINE_TOKEN: 'test-token',
    ...env,
  };
  const gate = await startGate({
    gate: resolveGateConfig(zGateConfig.parse({ ...config, listen }), variables),
    settings: readSettings(variables),
    log: silentLog,
    ...options,
  });
  context.after(() => gate.stop());
  return gate;
}

export interface ServerProcess {
  readonly child: ChildProcess;
  readonly url: string;
  kill(): Promise<void>;
}

function controlled(context: TestContext, child: ChildProcess, url: string): ServerProcess {
  const exited = child.exitCode === null ? once(child, 'exit') : Promise.resolve();
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  context.after(kill);
  return { child, url, kill };
}

/** The server with our tools. */
export async function callsServer(
  context: TestContext,
  place: Workplace,
  env: Readonly<Record<string, string>> = {},
): Promise<ServerProcess> {
  return await portPrinting(context, place, [process.execPath, ...nodeArguments(CALLS_HTTP_SERVER)], env);
}

/** A server of SDK v2 with more of them, in the revision without sessions. */
export async function modernProcess(context: TestContext, place: Workplace): Promise<ServerProcess> {
  return await portPrinting(context, place, [process.execPath, ...nodeArguments(MODERN_PROCESS), 'http']);
}

/** A command that prints the port on which it serves `/mcp`. */
export async function portPrinting(
  context: TestContext,
  place: Workplace,
  [command = '', ...words]: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ServerProcess> {
  const child = spawn(command, words, {
    cwd: ROOT,
    env: { PATH: process.env['PATH'] ?? '', REACHED_FILE: place.reachedFile, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [port] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return controlled(context, child, `http://127.0.0.1:${port}/mcp`);
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => void server.close(() => resolve()));
  return port;
}

/** `sse`: the transport of 2024-11-05. */
export async function everything(
  context: TestContext,
  port?: number,
  transport: 'streamableHttp' | 'sse' = 'streamableHttp',
): Promise<ServerProcess> {
  const own = port ?? (await freePort());
  const child = spawn(process.execPath, [EVERYTHING, transport], {
    env: { PATH: process.env['PATH'] ?? '', PORT: String(own) },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  await once(child.stderr, 'data');
  child.stderr.resume();
  return controlled(context, child, `http://127.0.0.1:${own}/${transport === 'sse' ? 'sse' : 'mcp'}`);
}

export interface HttpHost {
  readonly client: Client;
  readonly transport: StreamableHTTPClientTransport;
}

/** An SDK v1 client that is connected to `url`; closed after the test. */
export async function connectTo(
  context: TestContext,
  url: string,
  {
    client = new Client({ name: 'tester', version: '1.0.0' }),
    ...options
  }: StreamableHTTPClientTransportOptions & {
    readonly client?: Client;
  } = {},
): Promise<HttpHost> {
  const transport = new StreamableHTTPClientTransport(new URL(url), options);
  await client.connect(transport);
  context.after(() => client.close());
  return { client, transport };
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface RawRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: Uint8Array | string;
  readonly agent?: http.Agent;
}

/** One request of plain Node, no more than it is told. */
export function send(
  url: string,
  { method = 'POST', headers = {}, body, agent }: RawRequest,
): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers, ...(agent === undefined ? {} : { agent }) });
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks),
        }),
      );
    });
    request.end(body);
  });
}

/** A plain HTTP server on loopback; closed after the test. */
export async function plainServer(context: TestContext, serve: http.RequestListener): Promise<string> {
  const server = http.createServer(serve);
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  context.after(() => {
    server.closeAllConnections();
    return new Promise<void>((resolve) => void server.close(() => resolve()));
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export async function bodyOf(request: http.IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** A listener that has read the body first. */
export function withBody(
  serve: (body: Buffer, request: http.IncomingMessage, response: http.ServerResponse) => void | Promise<void>,
): http.RequestListener {
  const answer = async (request: http.IncomingMessage, response: http.ServerResponse): Promise<void> =>
    await serve(await bodyOf(request), request, response);
  return (request, response) => {
    answer(request, response).catch(() => response.destroy());
  };
}

export const callOf = (id: unknown, tool = 'echo', args: unknown = {}, more: object = {}): string =>
  JSON.stringify({
    jsonrpc: '2.0',
    id,
    method: 'tools/call',
    params: { name: tool, arguments: args, ...more },
  });

export const JSON_HEADERS = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
} as const;

/** Events of a kind, each once: a request that a busy machine answered too late is sent again, and the ledger drops it. */
export function distinct(receiver: Receiver, kind: Event['kind']): readonly Event[] {
  const byId = new Map(receiver.of(kind).map((event) => [`${event.stream}-${event.seq}`, event]));
  return [...byId.values()];
}

/** Holds that every intent on record has one result. */
export function outcomesByTool(
  receiver: Receiver,
): readonly (readonly [string | undefined, string | undefined])[] {
  const intents = distinct(receiver, 'call.intent');
  const results = distinct(receiver, 'call.result');
  for (const intent of intents) {
    const count = results.filter((result) => result.callId === intent.callId).length;
    if (count !== 1) throw new Error(`${intent.tool}: ${count} results`);
  }
  if (results.length !== intents.length)
    throw new Error(`${results.length} results, ${intents.length} intents`);
  return results.map(({ tool, outcome }) => [tool, outcome] as const);
}
