/**
 * The HTTP gate: a reverse proxy in front of MCP servers (streamable HTTP, both eras) that records and enforces as the tap
 * does. One process, many upstreams, many clients; one control channel and one connection to the service for all.
 */
import type http from 'node:http';
import type { Socket } from 'node:net';
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
import { Exchange, type GateRequest, type Served } from './exchange.ts';
import { peerOf, type Peer } from './identity.ts';
import { GateListener } from './listener.ts';
import { metadataUpstream, serveMetadata, withOwnPointer } from './oauth.ts';
import { ParamHeaders } from './param-headers.ts';
import { bodyAtHand, HeldBytes, readBody } from './request-body.ts';
import { GateSessions } from './sessions.ts';
import { StreamTable } from './streams.ts';
import { UpstreamClient } from './upstream.ts';
import type { Answer } from './wire/answer.ts';
import type { PlainRequest } from './wire/request-head.ts';

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
/** Node's parser takes more in a target than may go on. */
const NO_TARGET = /[^\u0021-\u00FF]/u;
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
  readonly #listener: GateListener;
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
    this.#listener = new GateListener(gate.listen, {
      serve: (request, response) => this.#serve(request, response),
      servePlain: (request, answer, socket) => this.#servePlain(request, answer, socket),
    });
    this.#sweeper = setInterval(() => {
      this.#streams.sweep();
      this.#sessions.sweep();
    }, SWEEP_INTERVAL_MS);
    this.#sweeper.unref();
  }

  get streams(): number {
    return this.#streams.size;
  }

  async listen(): Promise<string> {
    try {
      return await this.#listener.listen();
    } catch (error) {
      clearInterval(this.#sweeper);
      throw error;
    }
  }

  #serve(request: http.IncomingMessage, response: http.ServerResponse): void {
    const { gate } = this.#options;
    const { path, query } = splitTarget(request.url ?? '');
    const described = metadataUpstream(gate.upstreams, path);
    if (described !== undefined) return this.#metadata(request, response, described);
    const served = this.#byPath.get(path);
    if (served === undefined || NO_TARGET.test(query)) return refuse(response, 'not_found');
    this.#enter({ served, query, request: requestOf(request), response, socket: request.socket });
  }

  /** False for what it does not serve. */
  #servePlain(request: PlainRequest, response: Answer, socket: Socket): boolean {
    const { path, query } = splitTarget(request.target);
    const served = this.#byPath.get(path);
    if (served === undefined) return false;
    this.#enter({ served, query, request: plainRequestOf(request), response, socket });
    return true;
  }

  #enter(coming: Coming): void {
    const { gate, settings } = this.#options;
    const { served, request, response, socket } = coming;
    const peer = peerOf(socket, settings.host);
    const { method, headers } = request;
    const caller = { method, headers, hasCertificate: peer.certificate !== undefined };
    const admission = admit(gate, served.upstream, caller);
    if (admission.kind === 'out') return refuse(response, admission.code);
    if (headers.via?.includes(this.#via) === true) return refuse(response, 'gate_loop');
    if (!METHODS.has(method)) return refuseMethod(response);
    this.#exchange(coming, peer, admission.client);
  }

  #exchange(
    { served, query, request, response }: Coming,
    peer: Peer,
    client: GateClientKey | undefined,
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
  #faulted(response: Answer, error: unknown): void {
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
    const closed = this.#listener.stop();
    // Calls in flight are put on record as abandoned first; their exchanges then find them ended.
    const recorded = this.#streams.close();
    this.#listener.breakOff();
    for (const { client } of this.#byPath.values()) client.close();
    await Promise.all([closed, recorded]);
    this.#shared.publisher.close();
  }
}

/** A request to one of the upstreams. */
interface Coming {
  readonly served: Served;
  /** With its `?`. */
  readonly query: string;
  readonly request: GateRequest;
  readonly response: Answer;
  readonly socket: Socket;
}

const requestOf = (request: http.IncomingMessage): GateRequest => ({
  method: request.method ?? '',
  headers: request.headers,
  rawHeaders: request.rawHeaders,
  body: (limits) => readBody(request, limits),
  discard: () => void request.resume(),
});

const plainRequestOf = ({ method, headers, rawHeaders, body }: PlainRequest): GateRequest => ({
  method,
  headers,
  rawHeaders,
  body: (limits) => bodyAtHand(body, limits),
  discard: () => undefined,
});

function refuseMethod(response: Answer): void {
  response.writeHead(405, ['Allow', [...METHODS].join(', '), 'Content-Length', '0']);
  response.end();
}

function scopeOf(peer: Peer, clientId: string | undefined): string {
  if (peer.certificate !== undefined) return `certificate ${peer.certificate.fingerprint}`;
  return clientId === undefined ? `address ${peer.address}` : `client ${clientId}`;
}
