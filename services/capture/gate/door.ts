/**
 * Who may come in: Host and Origin (a web page that was rebound to loopback names neither of ours), and the client's
 * token where the gate has clients. Pure; everything but the settings is the caller's.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { ErrorCode } from '../../../schemas/errors.ts';
import type { GateClientKey, GateSettings, GateUpstream } from './config.ts';

export const TOKEN_HEADER = 'tripline-gate-token';

export type Admission =
  | { readonly kind: 'in'; readonly client: GateClientKey | undefined }
  | { readonly kind: 'out'; readonly code: ErrorCode };

export interface Caller {
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  /** A client certificate was asked for and verified. */
  readonly hasCertificate: boolean;
}

const hashOf = (text: string): Buffer => createHash('sha256').update(text).digest();

/** The client with this token. Every known one is compared, in constant time. */
function clientOf(clients: readonly GateClientKey[], token: string): GateClientKey | undefined {
  const given = hashOf(token);
  let found: GateClientKey | undefined;
  for (const client of clients) if (timingSafeEqual(hashOf(client.token), given)) found = client;
  return found;
}

/** Name in a Host header, without its port. */
function hostName(host: string): string {
  return host.replace(/:\d*$/u, '').toLowerCase();
}

function isServedHost(settings: GateSettings, headers: IncomingHttpHeaders): boolean {
  return headers.host !== undefined && settings.listen.allowedHosts.has(hostName(headers.host));
}

function isAllowedOrigin(upstream: GateUpstream, headers: IncomingHttpHeaders): boolean {
  return headers.origin === undefined || upstream.allowedOrigins.has(headers.origin);
}

/** Whether a page or a name that is not ours asks. Holds for everything that the gate answers. */
export function isWelcome(
  settings: GateSettings,
  upstream: GateUpstream,
  headers: IncomingHttpHeaders,
): boolean {
  return isServedHost(settings, headers) && isAllowedOrigin(upstream, headers);
}

export function admit(settings: GateSettings, upstream: GateUpstream, caller: Caller): Admission {
  const { headers } = caller;
  if (!isWelcome(settings, upstream, headers)) return { kind: 'out', code: 'gate_origin_refused' };
  // A browser asks before it calls, and cannot send a token with the question.
  const isPreflight = caller.method === 'OPTIONS' && headers.origin !== undefined;
  if (settings.clients.length === 0 || isPreflight) return { kind: 'in', client: undefined };
  const token = headers[TOKEN_HEADER];
  if (typeof token !== 'string')
    return caller.hasCertificate ? { kind: 'in', client: undefined } : { kind: 'out', code: 'auth_missing' };
  const client = clientOf(settings.clients, token);
  return client === undefined ? { kind: 'out', code: 'auth_invalid' } : { kind: 'in', client };
}
