/** Whether a request may come in, where to, and as whom. The same for requests of one connection whose heads say the same. */
import type { IncomingHttpHeaders } from 'node:http';
import type { ErrorCode } from '../../../schemas/errors.ts';
import type { GateClientKey, GateSettings } from './config.ts';
import { admit } from './door.ts';
import type { Served } from './exchange-options.ts';
import type { Peer } from './identity.ts';
import { StreamTable } from './streams.ts';

export interface Entrance {
  readonly served: Served;
  /** Of the request target, with its `?`. */
  readonly query: string;
  readonly peer: Peer;
  /** The client as the gate knows it. */
  readonly scope: string;
  readonly agent: string | undefined;
  readonly principal: string | undefined;
  /** MCP session that the client names, and the key of its stream. */
  readonly session: { readonly id: string; readonly key: string } | undefined;
}

export type Entering =
  | { readonly kind: 'in'; readonly entrance: Entrance }
  | { readonly kind: 'out'; readonly code: ErrorCode }
  | { readonly kind: 'method_not_allowed' };

export interface Coming {
  readonly served: Served;
  readonly query: string;
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
  readonly peer: Peer;
}

export const METHODS: ReadonlySet<string> = new Set(['POST', 'GET', 'DELETE', 'OPTIONS']);

/** `via` names this gate: who has passed it does not pass again. */
export function enter(gate: GateSettings, via: string, coming: Coming): Entering {
  const { served, method, headers, peer } = coming;
  const caller = { method, headers, hasCertificate: peer.certificate !== undefined };
  const admission = admit(gate, served.upstream, caller);
  if (admission.kind === 'out') return admission;
  if (headers.via?.includes(via) === true) return { kind: 'out', code: 'gate_loop' };
  if (!METHODS.has(method)) return { kind: 'method_not_allowed' };
  return { kind: 'in', entrance: entranceOf(coming, admission.client) };
}

function entranceOf({ served, query, headers, peer }: Coming, client: GateClientKey | undefined): Entrance {
  const { upstream } = served;
  const scope = scopeOf(peer, client?.id);
  return {
    served,
    query,
    peer,
    scope,
    agent: client?.agent ?? upstream.agent,
    principal: peer.certificate?.subject ?? client?.id,
    session: sessionOf(headers['mcp-session-id'], { upstream: upstream.name, scope }),
  };
}

function sessionOf(
  given: string | string[] | undefined,
  owner: Parameters<typeof StreamTable.key>[0],
): Entrance['session'] {
  if (typeof given !== 'string' || given === '') return undefined;
  return { id: given, key: StreamTable.key(owner, { mcp: given }) };
}

function scopeOf(peer: Peer, clientId: string | undefined): string {
  if (peer.certificate !== undefined) return `certificate ${peer.certificate.fingerprint}`;
  return clientId === undefined ? `address ${peer.address}` : `client ${clientId}`;
}
