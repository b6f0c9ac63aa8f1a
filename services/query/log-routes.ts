/**
 * Logs in the layout of c2sp.org/tlog-tiles, for any tlog client: `/v1/log/root/…` is the root log, `/v1/log/<log id>/…`
 * the log of one (tenant, topic, partition), made from table ledger on demand.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { TriplineError } from '../../schemas/errors.ts';
import { zHex64 } from '../../schemas/event/v1.ts';
import { logOrigin } from '../evidence/origin.ts';
import { parseTilePath, tileAt } from '../evidence/tlog/tiles.ts';
import { ALL_TENANTS, principalOf } from '../platform/http/principal.ts';
import { sha256 } from '../platform/ledger/crypto.ts';
import { readLogTile } from '../platform/ledger/log-tiles.ts';
import type { LogCheckpoint, RootSource } from '../platform/ledger/root-source.ts';
import type { HeadSource } from '../platform/ledger/heads.ts';
import type { StepContext } from '../platform/step.ts';
import { auditRead, READERS } from './access.ts';

const CHECKPOINT_TYPE = 'text/plain; charset=utf-8';
const TILE_TYPE = 'application/octet-stream';
/** A checkpoint moves every epoch. */
const SHORT_LIVED = 'no-cache';
const YEAR_SECONDS = 31_536_000;

const zTile = z.strictObject({ '*': z.string().min(1).max(64) });
const zLog = z.strictObject({ log: zHex64 });

interface Answer {
  readonly bytes: Uint8Array | string | undefined;
  readonly type: string;
  readonly cache: string;
}

function send(reply: FastifyReply, { bytes, type, cache }: Answer): FastifyReply {
  if (bytes === undefined) throw new TriplineError('not_found');
  void reply.header('cache-control', cache).type(type);
  return reply.send(typeof bytes === 'string' ? bytes : Buffer.from(bytes));
}

/** Tiles never change: whoever may cache them may do so for long. */
function immutable(isPublic: boolean): string {
  return `${isPublic ? 'public' : 'private'}, max-age=${YEAR_SECONDS}, immutable`;
}

export function registerLogRoutes(context: StepContext, signer: HeadSource | undefined): void {
  const rootOf = (): RootSource => {
    if (signer?.root === undefined) throw new TriplineError('not_ready', 'this process knows no root log');
    return signer.root;
  };
  registerRootRoutes(context, rootOf);
  registerTenantRoutes(context, rootOf);
}

/** Without a token where the configuration says so: it shows log ids, sizes, roots and offsets, and no event. */
function registerRootRoutes(context: StepContext, rootOf: () => RootSource): void {
  const http = context.http.withTypeProvider<ZodTypeProvider>();
  const isPublic = context.config.rootLog.public;
  const config = isPublic ? { public: true } : { roles: [...READERS] };
  const texts = [
    ['checkpoint', 'The newest checkpoint of the root log, with cosignatures where witnesses are configured'],
    ['latest', 'The newest checkpoint of the root log, cosigned or not'],
    ['vkey', 'The verifier key of the root log; pin a copy that came another way'],
  ] as const;
  for (const [name, summary] of texts) {
    http.get(`/v1/log/root/${name}`, { config, schema: { summary } }, async (_request, reply) => {
      const bytes = await rootOf().read(name);
      return send(reply, { bytes, type: CHECKPOINT_TYPE, cache: SHORT_LIVED });
    });
  }
  const schema = { summary: 'Hash tiles and entry bundles of the root log (C2SP tlog-tiles)', params: zTile };
  http.get('/v1/log/root/tile/*', { config, schema }, async (request, reply) => {
    const path = `tile/${request.params['*']}`;
    const bytes = parseTilePath(path) === undefined ? undefined : await rootOf().read(path);
    return send(reply, { bytes, type: TILE_TYPE, cache: immutable(isPublic) });
  });
}

function registerTenantRoutes(context: StepContext, rootOf: () => RootSource): void {
  const http = context.http.withTypeProvider<ZodTypeProvider>();
  const config = { roles: [...READERS] };
  const summary = 'The newest checkpoint of one log';
  http.get(
    '/v1/log/:log/checkpoint',
    { config, schema: { summary, params: zLog } },
    async (request, reply) => {
      const { note } = await ownLog(context, request, { logId: request.params.log, root: rootOf() });
      return send(reply, { bytes: note, type: CHECKPOINT_TYPE, cache: SHORT_LIVED });
    },
  );
  const tile = { summary: 'Hash tiles and entry bundles of one log (C2SP tlog-tiles)' };
  http.get(
    '/v1/log/:log/tile/*',
    { config, schema: { ...tile, params: z.strictObject({ ...zLog.shape, ...zTile.shape }) } },
    async (request, reply) => {
      const { log: logId, '*': rest } = request.params;
      const { size } = await ownLog(context, request, { logId, root: rootOf() });
      const asked = parseTilePath(`tile/${rest}`);
      const most = asked && tileAt(asked.level, asked.index, size);
      const isThere = asked !== undefined && most !== undefined && asked.width <= most.width;
      const bytes = isThere ? await readLogTile(context.store, logId, asked) : undefined;
      return send(reply, { bytes, type: TILE_TYPE, cache: immutable(false) });
    },
  );
}

/** A log of the reader's own tenant, once the read is on record. Another's answers as one that does not exist. */
async function ownLog(
  context: StepContext,
  request: FastifyRequest,
  { logId, root }: { readonly logId: string; readonly root: RootSource },
): Promise<LogCheckpoint> {
  const { tenant } = principalOf(request);
  const log = await root.logCheckpoint(logId);
  const { deployment } = context.config;
  const isOwn =
    tenant === ALL_TENANTS ||
    (log !== undefined && logOrigin({ deployment, tenant, ...placeOf(log) }, sha256) === log.origin);
  await auditRead(context, request, { action: 'read', target: '/v1/log/:log', tenant });
  if (log === undefined || !isOwn) throw new TriplineError('not_found');
  return log;
}

const placeOf = ({ topic, partition }: LogCheckpoint) => ({ topic, partition });
