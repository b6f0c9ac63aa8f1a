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

/** Names and values in turn, in their order. */
export type RawHeaders = readonly string[];

function named(connection: string | undefined): readonly string[] {
  return connection === undefined ? [] : connection.split(',').map((name) => name.trim().toLowerCase());
}

function without(headers: RawHeaders, isLeftOut: (name: string) => boolean): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const name = headers[at] ?? '';
    if (!isLeftOut(name.toLowerCase())) kept.push(name, headers[at + 1] ?? '');
  }
  return kept;
}

export function returnedHeaders(response: http.IncomingMessage): string[] {
  const listed = named(response.headers.connection);
  return without(response.rawHeaders, (name) => NOT_RETURNED.has(name) || listed.includes(name));
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
  readonly #set: ReadonlySet<string>;

  /** `via` names this gate (RFC 9110 §7.6.3). */
  constructor(upstream: GateUpstream, via: string) {
    this.#upstream = upstream;
    this.#via = via;
    this.#set = new Set(upstream.headers.map(([name]) => name));
    const options = { keepAlive: true, scheduling: 'lifo' } as const;
    this.#agent =
      upstream.url.protocol === 'https:'
        ? new https.Agent({ ...options, ...upstream.tls })
        : new http.Agent(options);
  }

  /** Path of the endpoint, and its own query joined with the caller's. */
  target(query: string): string {
    const { pathname, search } = this.#upstream.url;
    if (search === '') return pathname + query;
    return `${pathname}${search}${query === '' ? '' : `&${query.slice(1)}`}`;
  }

  /** Headers of a client's request as they go on. */
  forwarded(request: http.IncomingMessage): string[] {
    const listed = named(request.headers.connection);
    const headers = without(
      request.rawHeaders,
      (name) => NOT_FORWARDED.has(name) || this.#set.has(name) || listed.includes(name),
    );
    const before = request.headers.via;
    headers.push('Via', before === undefined ? `1.1 ${this.#via}` : `${before}, 1.1 ${this.#via}`);
    return headers;
  }

  /** Begins a request to the configured URL; whoever asks listens for `response` and `error`. No time limit. */
  request({ method, target, headers, body }: UpstreamRequest): http.ClientRequest {
    const { url } = this.#upstream;
    const all = [
      'Host',
      url.host,
      ...headers,
      ...this.#upstream.headers.flat(),
      'Accept-Encoding',
      'identity',
      ...(body === undefined ? [] : ['Content-Length', String(body.length)]),
      'Connection',
      'keep-alive',
    ];
    const request = (url.protocol === 'https:' ? https : http).request({
      protocol: url.protocol,
      hostname: url.hostname.replace(/^\[|\]$/gu, ''),
      port: url.port,
      method,
      path: target ?? this.target(''),
      headers: all,
      agent: this.#agent,
    });
    request.on('socket', (socket) => socket.setKeepAlive(true, 30_000));
    request.end(body);
    return request;
  }

  close(): void {
    this.#agent.destroy();
  }
}
