/** Node's own HTTP as the other implementation: what it reads in bytes that are given to ours. */
import http from 'node:http';
import type { Socket } from 'node:net';
import { duplexPair, type Duplex } from 'node:stream';
import { setImmediate as turn } from 'node:timers/promises';

/** Turns of the event loop after which nothing more comes of bytes that were written in this process. */
const QUIET_TURNS = 12;

export interface ReadRequest {
  readonly method: string;
  readonly target: string;
  /** Lower-case name and value, in their order. */
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

export interface ReadAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

export const pairsOf = (raw: readonly string[]): readonly (readonly [string, string])[] =>
  raw.flatMap((name, index) =>
    index % 2 === 0 ? [[name.toLowerCase(), raw[index + 1] ?? ''] as const] : [],
  );

/** Two ends of a connection in this process, each with what is asked of a socket. */
export function connectionPair(): readonly [Socket, Socket] {
  const [one, other] = duplexPair();
  return [asSocket(one), asSocket(other)];
}

function asSocket(duplex: Duplex): Socket {
  const same = (): Duplex => duplex;
  return Object.assign(duplex, {
    setKeepAlive: same,
    setNoDelay: same,
    setTimeout: same,
  }) as unknown as Socket;
}

export async function quiet(): Promise<void> {
  for (let at = 0; at < QUIET_TURNS; at++) await turn();
}

/** Writes each piece in a turn of its own. */
export async function writePieces(to: Duplex, pieces: readonly Uint8Array[]): Promise<void> {
  for (const piece of pieces) {
    if (!to.writable) return;
    to.write(piece);
    await turn();
  }
}

export interface ReadByNode {
  /** Whole, in the order in which they came. */
  readonly requests: readonly ReadRequest[];
  /** It would have no more of the connection. */
  readonly isRefused: boolean;
}

/** What Node's server reads in the bytes of a connection. */
export async function requestsReadByNode(pieces: readonly Uint8Array[]): Promise<ReadByNode> {
  const requests: ReadRequest[] = [];
  let isRefused = false;
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url: target = '', rawHeaders } = request;
      const body = Buffer.concat(chunks).toString('latin1');
      requests.push({ method, target, headers: pairsOf(rawHeaders), body });
      response.end();
    });
  });
  server.on('clientError', () => {
    isRefused = true;
  });
  const [client, socket] = connectionPair();
  client.resume();
  client.on('error', () => undefined);
  server.emit('connection', socket);
  await writePieces(client, pieces);
  await quiet();
  client.destroy();
  socket.destroy();
  return { requests, isRefused };
}

/** What Node's client reads in the bytes that a server sends, the end of the connection behind them. */
export async function answerReadByNode(pieces: readonly Uint8Array[]): Promise<ReadAnswer | undefined> {
  const [client, server] = connectionPair();
  server.resume();
  server.on('error', () => undefined);
  let answer: ReadAnswer | undefined;
  const request = http.request({ host: 'a', createConnection: () => client });
  request.on('error', () => undefined);
  request.on('response', (response) => {
    const chunks: Buffer[] = [];
    response.on('error', () => undefined);
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('end', () => {
      if (!response.complete) return;
      const { statusCode: status = 0, rawHeaders } = response;
      answer = { status, headers: pairsOf(rawHeaders), body: Buffer.concat(chunks).toString('latin1') };
    });
  });
  request.end();
  await quiet();
  await writePieces(server, pieces);
  server.end();
  await quiet();
  client.destroy();
  return answer;
}
