/** GET /v1/ledger: heads, lag, coverage. GET /v1/ledger/export: an evidence bundle, streamed. */
import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { TriplineError } from '../../schemas/errors.ts';
import { zHex64 } from '../../schemas/event/v1.ts';
import { LEDGER_TOPICS, RECORD_GROUP } from '../../schemas/topics.ts';
import { exportLedger, type BundleFormat, type ExportOptions } from '../platform/ledger/export.ts';
import type { LedgerHealth } from '../platform/ledger/health.ts';
import { headsOfSigner, headsOfStore, type HeadSource } from '../platform/ledger/heads.ts';
import type { StepContext } from '../platform/step.ts';

const zLedgerQuery = z.strictObject({ tenant: z.string().min(1).max(256).optional() });
const zFormat = z.enum(['ndjson', 'binary']).default('ndjson');

const zExportQuery = z.strictObject({
  ...zLedgerQuery.shape,
  session: z.string().min(1).max(256).optional(),
  event: z
    .string()
    .regex(/^[0-9a-f]{32}-\d{1,16}$/)
    .optional(),
  since: z.iso.datetime({ offset: true }).optional(),
  until: z.iso.datetime({ offset: true }).optional(),
  format: zFormat,
});

/** What a verifier has looked into already, or does not mean to look into: bytes and columns of these are left out. */
const zVerifyRequest = z.strictObject({
  tenant: z.string().min(1).max(256).optional(),
  format: zFormat,
  sample: z
    .strictObject({
      every: z.int().min(2).max(1_000_000),
      phase: z.int().min(0),
    })
    .refine(({ every, phase }) => phase < every, { message: 'phase must be below every' })
    .optional(),
  verified: z
    .array(z.strictObject({ logId: zHex64, size: z.int().min(0) }))
    .max(100_000)
    .optional(),
});

/** `*` sees every tenant. */
interface Reader {
  readonly id: string;
  readonly tenant: string;
  readonly role: string;
}

const ALL_TENANTS = '*';

function readerOf(request: object): Reader {
  const { principal } = request as { readonly principal?: Reader };
  if (principal === undefined) throw new TriplineError('auth_missing');
  return principal;
}

/** The tenant whose rows may be shown; undefined = all. Throws auth_forbidden for somebody else's. */
function tenantOf(reader: Reader, asked: string | undefined): string | undefined {
  if (reader.tenant === ALL_TENANTS) return asked;
  if (asked !== undefined && asked !== reader.tenant) throw new TriplineError('auth_forbidden');
  return reader.tenant;
}

const READ_ROLES = ['analyst', 'responder', 'auditor', 'admin'] as const;
const EXPORT_ROLES = ['auditor', 'admin'] as const;

/** The continuous verifier, where it runs in this process. */
export interface LedgerVerifier {
  ledger(): LedgerHealth;
}

/** Registers both routes. `signer` where this process can ask it; else the heads that `checkpoints` keeps. */
export function registerLedgerRoutes(
  context: StepContext,
  signer?: HeadSource,
  verifier?: LedgerVerifier,
): void {
  const http = context.http.withTypeProvider<ZodTypeProvider>();
  http.route({
    method: 'GET',
    url: '/v1/ledger',
    config: { roles: [...READ_ROLES] },
    schema: { summary: 'Heads, lag and coverage of the ledger', querystring: zLedgerQuery },
    handler: async (request) => {
      const reader = readerOf(request);
      const tenant = tenantOf(reader, request.query.tenant);
      await audit(context, reader, { action: 'read', target: '/v1/ledger' });
      const state = await ledgerState(context, tenant, signer);
      return { ...state, health: healthFor(verifier?.ledger(), tenant, state.heads) };
    },
  });
  registerVerifyRoute(context, signer);
  http.route({
    method: 'GET',
    url: '/v1/ledger/export',
    config: { roles: [...EXPORT_ROLES] },
    schema: { summary: 'An evidence bundle, streamed as NDJSON or in binary', querystring: zExportQuery },
    handler: async (request, reply) => {
      const reader = readerOf(request);
      const { session, event, since, until, format } = request.query;
      const tenant = tenantOf(reader, request.query.tenant);
      await audit(context, reader, { action: 'export', target: '/v1/ledger/export' });
      return sendBundle(context, reply, {
        tenant,
        session,
        event,
        format,
        sinceMs: since === undefined ? undefined : Date.parse(since),
        untilMs: until === undefined ? undefined : Date.parse(until),
        heads: signer,
      });
    },
  });
}

function sendBundle(
  { store, config, clock, keys }: StepContext,
  reply: FastifyReply,
  wanted: Omit<ExportOptions, 'deployment' | 'keys' | 'nowMs'> & { readonly format: BundleFormat },
): FastifyReply {
  const { deployment } = config;
  const bundle = exportLedger(store, { deployment, nowMs: clock.nowMs(), keys, ...wanted });
  const type = { ndjson: 'application/x-ndjson', binary: 'application/octet-stream' }[wanted.format];
  return reply.type(type).send(Readable.from(bundle, { objectMode: false }));
}

/** A bundle for a verifier that is there now: it is of no use to keep, since bytes are missing. */
function registerVerifyRoute(context: StepContext, signer?: HeadSource): void {
  context.http.withTypeProvider<ZodTypeProvider>().route({
    method: 'POST',
    url: '/v1/ledger/verify',
    config: { roles: [...EXPORT_ROLES] },
    bodyLimit: 16 * 1024 * 1024,
    schema: { summary: 'A bundle without what a verifier will not look into', body: zVerifyRequest },
    handler: async (request, reply) => {
      const reader = readerOf(request);
      const { sample, verified, format } = request.body;
      const tenant = tenantOf(reader, request.body.tenant);
      await audit(context, reader, { action: 'export', target: '/v1/ledger/verify' });
      return sendBundle(context, reply, {
        tenant,
        sample,
        format,
        verified: verified && new Map(verified.map(({ logId, size }) => [logId, size])),
        heads: signer,
      });
    },
  });
}

/** Null where this process does not verify. A tenant sees the faults of its own logs, and no counts of others. */
function healthFor(
  health: LedgerHealth | undefined,
  tenant: string | undefined,
  lists: readonly { readonly heads: readonly { readonly origin: string }[] }[],
): LedgerHealth | Pick<LedgerHealth, 'faults' | 'state' | 'sweptAtMs'> | null {
  if (health === undefined) return null;
  if (tenant === undefined) return health;
  const own = new Set(lists.flatMap(({ heads }) => heads.map(({ origin }) => origin)));
  const faults = health.faults.filter(({ log }) => own.has(log));
  const isSound = health.state === 'faulty' && faults.length === 0;
  return { faults, state: isSound ? 'sound' : health.state, sweptAtMs: health.sweptAtMs };
}

async function audit(
  context: StepContext,
  reader: Reader,
  what: { readonly action: 'export' | 'read'; readonly target: string },
): Promise<void> {
  const tenant = reader.tenant === ALL_TENANTS ? 'default' : reader.tenant;
  await context.audit.record(tenant, { ...what, actor: reader.id, role: reader.role, outcome: 'ok' });
}

async function ledgerState(context: StepContext, tenant: string | undefined, signer: HeadSource | undefined) {
  const signed = signer === undefined ? await headsOfStore(context.store) : await headsOfSigner(signer);
  const coverage = await coverageOf(context, tenant);
  const visible = new Set(coverage.map((log) => log.logId));
  const heads = signed.lists.map(({ heads: all, ...list }) => ({
    ...list,
    heads: all.filter((head) => visible.has(head.logId)),
  }));
  const partitions = await lagOf(context, signed.lists);
  return { deployment: context.config.deployment, keys: signed.keys, heads, partitions, coverage };
}

/** How far record is. Where no line was entered yet (ticks only) nothing is signed, so that its group's offset counts too. */
async function lagOf(
  context: StepContext,
  lists: readonly { readonly topic: string; readonly partition: number; readonly nextOffset: number }[],
) {
  const partitions = [];
  for (const topic of LEDGER_TOPICS) {
    for (const { partition, latest } of await context.bus.offsets(topic)) {
      const committed = (await context.bus.committed(RECORD_GROUP, { topic, partition })) ?? 0;
      const done = lists
        .filter((list) => list.topic === topic && list.partition === partition)
        .reduce((next, list) => Math.max(next, list.nextOffset), committed);
      partitions.push({ topic, partition, nextOffset: done, latest, lag: Math.max(0, latest - done) });
    }
  }
  return partitions;
}

interface CoverageRow {
  readonly log: string;
  readonly tenant: string;
  readonly topic: string;
  readonly partition: number;
  readonly type: number;
  readonly rows: string;
}

const TYPE_NAMES: ReadonlyMap<number, string> = new Map([
  [0, 'event'],
  [1, 'stream_open'],
  [2, 'stream_heartbeat'],
  [3, 'stream_close'],
  [16, 'gap'],
  [17, 'late'],
  [18, 'equivocation'],
  [32, 'dead_letter'],
  [35, 'erasure'],
]);

/** Entries of each log by type. */
async function coverageOf(context: StepContext, tenant: string | undefined) {
  const rows = await context.store.query<CoverageRow>(
    `SELECT lower(hex(log_id)) AS log, tenant, topic, partition, type, toString(count()) AS rows FROM ledger
     WHERE {all:UInt8} = 1 OR tenant = {tenant:String}
     GROUP BY log_id, tenant, topic, partition, type ORDER BY topic, partition, tenant, type`,
    { params: { all: tenant === undefined ? 1 : 0, tenant: tenant ?? '' } },
  );
  const logs = new Map<
    string,
    { logId: string; tenant: string; topic: string; partition: number; entries: Record<string, number> }
  >();
  for (const row of rows) {
    const known = logs.get(row.log) ?? {
      logId: row.log,
      tenant: row.tenant,
      topic: row.topic,
      partition: row.partition,
      entries: {},
    };
    known.entries[TYPE_NAMES.get(row.type) ?? String(row.type)] = Number(row.rows);
    logs.set(row.log, known);
  }
  return [...logs.values()];
}
