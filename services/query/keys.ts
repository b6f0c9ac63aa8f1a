/**
 * Agent keys: whose signatures count for a tenant. A change is one line of topic audit, which the ledger enters as KEY;
 * what is listed is read from these entries, so that nobody but the audit log says which keys there are.
 */
import type { FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { AuditAction } from '../../schemas/audit/v1.ts';
import { checkEd25519PublicKey } from '../../schemas/control/key.ts';
import { TriplineError } from '../../schemas/errors.ts';
import { zHex64, zName } from '../../schemas/event/v1.ts';
import { fromCanonicalBase64, toHex } from '../evidence/bytes.ts';
import { auditingDenial } from '../platform/audit/denied.ts';
import { ALL_TENANTS, principalOf, readableTenant, writableTenant } from '../platform/http/principal.ts';
import { readAgentKeys } from '../platform/ledger/agent-keys.ts';
import { sha256 } from '../platform/ledger/crypto.ts';
import type { StepContext } from '../platform/step.ts';
import type { Store } from '../platform/store/port.ts';
import { auditRead, READERS } from './access.ts';
import { isoOf, zTenantQuery } from './filters.ts';

const zRegistration = z.strictObject({
  /** Raw Ed25519 public key, 32 bytes in base64. */
  publicKey: z.string().max(64),
  name: zName,
  reason: z.string().max(1024).optional(),
});
const zRevocation = z.strictObject({ reason: z.string().min(1).max(1024) });
const zChanged = z.object({ keyId: z.string(), tenant: z.string() });
const zKey = z.object({
  tenant: z.string(),
  keyId: z.string(),
  name: z.string(),
  publicKey: z.string(),
  status: z.enum(['registered', 'revoked']),
  registeredAt: z.string(),
  revokedAt: z.string().nullable(),
  reason: z.string().nullable(),
});
type KeyItem = z.infer<typeof zKey>;
/** All are on one page; `limit` is there for clients that page every listing. */
const zListQuery = zTenantQuery.extend({ limit: z.coerce.number().int().min(1).optional() });

type KeyContext = Pick<StepContext, 'audit' | 'http' | 'store' | 'log'>;

/** POST /v1/keys, POST /v1/keys/:id/revoke (admin), GET /v1/keys. */
export function registerKeys(context: KeyContext): void {
  registerChanges(context);
  context.http.withTypeProvider<ZodTypeProvider>().get(
    '/v1/keys',
    {
      config: { roles: [...READERS] },
      schema: {
        summary: 'Agent keys, as the audit log has them',
        querystring: zListQuery,
        response: { 200: z.object({ items: z.array(zKey), nextCursor: z.null() }) },
      },
    },
    async (request) => {
      const tenant = readableTenant(principalOf(request), request.query.tenant);
      await auditRead(context, request, { action: 'read', target: '/v1/keys', tenant });
      return { items: await listKeys(context.store, tenant), nextCursor: null };
    },
  );
}

function registerChanges(context: KeyContext): void {
  const http = context.http.withTypeProvider<ZodTypeProvider>();
  http.post(
    '/v1/keys',
    {
      config: { roles: ['admin'] },
      schema: {
        summary: 'Register an agent key',
        description:
          'What a host signs under it counts for the tenant from then on. Answered once it is durable.',
        querystring: zTenantQuery,
        body: zRegistration,
        response: { 201: zChanged },
      },
    },
    async (request, reply) => {
      const { publicKey, name, reason } = request.body;
      const keyId = toHex(sha256(checkedKey(publicKey)));
      const details = { publicKey, name };
      const change = { action: 'key.register', keyId, details, reason } as const;
      const changed = await changeKey(context, request, request.query.tenant, change);
      return await reply.code(201).send(changed);
    },
  );
  http.post(
    '/v1/keys/:id/revoke',
    {
      config: { roles: ['admin'] },
      schema: {
        summary: 'Revoke an agent key',
        description: 'What is appended from then on does not count; what was appended before still does.',
        params: z.object({ id: zHex64 }),
        querystring: zTenantQuery,
        body: zRevocation,
        response: { 200: zChanged },
      },
    },
    async (request) => {
      const change = {
        action: 'key.revoke',
        keyId: request.params.id,
        reason: request.body.reason,
      } as const;
      return await changeKey(context, request, request.query.tenant, change);
    },
  );
}

/** Throws request_invalid, with what is wrong: under keys of small order anybody's signature holds. */
function checkedKey(text: string): Uint8Array {
  const raw = fromCanonicalBase64(text);
  const check = raw === undefined ? 'no_base64' : checkEd25519PublicKey(raw);
  if (raw !== undefined && check === 'ok') return raw;
  throw new TriplineError('request_invalid', `no Ed25519 public key in base64: ${check}`, {
    path: 'publicKey',
  });
}

interface Change {
  readonly action: Extract<AuditAction, `key.${string}`>;
  readonly keyId: string;
  readonly reason?: string | undefined;
  readonly details?: Readonly<Record<string, string>>;
}

async function changeKey(
  context: KeyContext,
  request: FastifyRequest,
  asked: string | undefined,
  { action, keyId, reason, details }: Change,
): Promise<z.infer<typeof zChanged>> {
  const principal = principalOf(request);
  const change = { action, target: keyId };
  const tenant = await auditingDenial(context.audit, { principal, ...change }, () =>
    writableTenant(principal, asked),
  );
  await context.audit.record(tenant, {
    ...change,
    actor: principal.id,
    role: principal.role,
    outcome: 'ok',
    ...(reason === undefined ? {} : { reason }),
    ...(details === undefined ? {} : { details }),
  });
  return { keyId, tenant };
}

async function listKeys(store: Store, tenant: string): Promise<KeyItem[]> {
  const keys = await readAgentKeys(store, tenant === ALL_TENANTS ? undefined : tenant);
  return keys.map((key) => ({
    tenant: key.tenant,
    keyId: key.keyId,
    name: key.name,
    publicKey: Buffer.from(key.publicKey).toString('base64'),
    status: key.revokedMs === undefined ? 'registered' : 'revoked',
    registeredAt: isoOf(key.registeredMs),
    revokedAt: key.revokedMs === undefined ? null : isoOf(key.revokedMs),
    reason: key.reason ?? null,
  }));
}
