/**
 * The HTTP gate: a reverse proxy in front of MCP servers (streamable HTTP, both eras) that records and enforces as the tap
 * does. One process, many upstreams, many clients; one control channel and one connection to the service for all.
 */
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { TriplineError } from '../../../schemas/errors.ts';
import { Capture } from '../capture.ts';
import type { CaptureTimings, SharedParts } from '../capture-options.ts';
import { fixedBoundary } from '../labels/host-labels.ts';
import type { CaptureLog } from '../log.ts';
import { randomHex } from '../random.ts';
import type { CaptureSettings } from '../settings.ts';
import type { SpanSource } from '../spans.ts';
import { refuse } from './answers.ts';
import { splitTarget, type GateClientKey, type GateSettings, type GateUpstream } from './config.ts';
import { admit, isWelcome } from './door.ts';
import { Exchange, type ExchangeOptions, type Served } from './exchange.ts';
import { peerOf, type Peer } from './identity.ts';
import { metadataUpstream, serveMetadata, withOwnPointer } from './oauth.ts';
import { ParamHeaders } from './param-headers.ts';
import { HeldBytes } from './request-body.ts';
import { GateSessions } from './sessions.ts';
import { StreamTable } from './streams.ts';
import { UpstreamClient } from './upstream.ts';

export interface GateOptions {
  readonly gate: GateSettings;
  readonly settings: CaptureSettings;
  readonly log: CaptureLog;
  readonly spans?: SpanSource;
  readonly timings?: Partial<CaptureTimings>;
  /** A request above is refused, an answer above goes on unseen. */
  readonly maxMessageBytes?: number;
}

export interface RunningGate {
  readonly url: string;
  /** Streams that are open. */
  readonly streams: number;
  /** Stops to listen, breaks off what is under way, and puts it on record. */
  stop(): Promise<void>;
}

/** As the tap's limit of a line. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;
const SWEEP_INTERVAL_MS = 1_000;
/** Longer than clients keep an idle connection, so that they close it first. */
const KEEP_ALIVE_MS = 65_000;
const METHODS: ReadonlySet<string> = new Set(['POST', 'GET', 'DELETE', 'OPTIONS']);

/** Listens and serves; throws where it cannot listen or nothing can be put on record. */
export async function startGate(asked: GateOptions): Promise<RunningGate> {
  const { boundary } = asked.gate;
  const options: GateOptions =
    boundary === undefined
      ? asked
      : { ...asked, settings: { ...asked.settings, boundary: fixedBoundary(boundary) } };
  // The gate's own stream: its life, and what it says of controls.
  const own = new Capture({
    settings: options.settings,
    server: 'gate',
    transport: 'other',
    hostPid: process.ppid,
    log: options.log,
    ...(options.timings === undefined ? {} : { timings: options.timings }),
  });
  await own.loadPolicy();
  const gate = new Gate(options, own.share());
  const url = await gate.listen();
  await own.start();
  return {
    url,
    get streams() {
      return gate.streams;
    },
    stop: async () => {
      await gate.stop();
      await own.close();
    },
  };
}

class Gate {
  readonly #options: GateOptions;
  readonly #shared: SharedParts;
  readonly #server: http.Server;
  readonly #byPath = new Map<string, Served>();
  readonly #streams: StreamTable;
  readonly #sessions: GateSessions;
  readonly #held: HeldBytes;
  readonly #via = `tripline-${randomHex(8)}`;
  readonly #sweeper: NodeJS.Timeout;
  #exchanges = 0;

  constructor(options: GateOptions, shared: SharedParts) {
    this.#options = options;
    this.#shared = shared;
    const { gate, settings, log } = options;
    const nowMs = (): number => Date.now();
    for (const upstream of gate.upstreams)
      this.#byPath.set(upstream.path, {
        upstream,
        client: new UpstreamClient(upstream, this.#via),
        params: new ParamHeaders(),
      });
    this.#held = new HeldBytes(gate.listen.maxHeldBytes);
    this.#sessions = new GateSessions({
      sources: gate.sessions.sources,
      idleMs: gate.streams.idleMs,
      nowMs,
    });
    this.#streams = new StreamTable({
      settings,
      shared,
      spans: options.spans,
      timings: options.timings ?? {},
      max: gate.streams.max,
      idleMs: gate.streams.idleMs,
      nowMs,
      log,
    });
    this.#server = this.#newServer();
    this.#sweeper = setInterval(() => {
      this.#streams.sweep();
      this.#sessions.sweep();
    }, SWEEP_INTERVAL_MS);
    this.#sweeper.unref();
  }

  get streams(): number {
    return this.#streams.size;
  }

  #newServer(): http.Server {
    const { listen } = this.#options.gate;
    const serve = (request: http.IncomingMessage, response: http.ServerResponse): void =>
      this.#serve(request, response);
    const limits = { keepAliveTimeout: KEEP_ALIVE_MS };
    const server =
      listen.tls === undefined
        ? http.createServer(limits, serve)
        : https.createServer(
            {
              ...limits,
              cert: listen.tls.cert,
              key: listen.tls.key,
              ...(listen.tls.clientCa === undefined
                ? {}
                : { ca: listen.tls.clientCa, requestCert: true, rejectUnauthorized: true }),
            },
            serve,
          );
    server.maxConnections = listen.maxConnections;
    return server;
  }

  async listen(): Promise<string> {
    const { host, port, tls } = this.#options.gate.listen;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen(port, host, resolve);
      });
    } catch (cause) {
      clearInterval(this.#sweeper);
      const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
      throw new TriplineError('internal', `cannot listen on ${host} port ${port} (${code})`, { cause });
    }
    const address = this.#server.address() as AddressInfo;
    const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
    return `${tls === undefined ? 'http' : 'https'}://${name}:${address.port}`;
  }

  #serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { gate, settings } = this.#options;
    const { path, query } = splitTarget(request.url ?? '');
    const described = metadataUpstream(gate.upstreams, path);
    if (described !== undefined) return this.#metadata(request, response, described);
    const served = this.#byPath.get(path);
    if (served === undefined) return refuse(response, 'not_found');
    const peer = peerOf(request.socket, settings.host);
    const hasCertificate = peer.certificate !== undefined;
    const caller = { method: request.method ?? '', headers: request.headers, hasCertificate };
    const admission = admit(gate, served.upstream, caller);
    if (admission.kind === 'out') return refuse(response, admission.code);
    if (request.headers.via?.includes(this.#via) === true) return refuse(response, 'gate_loop');
    if (!METHODS.has(caller.method)) return refuseMethod(response);
    const { client } = admission;
    this.#exchange({ request, response }, { served, query, peer, client });
  }

  #exchange(
    { request, response }: Pick<ExchangeOptions, 'request' | 'response'>,
    { served, query, peer, client }: Entered,
  ): void {
    const { gate, log, maxMessageBytes = MAX_MESSAGE_BYTES } = this.#options;
    const { upstream } = served;
    const exchange = new Exchange({
      served,
      streams: this.#streams,
      sessions: this.#sessions,
      request,
      response,
      query,
      peer,
      scope: scopeOf(peer, client?.id),
      agent: client?.agent ?? upstream.agent,
      principal: peer.certificate?.subject ?? client?.id,
      number: ++this.#exchanges,
      resumeGraceMs: gate.streams.resumeGraceMs,
      maxMessageBytes,
      held: this.#held,
      rewriteHeaders: (returned) => withOwnPointer(returned, gate, { upstream, request: request.headers }),
      log,
    });
    exchange.run().catch((error: unknown) => this.#faulted(response, error));
  }

  /** Nothing can be put on record, as where the disk refuses a new stream: then nothing passes. */
  #faulted(response: http.ServerResponse, error: unknown): void {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    this.#options.log('error', 'exchange_failed', { code });
    if (response.headersSent) response.destroy();
    else refuse(response, 'not_ready');
  }

  #metadata(request: http.IncomingMessage, response: http.ServerResponse, upstream: GateUpstream): void {
    const { gate } = this.#options;
    const served = this.#byPath.get(upstream.path);
    if (!isWelcome(gate, upstream, request.headers)) return refuse(response, 'gate_origin_refused');
    if (request.method !== 'GET' || served === undefined) return refuse(response, 'not_found');
    serveMetadata({ request, response }, gate, served);
  }

  async stop(): Promise<void> {
    clearInterval(this.#sweeper);
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    // Calls in flight are put on record as abandoned first; their exchanges then find them ended.
    const recorded = this.#streams.close();
    this.#server.closeAllConnections();
    for (const { client } of this.#byPath.values()) client.close();
    await Promise.all([closed, recorded]);
    this.#shared.publisher.close();
  }
}

/** A request that may come in. */
interface Entered {
  readonly served: Served;
  readonly query: string;
  readonly peer: Peer;
  readonly client: GateClientKey | undefined;
}

function refuseMethod(response: http.ServerResponse): void {
  response.writeHead(405, { allow: [...METHODS].join(', ') });
  response.end();
}

function scopeOf(peer: Peer, clientId: string | undefined): string {
  if (peer.certificate !== undefined) return `certificate ${peer.certificate.fingerprint}`;
  return clientId === undefined ? `address ${peer.address}` : `client ${clientId}`;
}
