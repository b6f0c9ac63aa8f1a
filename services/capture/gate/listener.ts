/**
 * Where clients come in. The gate reads plain requests for itself (wire/), which is several times cheaper; whatever is
 * rarer is read by Node's own server, from the first byte of that request on.
 */
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { TriplineError } from '../../../schemas/errors.ts';
import type { GateListen } from './config.ts';
import type { Answer } from './wire/answer.ts';
import { PlainConnections } from './wire/plain-connection.ts';
import type { PlainRequest } from './wire/request-head.ts';

export interface GateServing {
  readonly serve: (request: http.IncomingMessage, response: http.ServerResponse) => void;
  /** False, and nothing is done, where the request is for `serve`. */
  readonly servePlain: (request: PlainRequest, answer: Answer, socket: Socket) => boolean;
}

/** Longer than clients keep an idle connection, so that they close it first. */
const KEEP_ALIVE_MS = 65_000;

export class GateListener {
  readonly #listen: GateListen;
  readonly #server: http.Server;
  readonly #plain: PlainConnections;
  /** Connections under TLS, also those in the midst of a handshake, which no server counts as its own. */
  readonly #underTls = new Set<Socket>();

  constructor(listen: GateListen, serving: GateServing) {
    this.#listen = listen;
    this.#server = newServer(listen, serving);
    // TLS has its own event for connections that are through the handshake.
    const event = listen.tls === undefined ? 'connection' : 'secureConnection';
    this.#plain = plainBefore(this.#server, event, serving);
    if (listen.tls !== undefined) this.#server.on('connection', (socket: Socket) => this.#keep(socket));
  }

  #keep(socket: Socket): void {
    this.#underTls.add(socket);
    socket.on('close', () => this.#underTls.delete(socket));
  }

  /** The URL; throws where it cannot listen. */
  async listen(): Promise<string> {
    const { host, port, tls } = this.#listen;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        this.#server.listen(port, host, resolve);
      });
    } catch (cause) {
      const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
      throw new TriplineError('internal', `cannot listen on ${host} port ${port} (${code})`, { cause });
    }
    const address = this.#server.address() as AddressInfo;
    const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
    return `${tls === undefined ? 'http' : 'https'}://${name}:${address.port}`;
  }

  /** Takes no more connections; resolves when the last one is closed. */
  stop(): Promise<void> {
    return new Promise((resolve) => void this.#server.close(() => resolve()));
  }

  /** Closes all connections, whatever is under way. */
  breakOff(): void {
    this.#server.closeAllConnections();
    this.#plain.close();
    for (const socket of this.#underTls) socket.destroy();
  }
}

function newServer(listen: GateListen, { serve }: GateServing): http.Server {
  const limits = { keepAliveTimeout: KEEP_ALIVE_MS };
  const server =
    listen.tls === undefined
      ? http.createServer(limits, serve)
      : https.createServer({ ...limits, ...tlsOf(listen.tls) }, serve);
  server.maxConnections = listen.maxConnections;
  return server;
}

function tlsOf({ cert, key, clientCa }: NonNullable<GateListen['tls']>): https.ServerOptions {
  const clients = clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true };
  return { cert, key, ...clients };
}

/** Has connections read here first; those that are not plain go to whoever listened before. */
function plainBefore(server: http.Server, event: string, { servePlain }: GateServing): PlainConnections {
  const own = server.listeners(event);
  const plain = new PlainConnections({
    serve: servePlain,
    handOver: (socket) => own.forEach((listener) => void listener.call(server, socket)),
    keepAliveMs: KEEP_ALIVE_MS,
    nowMs: () => Date.now(),
  });
  server.removeAllListeners(event);
  server.on(event, (socket: Socket) => plain.take(socket));
  return plain;
}
