/**
 * The engine's process: chdb must not run in a worker thread, and its crash must not be ours. One writer session, some
 * read-only ones, one statement at a time each. Ends when the parent goes away.
 */
import { createRequire } from 'node:module';
import { setTimeout } from 'node:timers/promises';
import type * as Chdb from 'chdb';
import { setStatements } from './parameters.ts';
import type { EngineOptions, EngineReply, EngineRequest, Params } from './protocol.ts';

type Session = Chdb.Session;

/** Sessions of one kind, each running one job at a time, in order of arrival. */
class Lanes {
  readonly #sessions: Session[];
  readonly #idle: Session[];
  readonly #waiting: ((session: Session) => void)[] = [];

  constructor(sessions: Session[]) {
    this.#sessions = sessions;
    this.#idle = [...sessions];
  }

  async with<T>(work: (session: Session) => Promise<T>): Promise<T> {
    const session =
      this.#idle.pop() ?? (await new Promise<Session>((resolve) => this.#waiting.push(resolve)));
    try {
      return await work(session);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#idle.push(session);
      else next(session);
    }
  }

  close(): void {
    for (const session of this.#sessions) session.close();
  }
}

interface Engine {
  readonly chdb: typeof Chdb;
  readonly writer: Lanes;
  readonly readers: Lanes;
  /** Of their own, so that a slow consumer of a stream never holds up a query. */
  readonly streams: Lanes;
  readonly control: Lanes;
}

const MAX_KILLS = 100;
const KILL_INTERVAL_MS = 100;

let engine: Engine | undefined;
let closing = false;
/** Requests that wait for a session or run, and whether the parent gave them up meanwhile. */
const active = new Map<number, { killed: boolean }>();
/** Chunks that the parent asked for, by stream. */
const pulls = new Map<number, { wanted: number; wake: () => void; cancelled: boolean }>();

/** Ends without the engine's own exit, which waits for whatever it is doing, and for ever when its threads still run. */
const die = (): void => void process.kill(process.pid, 'SIGKILL');
/** A channel that is broken means a parent that is dead. */
const send = (reply: EngineReply): void =>
  void process.send?.(reply, undefined, {}, (error) => {
    if (error !== null && !closing) die();
  });
const marked = (id: number, sql: string): string => `/* tripline:${id} */ ${sql}`;

async function open(options: EngineOptions): Promise<void> {
  const chdb = createRequire(import.meta.url)('chdb') as typeof Chdb;
  const common = [
    '--config-file=',
    '--async_insert=0',
    '--output_format_json_quote_64bit_integers=1',
    `--max_server_memory_usage=${options.maxMemoryBytes}`,
    // Merges may wait: rows that somebody waits for come first. They still get a tenth of a busy processor.
    '--os_threads_nice_value_merge_mutate=10',
  ];
  const memoryLimit = `--max_memory_usage=${Math.floor(options.maxMemoryBytes / 2)}`;
  const limits = [memoryLimit, `--max_execution_time=${options.queryTimeoutMs / 1000}`];
  const session = (args: readonly string[]): Session =>
    new chdb.Session(options.dir, { connectionArgs: args });
  const sessions = (count: number, args: readonly string[]): Session[] =>
    Array.from({ length: count }, () => session(args));
  const writer = session(common);
  await writer.queryAsync(`CREATE DATABASE IF NOT EXISTS ${options.database} ENGINE = Atomic`);
  const readers = sessions(options.readers, [...common, ...limits, '--readonly=1']);
  const streams = sessions(options.streams, [...common, memoryLimit, '--readonly=1']);
  const control = session(common);
  for (const one of [writer, ...readers, ...streams]) await one.queryAsync(`USE ${options.database}`);
  engine = {
    chdb,
    writer: new Lanes([writer]),
    readers: new Lanes(readers),
    streams: new Lanes(streams),
    control: new Lanes([control]),
  };
}

function opened(): Engine {
  if (engine === undefined) throw new Error('the engine is not open');
  return engine;
}

/** A request that the parent gave up while it waited for a session must not run at all. */
class Cancelled extends Error {
  readonly clickhouseCode = 394;
}

async function cancellable<T>(id: number, lanes: Lanes, work: (session: Session) => Promise<T>): Promise<T> {
  const state = { killed: false };
  active.set(id, state);
  try {
    return await lanes.with(async (session) => {
      if (state.killed) throw new Cancelled('cancelled before it ran');
      return await work(session);
    });
  } finally {
    active.delete(id);
  }
}

/**
 * Parameters are set on the session that runs the query: binding in the call would serialise all queries of the
 * process. A session runs one query at a time, so that nothing else sees them.
 */
async function withParams(session: Session, params: Params): Promise<void> {
  const statements = setStatements(params);
  if (statements !== '') await session.queryAsync(statements);
}

async function read(
  session: Session,
  { sql, params, id, format }: Extract<EngineRequest, { op: 'query' }>,
): Promise<string> {
  await withParams(session, params);
  const result = await session.queryAsync(marked(id, sql), { format });
  if (format === 'JSONEachRow') return result.text();
  send({ id, kind: 'chunk', chunk: result.bytes() });
  return '';
}

async function stream(session: Session, request: Extract<EngineRequest, { op: 'stream' }>): Promise<void> {
  await withParams(session, request.params);
  const { id, sql, format } = request;
  const chunks = session.queryStream(marked(id, sql), { format });
  try {
    for await (const chunk of chunks) {
      if (await isCancelled(id)) return;
      send({ id, kind: 'chunk', chunk: format === 'RowBinary' ? chunk.raw() : chunk.text() });
    }
  } finally {
    chunks.cancel();
  }
}

/** Waits until the parent wants a chunk: at most one is under way, so a slow reader holds the query, not memory. */
async function isCancelled(id: number): Promise<boolean> {
  const state = pulls.get(id);
  if (state === undefined) return true;
  while (state.wanted === 0 && !state.cancelled) await new Promise<void>((resolve) => (state.wake = resolve));
  state.wanted -= 1;
  return state.cancelled;
}

/**
 * KILL QUERY finds only what the engine has begun, so it is repeated while the request lives. Never SYNC: that hangs
 * when several queries run (seen on 26.7.2.1: the second of three was never killed).
 */
async function killUntilOver(id: number, state: { killed: boolean }): Promise<void> {
  for (let attempt = 0; attempt < MAX_KILLS && active.get(id) === state; attempt += 1) {
    await opened().control.with((session) =>
      session.queryAsync(`KILL QUERY WHERE query LIKE '/* tripline:${id} */%' ASYNC`),
    );
    await setTimeout(KILL_INTERVAL_MS);
  }
}

const OPERATIONS: Readonly<{
  [Op in EngineRequest['op']]: (request: Extract<EngineRequest, { op: Op }>) => Promise<string>;
}> = {
  open: async ({ options }) => {
    await open(options);
    return '';
  },
  query: async (request) =>
    await cancellable(request.id, opened().readers, (session) => read(session, request)),
  stream: async (request) => {
    pulls.set(request.id, { wanted: 0, wake: () => undefined, cancelled: false });
    try {
      await cancellable(request.id, opened().streams, (session) => stream(session, request));
      return '';
    } finally {
      pulls.delete(request.id);
    }
  },
  pull: () => Promise.resolve(''),
  cancel: () => Promise.resolve(''),
  command: async ({ sql }) => {
    await opened().writer.with((session) => session.queryAsync(sql));
    return '';
  },
  kill: async ({ id }) => {
    const state = active.get(id);
    if (state === undefined) return '';
    state.killed = true;
    await killUntilOver(id, state);
    return '';
  },
  close: async () => {
    const { readers, streams, control, writer, chdb } = opened();
    for (const lanes of [readers, streams, control, writer]) lanes.close();
    await chdb.drainPending();
    return '';
  },
};

async function handle(request: EngineRequest): Promise<void> {
  if (request.op === 'pull' || request.op === 'cancel') {
    const state = pulls.get(request.id);
    if (state === undefined) return;
    if (request.op === 'pull') state.wanted += 1;
    else state.cancelled = true;
    state.wake();
    return;
  }
  try {
    const operation = OPERATIONS[request.op] as (given: EngineRequest) => Promise<string>;
    const text = await operation(request);
    if (request.op !== 'kill') send({ id: request.id, kind: 'done', text });
  } catch (error) {
    if (request.op !== 'kill') send(failure(request, error));
  }
  if (request.op !== 'close') return;
  closing = true;
  process.disconnect();
}

function failure({ id, op }: EngineRequest, error: unknown): EngineReply {
  const { code, message, clickhouseCode } = error as {
    code?: unknown;
    message?: unknown;
    clickhouseCode?: unknown;
  };
  // chdb says no more than this when the engine cannot open its directory; its log on stderr has the reason.
  if (op === 'open' && code === 'CHDB_CONNECTION') return { id, kind: 'locked' };
  const text = typeof message === 'string' ? message : 'fault';
  if (code === 'MODULE_NOT_FOUND') return { id, kind: 'missing', message: text };
  // Some errors of chdb have the exception's number only in front of their text; that number, not the text, decides.
  const number = Number(clickhouseCode ?? /^Code: (\d+)\./.exec(text)?.[1] ?? 0);
  return { id, kind: 'failed', clickhouseCode: number, message: text };
}

process.on('message', (request: EngineRequest) => void handle(request));
// Without an order to close, the parent is dead: the directory must be free for the next one at once. What was
// acknowledged is on disk.
process.on('disconnect', () => (closing ? process.exit(0) : die()));
process.on('uncaughtException', (error) => {
  process.stderr.write(`${error.stack ?? error.message}\n`);
  die();
});
// The terminal sends Ctrl-C to the whole group; the parent closes the engine in order.
for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, () => undefined);
