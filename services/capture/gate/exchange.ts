/**
 * One HTTP exchange through the gate. A POST is on record before it leaves, or is refused here; its answer passes the
 * observer. Each call ends once: by its answer, by the client that leaves (a cancellation since 2026-07-28), or by a
 * server that breaks off.
 */
import type { ErrorCode } from '../../../schemas/errors.ts';
import { pendingKey } from '../exchange.ts';
import type { AboutLine, Passed } from '../passed.ts';
import type { CaptureLog } from '../log.ts';
import type { WireLine, WireMessage } from '../message.ts';
import { answerPost, refuse } from './answers.ts';
import type { GateUpstream } from './config.ts';
import { endExchange, type End } from './exchange-end.ts';
import { isModern, mismatchedHeaders } from './header-check.ts';
import { mismatchControl, mismatchLabels } from './header-mismatch.ts';
import type { Peer } from './identity.ts';
import { oldTransportOf, refuseOldTransport } from './old-transport.ts';
import type { ParamHeaders } from './param-headers.ts';
import { readRequest, type BodyLimits, type BodyOutcome, type HeldBytes } from './request-body.ts';
import { pump } from './response-pump.ts';
import { conversationOf, type GateSessions } from './sessions.ts';
import { StreamTable, type GateStream, type StreamAbout } from './streams.ts';
import { returnedHeaders, type Forwardable, type UpstreamClient } from './upstream.ts';
import type { Answer } from './wire/answer.ts';
import type { UpstreamAnswer } from './wire/upstream-answer.ts';
import type { Asked } from './wire/upstream-pool.ts';

/** An upstream and what is kept beside it. */
export interface Served {
  readonly upstream: GateUpstream;
  readonly client: UpstreamClient;
  readonly params: ParamHeaders;
}

/** A client's request; its body is read once it is asked for. */
export interface GateRequest extends Forwardable {
  readonly method: string;
  body(limits: BodyLimits): BodyOutcome | Promise<BodyOutcome>;
  /** Nobody wants its body. */
  discard(): void;
}

export interface ExchangeOptions {
  readonly served: Served;
  readonly streams: StreamTable;
  readonly sessions: GateSessions;
  readonly request: GateRequest;
  readonly response: Answer;
  /** Of the request target, with its `?`. */
  readonly query: string;
  readonly peer: Peer;
  readonly scope: string;
  readonly agent: string | undefined;
  readonly principal: string | undefined;
  /** Numbers the exchanges of this gate. */
  readonly number: number;
  readonly resumeGraceMs: number;
  readonly maxMessageBytes: number;
  /** What the bodies of all exchanges of this gate hold. */
  readonly held: HeldBytes;
  /** Changes the headers of an answer (resource metadata). */
  readonly rewriteHeaders: (headers: string[]) => string[];
  readonly log: CaptureLog;
}

/** Systems say so where nobody listens: what an upstream knew of its sessions is gone. */
const NOBODY_LISTENS = 'ECONNREFUSED';

export class Exchange {
  readonly #options: ExchangeOptions;
  readonly #sessionId: string | undefined;
  #scope = '';
  #messages: readonly WireMessage[] = [];
  #stream: GateStream | undefined;
  /** Requests of this POST, as the observer keys them. */
  #keys: readonly string[] = [];
  #modern = false;
  #mayResume = false;
  #status = 0;
  #asked: Asked | undefined;
  #ended = false;
  #release: () => void = () => undefined;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    const sessionId = options.request.headers['mcp-session-id'];
    this.#sessionId = typeof sessionId === 'string' && sessionId !== '' ? sessionId : undefined;
  }

  /** Serves the exchange; resolves when it is under way, never throws. */
  async run(): Promise<void> {
    const { request, response } = this.#options;
    // A client that leaves in the middle of a write; `close` follows.
    response.on('error', () => undefined);
    response.on('close', () => {
      if (!response.writableFinished) this.#clientGone();
    });
    if (request.method === 'POST') return await this.#post();
    // An event stream, the end of a session, or a browser's question: no message travels to the server.
    request.discard();
    if (request.method === 'GET' && !this.#open([])) return this.#refuse('gate_full');
    if (request.method === 'DELETE') this.#stream = this.#known();
    this.#begin();
    if (request.method === 'GET' && this.#stream !== undefined) this.#stream.listening++;
    this.#send(undefined, []);
  }

  async #post(): Promise<void> {
    const { request, response, maxMessageBytes, held } = this.#options;
    const reading = request.body({ maxBytes: maxMessageBytes, held });
    const body = reading instanceof Promise ? await reading : reading;
    if (body.kind === 'gone') return this.#end('client_gone');
    if (body.kind === 'too_large') return this.#refuse('body_too_large');
    if (body.kind === 'no_room') return this.#refuse('gate_busy');
    // Until it is sent, or the exchange is over before.
    this.#release = body.release;
    if (response.destroyed) body.release();
    else response.on('close', body.release);
    const read = readRequest(request.headers, body.bytes, this.#scopeOfIds());
    if (read.kind === 'refused') return this.#refuse(read.code);
    const { messages } = read.line;
    this.#messages = messages;
    this.#modern = isModern(messages, request.headers);
    if (!this.#open(messages)) return this.#refuse('gate_full');
    this.#begin();
    this.#keys = messages.flatMap(({ id, method }) =>
      id === undefined || method === undefined ? [] : [pendingKey('to_server', id.key)],
    );
    await this.#observeAndSend(body.bytes, read.line);
  }

  async #observeAndSend(body: Buffer, read: WireLine): Promise<void> {
    const { request, response, served } = this.#options;
    const mismatched = mismatchedHeaders(this.#messages, request.headers, (tool) => served.params.of(tool));
    const mustRefuse = mismatched.length > 0 && served.upstream.headerMismatch === 'refuse';
    const passed = await this.#pass(body, { read, labels: mismatchLabels(mismatched), mustRefuse });
    if (mustRefuse) return this.#refuse('header_mismatch', mismatched.join(', '));
    if (passed.forward === undefined) {
      this.#end('refused');
      return answerPost(response, request.headers.accept, passed.answers.join('\n'));
    }
    // It left while the call waited for its controls or for room on the disk.
    if (response.destroyed) return this.#clientGone();
    this.#send(passed.forward, passed.answers);
  }

  async #pass(
    body: Buffer,
    about: { readonly read: WireLine; readonly labels: readonly string[]; readonly mustRefuse: boolean },
  ): Promise<Passed> {
    const line: AboutLine = {
      read: about.read,
      scope: this.#scope,
      ...(about.labels.length === 0 ? {} : { labels: about.labels }),
      ...(about.mustRefuse ? { refuse: mismatchControl(Date.now()) } : {}),
    };
    const passed = this.#stream?.capture.pass('to_server', body, line) ?? NOTHING;
    const { later, ...now } = passed instanceof Promise ? await passed : passed;
    return later === undefined ? now : await later;
  }

  /** Ids are one space in an MCP session; where there is none, each exchange is one: only its own answer can end it. */
  #scopeOfIds(): string {
    this.#scope = this.#sessionId === undefined ? `x${this.#options.number}` : '';
    return this.#scope;
  }

  // --- streams

  #known(): GateStream | undefined {
    if (this.#sessionId === undefined) return undefined;
    return this.#options.streams.find(this.#key({ mcp: this.#sessionId }));
  }

  #key(name: Parameters<typeof StreamTable.key>[1]): string {
    const { served, scope } = this.#options;
    return StreamTable.key({ upstream: served.upstream.name, scope }, name);
  }

  /** Finds or opens the stream; false when there is no room for one. */
  #open(messages: readonly WireMessage[]): boolean {
    const { streams, request } = this.#options;
    this.#stream = this.#known();
    if (this.#stream === undefined) {
      const about = this.#about(messages);
      const begins = this.#begins(messages);
      const key =
        this.#sessionId === undefined
          ? this.#key({ own: about.session.id })
          : this.#key({ mcp: this.#sessionId });
      this.#stream =
        (begins ? undefined : streams.find(key)) ?? streams.open(about, begins ? undefined : key);
    }
    this.#stream?.noteClaims(request.headers.authorization);
    return this.#stream !== undefined;
  }

  #begins(messages: readonly WireMessage[]): boolean {
    return this.#sessionId === undefined && messages.some(({ method }) => method === 'initialize');
  }

  #about(messages: readonly WireMessage[]): StreamAbout {
    const { served, sessions, peer, scope, agent, principal, request } = this.#options;
    const conversationId = conversationOf(messages, request.headers);
    const session = sessions.of({
      upstream: served.upstream.name,
      scope,
      connectionId: peer.id,
      processSession: () => peer.processSession,
      conversationId,
      mcpSessionId: this.#sessionId,
      begins: this.#begins(messages),
    });
    return {
      upstream: served.upstream.name,
      scope,
      session,
      agent,
      principal,
      mcpSessionId: this.#sessionId,
      conversationId,
      certificateHash: peer.certificate?.fingerprint,
      authorization: request.headers.authorization,
    };
  }

  /** The server names the session that this `initialize` began. */
  #named(sessionId: string | undefined): void {
    const stream = this.#stream;
    if (stream === undefined || stream.key !== undefined) return;
    const { streams } = this.#options;
    if (sessionId !== undefined) {
      streams.name(stream, this.#key({ mcp: sessionId }), sessionId);
      return;
    }
    const own = this.#key({ own: stream.capture.session });
    if (streams.find(own) === undefined) streams.register(stream, own);
  }

  #begin(): void {
    if (this.#stream !== undefined) this.#stream.busy++;
  }

  // --- the way to the server

  #send(body: Uint8Array | undefined, own: readonly string[]): void {
    const { served, request, query } = this.#options;
    const outgoing = {
      method: request.method,
      target: served.client.target(query),
      headers: served.client.forwarded(request),
      body,
    };
    this.#asked = served.client.ask(outgoing, {
      onSent: () => this.#release(),
      onAnswer: (answer) => this.#answered(answer, own),
      onFailed: (code) => this.#failed(code),
    });
  }

  #answered(answer: UpstreamAnswer, own: readonly string[]): void {
    const { request, response, maxMessageBytes, rewriteHeaders, log } = this.#options;
    this.#status = answer.status;
    if (mustNotPass(answer)) {
      this.#asked?.destroy();
      return this.#refuse('upstream_refused');
    }
    if (this.#status < 300) this.#named(answer.headers['mcp-session-id']);
    if (this.#status === 202) this.#mayResume = true;
    pump({
      from: answer,
      to: response,
      headers: rewriteHeaders(returnedHeaders(answer)),
      pass: (message) => this.#passAnswer(message),
      own,
      maxMessageBytes,
      onLongMessage: () =>
        log('error', 'line_too_long', { direction: 'to_client', maxBytes: maxMessageBytes }),
      onEventId: () => {
        this.#mayResume = true;
      },
      oldTransport: oldTransportOf(request.method, this.#sessionId, () => this.#speaksOldTransport()),
      onDone: () => this.#end('complete'),
      onBrokenOff: () => this.#brokeOff(),
    });
  }

  #speaksOldTransport(): void {
    const { served, log, response } = this.#options;
    this.#asked?.destroy();
    this.#end('refused');
    refuseOldTransport(response, served.upstream.name, log);
  }

  #passAnswer(message: Uint8Array): Passed | Promise<Passed> {
    const { served } = this.#options;
    if (this.#messages.some(({ method }) => method === 'tools/list')) served.params.learn(message);
    if (this.#stream === undefined) return { forward: message, answers: [] };
    const passed = this.#stream.capture.pass('to_client', message, { scope: this.#scope });
    if (!(passed instanceof Promise)) return this.#answerServer(passed);
    return passed.then((outcome) => this.#answerServer(outcome));
  }

  /** A call of the server that was refused is answered in the client's stead. */
  #answerServer(passed: Passed): Passed {
    const { served, request } = this.#options;
    for (const text of passed.answers) {
      const headers = served.client.forwarded(request);
      const answered = { method: 'POST', headers, body: Buffer.from(text) };
      // Where it fails, the server's own request breaks off with it.
      served.client.ask(answered, { onAnswer: () => undefined, onFailed: () => undefined });
    }
    return passed;
  }

  #failed(code: string): void {
    if (this.#ended) return;
    const { served, log, response } = this.#options;
    log('warn', 'upstream_unreachable', { server: served.upstream.name, code });
    if (code === NOBODY_LISTENS) this.#stream?.abandonDetached();
    this.#end('server_gone');
    if (response.headersSent) return void response.destroy();
    refuse(response, 'upstream_unreachable', this.#messages);
  }

  #brokeOff(): void {
    if (this.#ended) return;
    this.#end('server_gone');
    this.#options.response.destroy();
  }

  #clientGone(): void {
    this.#asked?.destroy();
    this.#end('client_gone');
  }

  #refuse(code: ErrorCode, detail?: string): void {
    this.#end('refused');
    const { response } = this.#options;
    refuse(response, code, this.#messages, detail);
  }

  /** Once: what is to be said of the calls that got no answer. */
  #end(how: End): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#stream === undefined) return;
    const { request, streams, sessions, resumeGraceMs } = this.#options;
    const ended = {
      how,
      method: request.method,
      mcpSessionId: this.#sessionId,
      keys: this.#keys,
      ownsIds: this.#scope !== '',
      isModern: this.#modern,
      mayResume: this.#mayResume,
      status: this.#status,
    };
    endExchange(this.#stream, ended, { streams, sessions, resumeGraceMs, nowMs: () => Date.now() });
  }
}

const NOTHING: Passed = { forward: undefined, answers: [] };

/** A client would follow a redirect past the gate; what is encoded cannot be looked at. */
function mustNotPass({ headers, status }: UpstreamAnswer): boolean {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') return true;
  return status >= 300 && status < 400 && status !== 304;
}
