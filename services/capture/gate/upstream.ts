/** The way to one upstream: kept-alive connections, its TLS, and the headers of a proxy (RFC 9110 §7.6). */
import type { IncomingHttpHeaders } from 'node:http';
import net, { isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { GateUpstream } from './config.ts';
import { TOKEN_HEADER } from './door.ts';
import { headerLines, type RawHeaders } from './wire/header-fields.ts';
import type { AskHandlers, UpstreamAnswer } from './wire/upstream-answer.ts';
import { UpstreamPool, type Asked } from './wire/upstream-pool.ts';

const HTTP_PORT = 80;
const HTTPS_PORT = 443;

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
]);

/**
 * A connection without a request is closed by us before its server does it, 5 s later where nothing is said (uvicorn): a
 * POST that meets the end of its connection may have been served and cannot be sent again. It bounds no request.
 */
const IDLE_SOCKET_MS = 4_000;

const NONE: readonly string[] = [];
/** Smaller bodies are copied behind their head: one write instead of two that are gathered. */
const MAX_COPIED_BYTES = 64 * 1024;

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

/** By the headers of a server's answers, which are one array where they say the same. */
const returned = new WeakMap<RawHeaders, RawHeaders>();

/** Headers of a server's answer as they go on, without Content-Length and Date. */
export function returnedHeaders({
  headers,
  rawHeaders,
}: Pick<UpstreamAnswer, 'headers' | 'rawHeaders'>): RawHeaders {
  const known = returned.get(rawHeaders);
  if (known !== undefined) return known;
  const kept = without(rawHeaders, NOT_RETURNED, named(headers['connection']));
  returned.set(rawHeaders, kept);
  return kept;
}

export interface UpstreamRequest {
  readonly method: string;
  /** Path and query; the upstream's own path where absent. */
  readonly target?: string;
  /** Its own header lines, each with its end. */
  readonly lines: string;
  readonly body?: Uint8Array | undefined;
}

/** A client's request, as far as its headers go. */
export interface Forwardable {
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: RawHeaders;
}

export class UpstreamClient {
  readonly #upstream: GateUpstream;
  readonly #via: string;
  readonly #pool: UpstreamPool;
  /** Lower-case names of a client that do not go on: those that are set here among them. */
  readonly #leftOut: ReadonlySet<string>;
  /** By the headers of a client's requests, which are one array where they say the same. */
  readonly #forwarded = new WeakMap<RawHeaders, string>();
  /** What is the same in each request. */
  readonly #before: string;
  readonly #after: string;

  /** `via` names this gate (RFC 9110 §7.6.3). */
  constructor(upstream: GateUpstream, via: string) {
    this.#upstream = upstream;
    this.#via = via;
    this.#leftOut = new Set([...NOT_FORWARDED, ...upstream.headers.map(([name]) => name)]);
    this.#pool = new UpstreamPool({
      connect: connectorOf(upstream),
      idleMs: IDLE_SOCKET_MS,
      nowMs: () => performance.now(),
    });
    this.#before = ` HTTP/1.1\r\nHost: ${upstream.url.host}\r\n`;
    const after = [...upstream.headers.flat(), 'Accept-Encoding', 'identity', 'Connection', 'keep-alive'];
    this.#after = headerLines(after);
  }

  /** Path of the endpoint, and its own query joined with the caller's. */
  target(query: string): string {
    const { pathname, search } = this.#upstream.url;
    if (search === '') return pathname + query;
    return `${pathname}${search}${query === '' ? '' : `&${query.slice(1)}`}`;
  }

  /** Header lines of a client's request as they go on. */
  forwarded({ headers, rawHeaders }: Forwardable): string {
    const known = this.#forwarded.get(rawHeaders);
    if (known !== undefined) return known;
    const kept = without(rawHeaders, this.#leftOut, named(headers.connection));
    const before = headers.via;
    kept.push('Via', before === undefined ? `1.1 ${this.#via}` : `${before}, 1.1 ${this.#via}`);
    const lines = headerLines(kept);
    this.#forwarded.set(rawHeaders, lines);
    return lines;
  }

  /** Sends a request to the configured URL; what becomes of it is told to `handlers`. No time limit. */
  ask({ method, target, lines, body }: UpstreamRequest, handlers: AskHandlers): Asked {
    const length = body === undefined ? '' : `Content-Length: ${body.length}\r\n`;
    const text = `${method} ${target ?? this.target('')}${this.#before}${lines}${this.#after}${length}\r\n`;
    return this.#pool.ask(messageOf(text, body), handlers);
  }

  close(): void {
    this.#pool.close();
  }
}

function messageOf(head: string, body: Uint8Array | undefined): readonly Uint8Array[] {
  if (body === undefined || body.length > MAX_COPIED_BYTES) {
    const first = Buffer.from(head, 'latin1');
    return body === undefined ? [first] : [first, body];
  }
  const whole = Buffer.allocUnsafe(head.length + body.length);
  whole.write(head, 'latin1');
  whole.set(body, head.length);
  return [whole];
}

/** Opens connections as the URL says; a session of TLS is taken up again by those that follow. */
function connectorOf({ url, tls }: GateUpstream): () => Socket {
  const host = url.hostname.replace(/^\[|\]$/gu, '');
  if (url.protocol !== 'https:') {
    const port = url.port === '' ? HTTP_PORT : Number(url.port);
    return () => net.connect({ host, port });
  }
  const port = url.port === '' ? HTTPS_PORT : Number(url.port);
  const options = {
    ...tls,
    host,
    port,
    ALPNProtocols: ['http/1.1'],
    ...(isIP(host) === 0 ? { servername: host } : {}),
  };
  let session: Buffer | undefined;
  return () => {
    const socket = connectTls(session === undefined ? options : { ...options, session });
    return socket.on('session', (begun) => {
      session = begun;
    });
  };
}
