/** Deny by default: every route says who may use it; requests are matched with their token and origin. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { TriplineError } from '../../../schemas/errors.ts';
import type { Authenticate } from './tokens.ts';

/** Routes of libraries that are public and cannot say so themselves. */
const PUBLIC_PREFIX = '/docs';
const LOOPBACK_NAMES: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]']);

export const WS_PROTOCOL = 'tripline.v1';
const WS_TOKEN_PREFIX = 'bearer.';

export interface RouteEntry {
  readonly method: string;
  readonly url: string;
  /** Empty on public routes. */
  readonly roles: readonly string[];
  readonly public: boolean;
}

/** Lists every route as it is registered; a route that does not say who may use it throws at boot. */
export function guardRoutes(http: FastifyInstance, routes: RouteEntry[]): void {
  http.addHook('onRoute', (route) => {
    if (route.url === PUBLIC_PREFIX || route.url.startsWith(`${PUBLIC_PREFIX}/`))
      route.config = { ...route.config, public: true };
    const isPublic = route.config?.public === true;
    const roles = route.config?.roles ?? [];
    if (isPublic === roles.length > 0)
      throw new Error(`route ${String(route.method)} ${route.url} must name its roles or be public`);
    for (const method of [route.method].flat())
      routes.push({ method, url: route.url, roles, public: isPublic });
  });
}

/** Sets request.principal, or refuses: auth_missing, auth_invalid, auth_forbidden. */
export function authenticateWith(authenticate: Authenticate) {
  return async (request: FastifyRequest): Promise<void> => {
    if (request.is404) return;
    const { roles, public: isPublic } = request.routeOptions.config;
    const token = bearerToken(request);
    const principal = token === undefined ? undefined : authenticate(token);
    request.principal = principal ?? null;
    if (isPublic === true) return;
    if (token === undefined) throw new TriplineError('auth_missing');
    if (principal === undefined) throw new TriplineError('auth_invalid');
    if (principal.role !== 'admin' && roles?.includes(principal.role) !== true)
      throw new TriplineError('auth_forbidden');
  };
}

/** Authorization header (RFC 6750 §2.1), or the subprotocol `bearer.TOKEN`: browsers cannot set headers on a WebSocket. */
function bearerToken(request: FastifyRequest): string | undefined {
  const header = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  if (header !== undefined) return header;
  if (request.headers.upgrade?.toLowerCase() !== 'websocket') return undefined;
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  if (!offered.includes(WS_PROTOCOL)) return undefined;
  return offered.find((name) => name.startsWith(WS_TOKEN_PREFIX))?.slice(WS_TOKEN_PREFIX.length);
}

/**
 * A page of another site must not reach a service on loopback through a name that it points there (DNS rebinding): Host
 * has to be a loopback name while we listen on loopback, and Origin, where a browser sends one, the same host.
 */
export function checkOrigin(isLoopback: boolean) {
  return async (request: FastifyRequest): Promise<void> => {
    const host = request.headers.host ?? '';
    if (isLoopback && !LOOPBACK_NAMES.has(withoutPort(host)))
      throw new TriplineError('auth_forbidden', 'Host is not a loopback name.', { path: 'host' });
    const { origin } = request.headers;
    if (origin === undefined) return;
    const originHost = URL.canParse(origin) ? new URL(origin).host : '';
    if (originHost !== host.toLowerCase())
      throw new TriplineError('auth_forbidden', 'Origin is another site.', { path: 'origin' });
  };
}

function withoutPort(host: string): string {
  return host.toLowerCase().replace(/:\d+$/, '');
}

/** True for an address that only this machine reaches. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.') || host === '::ffff:127.0.0.1';
}
