/** The port that exporters expect (4318): the OTLP routes of the process's own server, and nothing else. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Config } from '../../../schemas/config/v1.ts';
import { OTLP_PATHS } from './main.ts';

const DEFAULT_PORT = 4318;
const HEADERS_TIMEOUT_MS = 15_000;
const REQUEST_TIMEOUT_MS = 60_000;

export interface OtlpListener {
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Undefined when the port cannot be had: often a collector of the user's listens there, and neither is worth stopping
 * for, because the same routes answer at the main port. `http` is ready.
 */
export async function openOtlpListener(
  http: FastifyInstance,
  config: Config,
  log: Logger,
): Promise<OtlpListener | undefined> {
  const { host } = config.otlp;
  const port = config.otlp.port ?? (config.http.port === 0 ? 0 : DEFAULT_PORT);
  const server = serverOf(http, config.http.maxConnections);
  try {
    await listen(server, host, port);
  } catch (error) {
    log.warn({ err: error, host, port }, 'no OTLP listener: /v1/traces and /v1/logs answer at the main port');
    return undefined;
  }
  const { port: bound } = server.address() as AddressInfo;
  return { url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`, close: () => close(server) };
}

function serverOf(http: FastifyInstance, maxConnections: number): Server {
  const paths = new Set(Object.values(OTLP_PATHS));
  const options = { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS };
  const server = createServer(options, (request, response) => {
    if (paths.has((request.url ?? '').split('?')[0] ?? '')) return http.routing(request, response);
    response.writeHead(404, { 'content-type': 'application/json' });
    response.end('{"code":5,"message":"not_found: only /v1/traces and /v1/logs are served here"}');
  });
  server.maxConnections = maxConnections;
  return server;
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function close(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
