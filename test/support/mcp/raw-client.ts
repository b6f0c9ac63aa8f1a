/** Clients and servers that write bytes, and what others make of them. */
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import tls from 'node:tls';
import { JSON_HEADERS } from './gate.ts';

const DEADLINE_MS = 10_000;
const LOOK_MS = 5;

export class RawClient {
  readonly socket: Socket;
  #received = '';
  #isClosed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => (this.#received += bytes.toString('latin1')));
    socket.on('close', () => (this.#isClosed = true));
  }

  get received(): string {
    return this.#received;
  }

  /** In packets, as far as the system does not join them. */
  async write(...pieces: readonly string[]): Promise<void> {
    for (const piece of pieces) {
      this.socket.write(Buffer.from(piece, 'latin1'));
      await turn();
    }
  }

  async until(holds: (received: string) => boolean): Promise<void> {
    const last = Date.now() + DEADLINE_MS;
    while (!holds(this.#received)) {
      if (Date.now() > last) throw new Error(`never came; so far: ${this.#received.slice(0, 2_000)}`);
      await sleep(LOOK_MS);
    }
  }

  /** Statuses in their order, when so many answers have come whole. */
  async statuses(count: number): Promise<readonly number[]> {
    await this.until((received) => answersIn(received).length >= count);
    return answersIn(this.#received).map(({ status }) => status);
  }

  async closed(): Promise<void> {
    await this.until(() => this.#isClosed);
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }
}

export interface AnswerIn {
  readonly status: number;
  readonly body: string;
}

/** Answers that are whole, each with a length. */
export function answersIn(received: string): readonly AnswerIn[] {
  const answers: AnswerIn[] = [];
  let at = 0;
  for (;;) {
    const end = received.indexOf('\r\n\r\n', at);
    if (end === -1) return answers;
    const head = received.slice(at, end);
    const status = Number(/^HTTP\/1\.1 (\d{3}) /u.exec(head)?.[1]);
    const length = Number(/\r\ncontent-length: (\d+)/iu.exec(head)?.[1] ?? 0);
    at = end + 4 + length;
    if (at > received.length) return answers;
    answers.push({ status, body: received.slice(end + 4, at) });
  }
}

/** A connection to a gate; gone after the test. */
export async function rawClient(context: TestContext, url: string, ca?: Buffer): Promise<RawClient> {
  const { hostname: host, port } = new URL(url);
  const socket =
    ca === undefined ? net.connect(Number(port), host) : tls.connect({ host, port: Number(port), ca });
  const client = new RawClient(socket);
  context.after(() => socket.destroy());
  await once(socket, ca === undefined ? 'connect' : 'secureConnect');
  return client;
}

/** The text of a POST as most clients send it. */
export function postText(target: string, body: string, lines: readonly string[] = []): string {
  const own = Object.entries(JSON_HEADERS).map(([name, value]) => `${name}: ${value}`);
  const all = [`POST ${target} HTTP/1.1`, 'Host: 127.0.0.1', ...own, ...lines];
  return [...all, `Content-Length: ${Buffer.byteLength(body)}`, '', body].join('\r\n');
}

/** A server that answers the heads and bodies of each connection with bytes. */
export async function rawServer(
  context: TestContext,
  answer: (socket: Socket, request: string) => void,
): Promise<string> {
  const sockets = new Set<Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    let text = '';
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1');
      const length = Number(/\r\ncontent-length: (\d+)/iu.exec(text)?.[1] ?? 0);
      const end = text.indexOf('\r\n\r\n');
      if (end === -1 || text.length < end + 4 + length) return;
      const request = text;
      text = '';
      answer(socket, request);
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  context.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
