/** The way to one upstream: kept-alive connections, its TLS, and the headers of a proxy (RFC 9110 §7.6). */
import http from 'node:http';
import https from 'node:https';
import type { GateUpstream } from './config.ts';
import { TOKEN_HEADER } from './door.ts';

/** They speak of one connection, or are ours to say. */
const NOT_FORWARDED: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'expect',
  'host',
  'content-length',
  'accept-encoding',
  'via',
  TOKEN_HEADER,
]);
const NOT_RETURNED: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
]);

/**
 * A connection without a request is closed by us before its server does it, 5 s later where nothing is said (uvicorn): a
 * POST that meets the end of its connection may have been served and cannot be sent again. It bounds no request.
 */
const IDLE_SOCKET_MS = 4_000;

/** Names and values in turn, in their order. */
export type RawHeaders = readonly string[];

const NONE: readonly string[] = [];

/** Headers that speak of this connection only, as it says itself: nearly none says so of any. */
function named(connection: string | undefined): readonly string[] {
  if (connection === undefined || connection === 'keep-alive') return NONE;
  return connection.split(',').map((name) => name.trim().toLowerCase());
}

function without(headers: RawHeaders, leftOut: ReadonlySet<string>, listed: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] ?? '';
    const known = name.toLowerCase();
    if (!leftOut.has(known) && !listed.includes(known)) kept.push(name, headers[at + 1] ?? '');
  }
  return kept;
}

export function returnedHeaders(response: http.IncomingMessage): string[] {
  return without(response.rawHeaders, NOT_RETURNED, named(response.headers.connection));
}

export interface UpstreamRequest {
  readonly method: string;
  /** Path and query; the upstream's own path where absent. */
  readonly target?: string;
  readonly headers: RawHeaders;
  readonly body?: Uint8Array | undefined;
}

export class UpstreamClient {
  readonly #upstream: GateUpstream;
  readonly #via: string;
  readonly #agent: http.Agent;
  /** Lower-case names of a client that do not go on: those that are set here among them. */
  readonly #leftOut: ReadonlySet<string>;
  /** What is the same in each request, read from the URL once. */
  readonly #fixed: http.RequestOptions;
  readonly #before: RawHeaders;
  readonly #after: RawHeaders;
  readonly #begin: typeof http.request;

  /** `via` names this gate (RFC 9110 §7.6.3). */
  constructor(upstream: GateUpstream, via: string) {
    this.#upstream = upstream;
    this.#via = via;
    this.#leftOut = new Set([...NOT_FORWARDED, ...upstream.headers.map(([name]) => name)]);
    // keepAlive of the agent holds for its sockets too: a peer that vanished in a long stream is found.
    const options = {
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
      scheduling: 'lifo',
      timeout: IDLE_SOCKET_MS,
    } as const;
    this.#agent =
      upstream.url.protocol === 'https:'
        ? new https.Agent({ ...options, ...upstream.tls })
        : new http.Agent(options);
    const { protocol, hostname, port, host } = upstream.url;
    this.#begin = (protocol === 'https:' ? https : http).request;
    this.#fixed = { protocol, hostname: hostname.replace(/^\[|\]$/gu, ''), port, agent: this.#agent };
    this.#before = ['Host', host];
    this.#after = [...upstream.headers.flat(), 'Accept-Encoding', 'identity', 'Connection', 'keep-alive'];
  }

  /** Path of the endpoint, and its own query joined with the caller's. */
  target(query: string): string {
    const { pathname, search } = this.#upstream.url;
    if (search === '') return pathname + query;
    return `${pathname}${search}${query === '' ? '' : `&${query.slice(1)}`}`;
  }

  /** Headers of a client's request as they go on. */
  forwarded(request: http.IncomingMessage): string[] {
    const headers = without(request.rawHeaders, this.#leftOut, named(request.headers.connection));
    const before = request.headers.via;
    headers.push('Via', before === undefined ? `1.1 ${this.#via}` : `${before}, 1.1 ${this.#via}`);
    return headers;
  }

  /** Begins a request to the configured URL; whoever asks listens for `response` and `error`. No time limit. */
  request({ method, target, headers, body }: UpstreamRequest): http.ClientRequest {
    const length = body === undefined ? NONE : ['Content-Length', String(body.length)];
    const request = this.#begin({
      ...this.#fixed,
      method,
      path: target ?? this.target(''),
      headers: [...this.#before, ...headers, ...this.#after, ...length],
    });
    request.end(body);
    return request;
  }

  close(): void {
    this.#agent.destroy();
  }
}
