/**
 * A real HTTP and WebSocket receiver on loopback that takes what hosts send: events with their headers, and it gives
 * signed controls. It is no part of the product; it checks each line with the event schema.
 */
import { generateKeyPairSync, sign, createHash, randomUUID } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';
import { CONTROL_SIGNATURE_DOMAIN, type Control, type SignedControl } from '../../../schemas/control/v1.ts';
import { REQUIRED_BY_KIND, zEvent, type Event } from '../../../schemas/event/v1.ts';

export interface ReceivedBatch {
  readonly prev: string;
  readonly authorization: string | undefined;
  readonly lines: readonly string[];
}

export class Receiver {
  readonly batches: ReceivedBatch[] = [];
  readonly faults: string[] = [];
  /** Each once, in the order in which they came first: a host that got no answer in time sends again, as to the service. */
  readonly #events = new Map<string, { readonly line: string; readonly event: Event }>();
  readonly #server = http.createServer((request, response) => void this.#handle(request, response));
  readonly #sockets = new WebSocketServer({ server: this.#server, path: '/v1/controls/stream' });
  readonly #keys = generateKeyPairSync('ed25519');
  readonly #controls = new Map<string, SignedControl>();
  #version = 0;
  /** Answers instead of 202, one for each request. */
  readonly answers: { readonly status: number; readonly body: unknown }[] = [];
  readonly #waiters = new Set<() => void>();
  /** Ends connections without an answer. */
  away = false;

  async start(port = 0): Promise<void> {
    this.#sockets.on('connection', (socket: WebSocket) => {
      socket.send(JSON.stringify({ type: 'snapshot', controls: [...this.#controls.values()] }));
    });
    await new Promise<void>((resolve) => void this.#server.listen(port, '127.0.0.1', resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Raw public key, hex. */
  get publicKey(): string {
    return this.rawPublicKey.toString('hex');
  }

  get rawPublicKey(): Buffer {
    return this.#keys.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);
  }

  async #handle(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    if (this.away) return void request.socket.destroy();
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const answer = this.answers.shift();
    if (answer !== undefined) {
      response.writeHead(answer.status, { 'content-type': 'application/json' });
      return void response.end(JSON.stringify(answer.body));
    }
    const lines = Buffer.concat(chunks)
      .toString('utf8')
      .split('\n')
      .filter((line) => line !== '');
    this.batches.push({
      prev: String(request.headers['tripline-prev'] ?? ''),
      authorization: request.headers.authorization,
      lines,
    });
    for (const line of lines) this.#check(line);
    response.writeHead(202, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ accepted: lines.length, duplicates: 0, rejected: [] }));
    for (const wake of this.#waiters) wake();
  }

  #check(line: string): void {
    const parsed = zEvent.safeParse(JSON.parse(line));
    if (!parsed.success) return void this.faults.push(`${parsed.error.message} in ${line.slice(0, 300)}`);
    const event = parsed.data;
    const id = `${event.stream}-${event.seq}`;
    const known = this.#events.get(id);
    if (known === undefined) this.#events.set(id, { line, event });
    else if (known.line !== line) this.faults.push(`${id} came again with other bytes`);
    for (const name of REQUIRED_BY_KIND[event.kind])
      if (event[name] === undefined) this.faults.push(`${event.kind} lacks ${name}`);
  }

  get lines(): readonly string[] {
    return [...this.#events.values()].map(({ line }) => line);
  }

  get events(): readonly Event[] {
    return [...this.#events.values()].map(({ event }) => event);
  }

  of(kind: Event['kind']): readonly Event[] {
    return this.events.filter((event) => event.kind === kind);
  }

  /** Waits until `condition` holds, looked at after each batch; throws after `timeoutMs`. */
  async until(condition: () => boolean, timeoutMs = 10_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    while (!condition()) {
      const leftMs = deadline - Date.now();
      if (leftMs <= 0)
        throw new Error(`not seen in ${timeoutMs} ms; kinds: ${this.events.map((e) => e.kind).join(' ')}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, Math.min(leftMs, 100));
        const waiters = this.#waiters;
        function done(): void {
          clearTimeout(timer);
          waiters.delete(done);
          resolve();
        }
        waiters.add(done);
      });
    }
  }

  /** A signed control; `change` overrides what it says. */
  sign(change: Partial<Control>): SignedControl {
    const control: Control = {
      v: 1,
      id: randomUUID(),
      version: ++this.#version,
      tenant: 'default',
      scope: 'tool',
      target: 'echo',
      mode: 'enforce',
      state: 'set',
      reason: 'test',
      issuedBy: 'tester',
      issuedAt: new Date().toISOString(),
      expiresAt: new Date(Date.now() + 60_000).toISOString(),
      ...change,
    };
    const payload = Buffer.from(JSON.stringify(control));
    const message = Buffer.concat([Buffer.from(CONTROL_SIGNATURE_DOMAIN), payload]);
    return {
      payload: payload.toString('base64'),
      keyId: createHash('sha256').update(this.rawPublicKey).digest('hex'),
      signature: sign(null, message, this.#keys.privateKey).toString('base64'),
    };
  }

  /** Keeps it for later snapshots and pushes it to every host. */
  push(signed: SignedControl, id: string): void {
    this.#controls.set(id, signed);
    for (const socket of this.#sockets.clients) {
      socket.send(JSON.stringify({ type: 'control', control: signed }));
    }
  }

  get hosts(): number {
    return this.#sockets.clients.size;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }
}
