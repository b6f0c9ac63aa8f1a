/**
 * One HTTP exchange through the gate. A POST is on record before it leaves, or is refused here; its answer passes the
 * observer. Each call ends once: by its answer, by the client that leaves (a cancellation since 2026-07-28), or by a
 * server that breaks off.
 */
import type { ErrorCode } from '../../../schemas/errors.ts';
import { pendingKey } from '../exchange.ts';
import type { AboutLine, Passed } from '../passed.ts';
import type { WireLine, WireMessage } from '../message.ts';
import { answerPost, refuse } from './answers.ts';
import { endExchange, type End } from './exchange-end.ts';
import type { ExchangeOptions } from './exchange-options.ts';
import { knownStream, nameStream, streamOf } from './exchange-stream.ts';
import { isModern, mismatchedHeaders } from './header-check.ts';
import { mismatchControl, mismatchLabels } from './header-mismatch.ts';
import { oldTransportOf, refuseOldTransport } from './old-transport.ts';
import { readRequest, type BodyOutcome } from './request-body.ts';
import { mustNotPass } from './refused-answers.ts';
import { pump } from './response-pump.ts';
import type { GateStream } from './streams.ts';
import { returnedHeaders } from './upstream.ts';
import type { UpstreamAnswer } from './wire/upstream-answer.ts';
import type { Asked } from './wire/upstream-pool.ts';

/** Systems say so where nobody listens: what an upstream knew of its sessions is gone. */
const NOBODY_LISTENS = 'ECONNREFUSED';

export class Exchange {
  readonly #options: ExchangeOptions;
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
  }

  get #sessionId(): string | undefined {
    return this.#options.entrance.session?.id;
  }

  /** Serves the exchange; done, or resolved, when it is under way. Throws where nothing can be put on record. */
  run(): void | Promise<void> {
    const { request, response } = this.#options;
    response.whenClosed(() => {
      this.#release();
      if (!response.isFinished) this.#clientGone();
    });
    if (request.method === 'POST') return this.#post();
    // An event stream, the end of a session, or a browser's question: no message travels to the server.
    request.discard();
    if (request.method === 'GET' && !this.#open([])) return this.#refuse('gate_full');
    if (request.method === 'DELETE') this.#stream = knownStream(this.#options);
    this.#begin();
    if (request.method === 'GET' && this.#stream !== undefined) this.#stream.listening++;
    this.#send(undefined, []);
  }

  // What is at hand goes on in the same turn: a call does not wait for promises that nothing is waiting for.

  #post(): void | Promise<void> {
    const { request, site } = this.#options;
    const body = request.body({ maxBytes: site.maxMessageBytes, held: site.held });
    return body instanceof Promise ? body.then((whole) => this.#read(whole)) : this.#read(body);
  }

  #read(body: BodyOutcome): void | Promise<void> {
    const { request, response } = this.#options;
    if (body.kind === 'gone') return this.#end('client_gone');
    if (body.kind === 'too_large') return this.#refuse('body_too_large');
    if (body.kind === 'no_room') return this.#refuse('gate_busy');
    // Until it is sent, or the exchange is over before.
    this.#release = body.release;
    if (response.isGone) body.release();
    const read = readRequest(request, body.bytes, this.#scopeOfIds());
    if (read.kind === 'refused') return this.#refuse(read.code);
    const { messages } = read.line;
    this.#messages = messages;
    this.#modern = isModern(messages, request.headers);
    if (!this.#open(messages)) return this.#refuse('gate_full');
    this.#begin();
    this.#keys = messages.flatMap(({ id, method }) =>
      id === undefined || method === undefined ? [] : [pendingKey('to_server', id.key)],
    );
    return this.#observe(body.bytes, read.line);
  }

  #observe(body: Buffer, read: WireLine): void | Promise<void> {
    const { request } = this.#options;
    const { served } = this.#options.entrance;
    const mismatched = mismatchedHeaders(this.#messages, request.headers, (tool) => served.params.of(tool));
    const mustRefuse = mismatched.length > 0 && served.upstream.headerMismatch === 'refuse';
    const passed = this.#pass(body, { read, labels: mismatchLabels(mismatched), mustRefuse });
    const goOn = (outcome: Passed): void => {
      if (mustRefuse) this.#refuse('header_mismatch', mismatched.join(', '));
      else this.#goOn(outcome);
    };
    return passed instanceof Promise ? passed.then(goOn) : goOn(passed);
  }

  #goOn({ forward, answers }: Passed): void {
    const { request, response } = this.#options;
    if (forward === undefined) {
      this.#end('refused');
      return answerPost(response, request.headers.accept, answers.join('\n'));
    }
    // It left while the call waited for its controls or for room on the disk.
    if (response.isGone) return this.#clientGone();
    this.#send(forward, answers);
  }

  #pass(
    body: Buffer,
    about: { readonly read: WireLine; readonly labels: readonly string[]; readonly mustRefuse: boolean },
  ): Passed | Promise<Passed> {
    const line: AboutLine = {
      read: about.read,
      scope: this.#scope,
      ...(about.labels.length === 0 ? {} : { labels: about.labels }),
      ...(about.mustRefuse ? { refuse: mismatchControl(Date.now()) } : {}),
    };
    const passed = this.#stream?.capture.pass('to_server', body, line) ?? NOTHING;
    return passed instanceof Promise ? passed.then(judged) : judged(passed);
  }

  /** Ids are one space in an MCP session; where there is none, each exchange is one: only its own answer can end it. */
  #scopeOfIds(): string {
    this.#scope = this.#sessionId === undefined ? `x${this.#options.number}` : '';
    return this.#scope;
  }

  /** Finds or opens the stream; false when there is no room for one. */
  #open(messages: readonly WireMessage[]): boolean {
    const { request } = this.#options;
    this.#stream = streamOf(this.#options, messages);
    this.#stream?.noteClaims(request.headers.authorization);
    return this.#stream !== undefined;
  }

  #begin(): void {
    if (this.#stream !== undefined) this.#stream.busy++;
  }

  // --- the way to the server

  #send(body: Uint8Array | undefined, own: readonly string[]): void {
    const { request } = this.#options;
    const { served, query } = this.#options.entrance;
    const outgoing = {
      method: request.method,
      target: served.client.target(query),
      lines: served.client.forwarded(request),
      body,
    };
    this.#asked = served.client.ask(outgoing, {
      onSent: () => this.#release(),
      onAnswer: (answer) => this.#answered(answer, own),
      onFailed: (code) => this.#failed(code),
    });
  }

  #answered(answer: UpstreamAnswer, own: readonly string[]): void {
    const { request, response, site, rewriteHeaders } = this.#options;
    const { maxMessageBytes, log } = site;
    this.#status = answer.status;
    if (mustNotPass(answer)) {
      this.#asked?.destroy();
      return this.#refuse('upstream_refused');
    }
    if (this.#status < 300 && this.#stream !== undefined)
      nameStream(this.#stream, this.#options, answer.headers['mcp-session-id']);
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
    const { site, response } = this.#options;
    const { served } = this.#options.entrance;
    this.#asked?.destroy();
    this.#end('refused');
    refuseOldTransport(response, served.upstream.name, site.log);
  }

  #passAnswer(message: Uint8Array): Passed | Promise<Passed> {
    const { served } = this.#options.entrance;
    if (this.#messages.some(({ method }) => method === 'tools/list')) served.params.learn(message);
    if (this.#stream === undefined) return { forward: message, answers: [] };
    const passed = this.#stream.capture.pass('to_client', message, { scope: this.#scope });
    if (!(passed instanceof Promise)) return this.#answerServer(passed);
    return passed.then((outcome) => this.#answerServer(outcome));
  }

  /** A call of the server that was refused is answered in the client's stead. */
  #answerServer(passed: Passed): Passed {
    const { request } = this.#options;
    const { served } = this.#options.entrance;
    for (const text of passed.answers) {
      const lines = served.client.forwarded(request);
      const answered = { method: 'POST', lines, body: Buffer.from(text) };
      // Where it fails, the server's own request breaks off with it.
      served.client.ask(answered, { onAnswer: () => undefined, onFailed: () => undefined });
    }
    return passed;
  }

  #failed(code: string): void {
    if (this.#ended) return;
    const { site, response } = this.#options;
    const { served } = this.#options.entrance;
    site.log('warn', 'upstream_unreachable', { server: served.upstream.name, code });
    if (code === NOBODY_LISTENS) this.#stream?.abandonDetached();
    this.#end('server_gone');
    if (response.hasBegun) return response.destroy();
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
    const { request, site } = this.#options;
    const { streams, sessions, resumeGraceMs } = site;
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

/** A line that is held back is judged later. */
const judged = (passed: Passed): Passed | Promise<Passed> => passed.later ?? passed;
