/** Who a request comes from, and which tenant it may be about. */
import type { FastifyRequest } from 'fastify';
import type { Role } from '../../../schemas/config/v1.ts';
import { TriplineError } from '../../../schemas/errors.ts';

export interface Principal {
  /** Id of the API key; never a secret. */
  readonly id: string;
  /** `*`: all tenants (roles admin and auditor only). */
  readonly tenant: string;
  readonly role: Role;
  /** Unknown event fields are refused. */
  readonly strict: boolean;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set before any handler of a route with roles; null on public routes. */
    principal: Principal | null;
  }
  interface FastifyContextConfig {
    /** Who may use the route; admin always may. */
    roles?: readonly Role[];
    /** Needs no token. */
    public?: boolean;
  }
}

export const ALL_TENANTS = '*';
const WRITE_TENANT = 'default';

/** The authenticated principal. Throws auth_missing on a public route. */
export function principalOf(request: FastifyRequest): Principal {
  if (request.principal === null) throw new TriplineError('auth_missing');
  return request.principal;
}

/** Tenant to read: a name, or `*` for all. Throws auth_forbidden for another's. */
export function readableTenant(principal: Principal, asked: string | undefined): string {
  if (asked === undefined || asked === principal.tenant) return principal.tenant;
  if (principal.tenant === ALL_TENANTS) return asked;
  throw new TriplineError('auth_forbidden', 'The tenant is not yours.', { path: 'tenant' });
}

/** Tenant to write to: as readableTenant, `default` where all are meant. */
export function writableTenant(principal: Principal, asked: string | undefined): string {
  const tenant = readableTenant(principal, asked);
  return tenant === ALL_TENANTS ? WRITE_TENANT : tenant;
}
