/**
 * ClickHouse's HTTP interface in front of an embedded engine, so that the stock client can be tested without a server.
 * A process of its own (argument: data directory, port), so that a test can kill it at any moment. What a real server
 * has and this has not: users, quotas, async inserts, replication, progress headers.
 *
 * Faults for tests: POST /fault?when=before|after resets the connection of the next INSERT, before or after it ran.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, unlinkSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createGunzip, createGzip } from 'node:zlib';
import type * as Chdb from 'chdb';
import { isInsert, isRead, literal, prologue, refuseSeveral, statementOf, statusOf } from './sql.ts';

const chdb = createRequire(import.meta.url)('chdb') as typeof Chdb;
const [dir = '', port = '0'] = process.argv.slice(2);
const data = join(dir, 'data');
const incoming = join(dir, 'incoming');
for (const path of [data, incoming]) mkdirSync(path, { recursive: true });

const ARGUMENTS = ['--config-file=', '--async_insert=0', '--max_server_memory_usage=1000000000'];
const connect = (): Chdb.Session => new chdb.Session(data, { connectionArgs: ARGUMENTS });
/** Keeps the engine up between requests, and kills the queries of clients that went away. */
const anchor = connect();
let nextFault: 'before' | 'after' | undefined;
let anchorQueue: Promise<unknown> = Promise.resolve();

function onAnchor(sql: string): Promise<unknown> {
  anchorQueue = anchorQueue.then(() => anchor.queryAsync(sql).catch(() => undefined));
  return anchorQueue;
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  const source = request.headers['content-encoding'] === 'gzip' ? request.pipe(createGunzip()) : request;
  for await (const part of source) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  switch (url.pathname) {
    case '/ping':
      response.end('Ok.\n');
      return;
    case '/fault':
      nextFault = url.searchParams.get('when') === 'after' ? 'after' : 'before';
      response.end('Ok.\n');
      return;
    default:
      await handleStatement(request, response, url.searchParams);
  }
}

async function handleStatement(
  request: IncomingMessage,
  response: ServerResponse,
  parameters: URLSearchParams,
): Promise<void> {
  const body = await bodyOf(request);
  const inUrl = parameters.get('query') ?? '';
  const queryId = parameters.get('query_id') ?? randomUUID();
  response.setHeader('x-clickhouse-query-id', queryId);
  response.setHeader('x-clickhouse-timezone', 'UTC');
  response.setHeader('x-clickhouse-summary', '{"read_rows":"0","written_rows":"0","result_rows":"0"}');
  const session = connect();
  try {
    await session.queryAsync(prologue(parameters));
    if (isInsert(inUrl)) await runInsert(session, response, inUrl, body);
    else {
      const text = `${inUrl}${body.toString()}`;
      await runStatement(session, response, { text, queryId, gzip: wantsGzip(request) });
    }
  } catch (error) {
    answerError(response, error);
  } finally {
    session.close();
  }
}

const wantsGzip = (request: IncomingMessage): boolean =>
  request.headers['accept-encoding']?.includes('gzip') === true;

/** The body goes through a file: inline data would end at its first blank line and the rest be run as SQL. */
async function runInsert(
  session: Chdb.Session,
  response: ServerResponse,
  text: string,
  body: Buffer,
): Promise<void> {
  const fault = nextFault;
  nextFault = undefined;
  if (fault === 'before') return void response.socket?.resetAndDestroy();
  if (body.length > 0) {
    const { sql, format } = statementOf(text);
    const path = join(incoming, randomUUID());
    writeFileSync(path, body);
    try {
      await session.queryAsync(`${sql} FROM INFILE ${literal(path)} FORMAT ${format ?? 'Values'}`);
    } finally {
      unlinkSync(path);
    }
  }
  if (fault === 'after') return void response.socket?.resetAndDestroy();
  response.end();
}

async function runStatement(
  session: Chdb.Session,
  response: ServerResponse,
  { text, queryId, gzip }: { text: string; queryId: string; gzip: boolean },
): Promise<void> {
  const { sql, format } = statementOf(text);
  const marked = `/* ${queryId} */ ${sql}`;
  const gone = (): void => {
    if (!response.writableFinished)
      void onAnchor(`KILL QUERY WHERE query LIKE ${literal(`/* ${queryId} */%`)} ASYNC`);
  };
  response.once('close', gone);
  if (!isRead(sql)) {
    refuseSeveral(sql);
    await session.queryAsync(marked);
    return void response.end();
  }
  // The streaming call refuses several statements in one text, as a server does.
  const chunks = session.queryStream(marked, { format: format ?? 'TabSeparated' });
  await sendChunks(chunks, response, gzip);
}

/** Headers go out with the first chunk, so that a statement that fails at once still answers its status. */
async function sendChunks(
  chunks: Chdb.ChdbQueryStream,
  response: ServerResponse,
  gzip: boolean,
): Promise<void> {
  const packed = gzip ? createGzip({ level: 1 }) : undefined;
  const out = packed ?? response;
  let begun = false;
  for await (const chunk of chunks) {
    if (!begun && packed !== undefined) {
      response.setHeader('content-encoding', 'gzip');
      packed.pipe(response);
    }
    begun = true;
    if (response.destroyed) break;
    if (!out.write(chunk.raw())) await Promise.race([once(out, 'drain'), once(response, 'close')]);
  }
  if (begun) out.end();
  else response.end();
}

function answerError(response: ServerResponse, error: unknown): void {
  const { message, clickhouseCode } = error as { message: string; clickhouseCode?: number };
  const code = clickhouseCode ?? Number(/^Code: (\d+)/.exec(message)?.[1] ?? 0);
  if (response.headersSent) return void response.socket?.resetAndDestroy();
  response.statusCode = statusOf(code);
  response.setHeader('x-clickhouse-exception-code', String(code));
  response.end(`${message} (version 26.7.2.1 (official build))\n`);
}

const server = createServer((request, response) => {
  handle(request, response).catch((error: unknown) => answerError(response, error));
});
server.listen(Number(port), '127.0.0.1', () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
process.stdin.on('end', () => process.exit(0)); // The test that started it is gone.
process.stdin.resume();
