/** The HTTP door of one process: authentication, limits, errors and documentation; steps add their routes to it. */
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import websocket from '@fastify/websocket';
import Fastify, { LogController, type FastifyInstance } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Config } from '../../../schemas/config/v1.ts';
import { TriplineError } from '../../../schemas/errors.ts';
import type { RandomBytes, RunningStep } from '../step.ts';
import {
  authenticateWith,
  checkOrigin,
  guardRoutes,
  isLoopbackHost,
  WS_PROTOCOL,
  type RouteEntry,
} from './access.ts';
import { registerDocs } from './docs.ts';
import { answerBroken, answerRaw, errorAnswer, sendError } from './errors.ts';
import { registerStatusRoutes } from './status.ts';
import { loadTokens } from './tokens.ts';

export interface HttpDeps {
  readonly config: Config;
  readonly dataDir: string;
  readonly randomBytes: RandomBytes;
  readonly log: Logger;
  readonly metrics: Registry;
  /** Steps that run now; /readyz asks each. */
  readonly steps: () => readonly RunningStep[];
}

const REQUEST_ID_BYTES = 12;
const MAX_WS_MESSAGE_BYTES = 64 * 1024;
const MINUTE_MS = 60_000;
/** Of a decoded path parameter; ids and names have at most 256 characters and are held to that by the routes. */
const MAX_PARAM_CHARS = 1024;
const HEADERS_TIMEOUT_MS = 15_000;
const REQUEST_TIMEOUT_MS = 60_000;

const routeTables = new WeakMap<FastifyInstance, RouteEntry[]>();

/** Every route that is registered on an instance of buildHttp, with who may use it. */
export function routesOf(http: FastifyInstance): readonly RouteEntry[] {
  return routeTables.get(http) ?? [];
}

/** The server, not yet listening: steps register their routes first. Throws config_invalid for wrong tokens. */
export async function buildHttp(deps: HttpDeps): Promise<FastifyInstance> {
  const { config } = deps;
  const http = createServer(deps);
  const routes: RouteEntry[] = [];
  routeTables.set(http, routes);
  http.setValidatorCompiler(validatorCompiler);
  http.setSerializerCompiler(serializerCompiler);
  guardRoutes(http, routes);
  http.setErrorHandler((error, request, reply) => sendError(error, request, reply));
  http.decorateRequest('principal', null);
  http.addHook('onRequest', checkOrigin(isLoopbackHost(config.http.host)));
  await registerLimits(http, config.http);
  http.addHook('onRequest', authenticateWith(loadTokens({ ...deps, auth: config.auth })));
  http.addHook('onSend', async (request, reply) => {
    void reply.header('x-request-id', request.id);
    // Tiles and checkpoints say themselves how long they hold.
    if (request.url.startsWith('/v1/') && !reply.hasHeader('cache-control'))
      void reply.header('cache-control', 'no-store');
  });
  http.setNotFoundHandler((_request, reply) => {
    void reply.status(404).send(errorAnswer(new TriplineError('not_found')));
  });
  await registerDocs(http);
  registerStatusRoutes(http, deps);
  return http;
}

function createServer(deps: HttpDeps): FastifyInstance {
  const { config, log, randomBytes } = deps;
  const http = Fastify({
    loggerInstance: log,
    logController: new LogController({ disableRequestLogging: true }),
    frameworkErrors: (error, _request, reply) => answerRaw(error, reply.raw),
    clientErrorHandler: answerBroken,
    routerOptions: { maxParamLength: MAX_PARAM_CHARS },
    bodyLimit: config.http.maxBodyBytes,
    genReqId: () => Buffer.from(randomBytes(REQUEST_ID_BYTES)).toString('hex'),
    exposeHeadRoutes: false,
    requestTimeout: REQUEST_TIMEOUT_MS,
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    forceCloseConnections: true,
    http: { headersTimeout: HEADERS_TIMEOUT_MS },
  }) as unknown as FastifyInstance;
  http.server.maxConnections = config.http.maxConnections;
  return http;
}

async function registerLimits(http: FastifyInstance, limits: Config['http']): Promise<void> {
  await http.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        styleSrc: ["'self'"],
        imgSrc: ["'self'", 'data:'],
        fontSrc: ["'self'"],
        connectSrc: ["'self'"],
        baseUri: ["'none'"],
        formAction: ["'none'"],
        frameAncestors: ["'none'"],
      },
    },
    strictTransportSecurity: false,
    referrerPolicy: { policy: 'no-referrer' },
  });
  await http.register(rateLimit, {
    max: limits.rateLimitPerMinute,
    timeWindow: MINUTE_MS,
    errorResponseBuilder: () => new TriplineError('rate_limited'),
  });
  await http.register(websocket, {
    options: {
      maxPayload: MAX_WS_MESSAGE_BYTES,
      handleProtocols: (offered: Set<string>) => (offered.has(WS_PROTOCOL) ? WS_PROTOCOL : false),
    },
  });
}
