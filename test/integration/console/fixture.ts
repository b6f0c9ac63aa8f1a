/** A loopback server with the built page and fixed API answers, under the strictest Content-Security-Policy. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { readFileSync, existsSync } from 'node:fs';
import { extname, join, normalize, resolve } from 'node:path';
import { WebSocketServer, type WebSocket } from 'ws';
import {
  ALERT,
  approvalItems,
  LEDGER_ANSWER,
  SESSION_ANSWER,
  SESSIONS_ANSWER,
  tailEvents,
} from './answers.ts';

export const TOKEN = 'fixture-token-0123456789';
export const CONSOLE_DIR = resolve(import.meta.dirname, '../../../dist/console');
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};

type FixtureMode = 'full' | 'empty' | 'failing';
export interface Fixture {
  readonly url: string;
  mode: FixtureMode;
  /** What the token may do, and how the service takes the next answer to a request for approval. */
  approvals: ApprovalSettings;
  readonly requests: string[];
  /** Bodies of POSTs by path. */
  readonly posts: { readonly path: string; readonly body: unknown }[];
  /** Sends the tail's events to everybody who follows. */
  emit(): void;
  emitMany(count: number): void;
  close(): Promise<void>;
}

interface ApprovalSettings {
  readonly mayAnswer: boolean;
  readonly isLate: boolean;
  /** Until the first one is over; 5 min by default. */
  readonly firstLeftMs?: number;
}

interface State {
  mode: FixtureMode;
  approvals: ApprovalSettings;
  approvalItems: readonly Readonly<Record<string, unknown>>[];
  /** Of the one alert. */
  disposition: Readonly<Record<string, unknown>> | null;
  controls: Record<string, unknown>[];
  readonly requests: string[];
  readonly posts: { readonly path: string; readonly body: unknown }[];
}

export async function startFixture(): Promise<Fixture> {
  const state: State = {
    mode: 'full',
    approvals: { mayAnswer: true, isLate: false },
    approvalItems: approvalItems(Date.now()),
    disposition: null,
    controls: [],
    requests: [],
    posts: [],
  };
  const server = createServer((request, response) => void handle(state, request, response));
  const followers = new Set<WebSocket>();
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'tripline.v1' });
  server.on('upgrade', (request, socket, head) => {
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    if (!offered.includes('tripline.v1') || !offered.includes(`bearer.${TOKEN}`)) {
      socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (peer) => {
      followers.add(peer);
      peer.on('close', () => followers.delete(peer));
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const send = (message: unknown): void => {
    for (const peer of followers) peer.send(JSON.stringify(message));
  };
  return {
    url: `http://127.0.0.1:${port}`,
    requests: state.requests,
    posts: state.posts,
    get approvals() {
      return state.approvals;
    },
    /** All wait again. */
    set approvals(settings) {
      state.approvals = settings;
      state.approvalItems = approvalItems(Date.now(), settings.firstLeftMs);
    },
    get mode() {
      return state.mode;
    },
    set mode(mode) {
      state.mode = mode;
    },
    emit: () => tailEvents().forEach(send),
    emitMany: (count) => {
      const events = tailEvents();
      for (let index = 0; index < count; index += 1) send(events[index % events.length]);
    },
    close: async () => {
      for (const peer of followers) peer.terminate();
      sockets.close();
      server.closeAllConnections();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
}

async function handle(state: State, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? '/', 'http://fixture').pathname;
  state.requests.push(`${request.method ?? ''} ${path}`);
  if (!path.startsWith('/v1/')) {
    serveFile(path, response);
    return;
  }
  if (request.headers.authorization !== `Bearer ${TOKEN}`) {
    fail(response, 401, 'auth_invalid');
    return;
  }
  if (state.mode === 'failing') {
    fail(response, 503, 'store_unavailable');
    return;
  }
  if (request.method === 'POST') {
    await post(state, { path, request, response });
    return;
  }
  if (path === '/v1/approvals') {
    answer(response, 200, approvalsFor(state, new URL(request.url ?? '/', 'http://fixture').searchParams));
    return;
  }
  answer(response, 200, answerFor(state, decodeURIComponent(path)));
}

function answerFor(state: State, path: string): unknown {
  const page = (items: readonly unknown[]): unknown => ({
    items: state.mode === 'empty' ? [] : items,
    nextCursor: null,
  });
  if (path === '/v1/alerts') return page([{ ...ALERT, disposition: state.disposition }]);
  if (path === '/v1/sessions') return page(SESSIONS_ANSWER.items);
  if (path === '/v1/controls')
    return page(state.controls.map((control) => ({ control, signed: {}, inForce: true })));
  if (path === '/v1/ledger')
    return state.mode === 'empty' ? { heads: [], coverage: [], partitions: [], keys: [] } : LEDGER_ANSWER;
  return SESSION_ANSWER;
}

function approvalsFor(state: State, query: URLSearchParams): unknown {
  const wanted = query.get('state');
  const { mayAnswer } = state.approvals;
  const items = state.mode === 'empty' ? [] : state.approvalItems;
  return {
    asker: { id: 'ann', role: mayAnswer ? 'responder' : 'analyst', mayAnswer },
    items: items
      .filter((item) => wanted === 'all' || item['state'] === wanted)
      .map((item) => (mayAnswer ? item : { ...item, obstacle: 'role' })),
    nextCursor: null,
  };
}

/** Somebody else was faster where the settings say so: then it is theirs that stands. */
function answerApproval(state: State, id: string, { path, response }: Exchange): void {
  const { isLate } = state.approvals;
  const verdict = path.endsWith('/grant') && !isLate ? 'granted' : 'denied';
  const decision = { verdict, by: isLate ? 'bob' : 'ann', reason: 'said', issuedAt: '', expiresAt: '' };
  state.approvalItems = state.approvalItems.map((item) =>
    item['id'] === id ? { ...item, state: verdict, decision } : item,
  );
  if (isLate) fail(response, 409, 'conflict');
  else answer(response, 200, decision);
}

interface Exchange {
  readonly path: string;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

async function post(state: State, { path, request, response }: Exchange): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Record<string, unknown>;
  state.posts.push({ path, body });
  const [, approvalId] = /^\/v1\/approvals\/(apr-[0-9a-f]{32})\/(?:grant|deny)$/u.exec(path) ?? [];
  if (approvalId !== undefined) {
    answerApproval(state, approvalId, { path, request, response });
    return;
  }
  if (path.endsWith('/disposition')) {
    const { disposition: value, reason } = body;
    state.disposition = { value, reason, actor: 'analyst-1', time: '2026-01-31T13:00:00.000Z' };
    answer(response, 200, { disposition: { value, reason, actor: 'analyst-1' } });
    return;
  }
  if (path === '/v1/controls') {
    const now = Date.now();
    const control = {
      id: `ctl-${state.posts.length}`,
      v: 1,
      version: state.posts.length,
      tenant: 'default',
      target: '*',
      ...body,
      state: 'set',
      issuedBy: 'admin',
      issuedAt: new Date(now).toISOString(),
      expiresAt: new Date(now + Number(body['ttlMs'])).toISOString(),
    };
    state.controls.push(control);
    answer(response, 201, { control, signed: {}, inForce: true });
    return;
  }
  const id = path.split('/')[3];
  state.controls = state.controls.filter((control) => control['id'] !== id);
  answer(response, 200, { control: {}, signed: {}, inForce: false });
}

function serveFile(path: string, response: ServerResponse): void {
  const file = join(CONSOLE_DIR, normalize(path === '/' ? '/index.html' : path));
  response.setHeader('content-security-policy', CSP);
  if (!file.startsWith(CONSOLE_DIR) || !existsSync(file)) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'application/octet-stream' });
  response.end(readFileSync(file));
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

function fail(response: ServerResponse, status: number, code: string): void {
  answer(response, status, {
    error: { code, message: `It did not work (${status}).`, path: null, retryable: false },
  });
}
