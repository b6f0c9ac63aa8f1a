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
import { splitTarget, type GateSettings, type GateUpstream } from './config.ts';
import { isWelcome } from './door.ts';
import { enter, METHODS, type Entering, type Entrance } from './entrance.ts';
import { Exchange } from './exchange.ts';
import type { GateRequest, GateSite, Served } from './exchange-options.ts';
import { peerOf } from './identity.ts';
import { GateListener } from './listener.ts';
import { metadataUpstream, serveMetadata, withOwnPointer } from './oauth.ts';
import { ParamHeaders } from './param-headers.ts';
import { bodyAtHand, HeldBytes, readBody } from './request-body.ts';
import { GateSessions } from './sessions.ts';
import { StreamTable } from './streams.ts';
import { UpstreamClient } from './upstream.ts';
import { NodeAnswer, type Answer } from './wire/answer.ts';
import type { HeadShape } from './wire/header-fields.ts';
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
  readonly #site: GateSite;
  /** Of plain requests that came in. A shape is one connection's alone, and so is what it stands for. */
  readonly #entrances = new WeakMap<HeadShape, Entrance>();
  readonly #byPath = new Map<string, Served>();
  readonly #streams: StreamTable;
  readonly #sessions: GateSessions;
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
    this.#site = {
      streams: this.#streams,
      sessions: this.#sessions,
      held: new HeldBytes(gate.listen.maxHeldBytes),
      resumeGraceMs: gate.streams.resumeGraceMs,
      maxMessageBytes: options.maxMessageBytes ?? MAX_MESSAGE_BYTES,
      log,
    };
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

  #serve(incoming: http.IncomingMessage, outgoing: http.ServerResponse): void {
    const { gate, settings } = this.#options;
    const response = new NodeAnswer(outgoing);
    const { path, query } = splitTarget(incoming.url ?? '');
    const described = metadataUpstream(gate.upstreams, path);
    if (described !== undefined) return this.#metadata(incoming, response, described);
    const served = this.#byPath.get(path);
    if (served === undefined || NO_TARGET.test(query)) return refuse(response, 'not_found');
    const request = requestOf(incoming);
    const { method, headers } = request;
    const peer = peerOf(incoming.socket, settings.host);
    const entering = enter(gate, this.#via, { served, query, method, headers, peer });
    this.#enter(entering, request, response);
  }

  /** False for what it does not serve. */
  #servePlain(request: PlainRequest, response: Answer, socket: Socket): boolean {
    const { shape } = request;
    const known = this.#entrances.get(shape);
    if (known !== undefined) {
      this.#exchange(known, plainRequestOf(request), response);
      return true;
    }
    const { gate, settings } = this.#options;
    const { path, query } = splitTarget(request.target);
    const served = metadataUpstream(gate.upstreams, path) === undefined ? this.#byPath.get(path) : undefined;
    if (served === undefined) return false;
    const { method, headers } = request;
    const peer = peerOf(socket, settings.host);
    const entering = enter(gate, this.#via, { served, query, method, headers, peer });
    if (entering.kind === 'in') this.#entrances.set(shape, entering.entrance);
    this.#enter(entering, plainRequestOf(request), response);
    return true;
  }

  #enter(entering: Entering, request: GateRequest, response: Answer): void {
    switch (entering.kind) {
      case 'out':
        return refuse(response, entering.code);
      case 'method_not_allowed':
        return refuseMethod(response);
      case 'in':
        return this.#exchange(entering.entrance, request, response);
    }
  }

  #exchange(entrance: Entrance, request: GateRequest, response: Answer): void {
    const { gate } = this.#options;
    const { upstream } = entrance.served;
    const exchange = new Exchange({
      entrance,
      site: this.#site,
      request,
      response,
      number: ++this.#exchanges,
      rewriteHeaders: (returned) => withOwnPointer(returned, gate, { upstream, request: request.headers }),
    });
    try {
      exchange.run()?.catch((error: unknown) => this.#faulted(response, error));
    } catch (error) {
      this.#faulted(response, error);
    }
  }

  /** Nothing can be put on record, as where the disk refuses a new stream: then nothing passes. */
  #faulted(response: Answer, error: unknown): void {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    this.#options.log('error', 'exchange_failed', { code });
    if (response.hasBegun) response.destroy();
    else refuse(response, 'not_ready');
  }

  #metadata(request: http.IncomingMessage, response: Answer, upstream: GateUpstream): void {
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
  response.begin({ status: 405, headers: ['Allow', [...METHODS].join(', ')], length: 0 });
  response.end();
}
