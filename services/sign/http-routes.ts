/** The signer for other processes: the port of services/record/ports.ts as authenticated JSON over HTTP. */
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteShorthandOptions } from 'fastify';
import { timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { TriplineError } from '../../schemas/errors.ts';
import { zHex64 } from '../../schemas/event/v1.ts';
import { sha256 } from '../platform/ledger/crypto.ts';
import type { SubjectKeys } from '../platform/payloads/keys.ts';
import type { RootSource } from '../platform/ledger/root-source.ts';
import type { Manifest, RepairTurns, Signer } from '../record/ports.ts';
import { zManifest } from './manifest.ts';

const zPartition = z.strictObject({ topic: z.string().min(1).max(256), partition: z.number().int().min(0) });
const zFinding = z.strictObject({
  code: z.string().min(1).max(64),
  topic: z.string().max(256),
  partition: z.number().int().min(0).max(0xffff_ffff),
  detail: z.string().max(512),
});
const zOffset = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const zLoss = z.strictObject({
  ...zPartition.shape,
  fromOffset: zOffset,
  toOffset: zOffset,
  actor: z.string().max(256),
  reason: z.string().max(1024),
});
const zPath = z.strictObject({ path: z.string().min(1).max(256) });
const zLog = z.strictObject({ logId: zHex64 });
/** A manifest of a batch with thousands of tenants. */
const MAX_BODY_BYTES = 32 * 1024 * 1024;

function parse<Value>(schema: z.ZodType<Value>, body: unknown): Value {
  const outcome = schema.safeParse(body);
  if (outcome.success) return outcome.data;
  const issue = outcome.error.issues[0];
  throw new TriplineError('request_invalid', issue?.message, { path: (issue?.path ?? []).join('.') });
}

export interface SignerDoor {
  readonly token: string;
  readonly keys: SubjectKeys | undefined;
  readonly repairs?: RepairTurns | undefined;
}

/**
 * Serves POST /v1/signer/state, /reserve, /commit, /finding, /loss, /repair/…, /root/… and GET /v1/signer/heads, /key to whoever sends `token` as bearer. The
 * token is the signer's own: no role of the API may sign. Faults come back as {error:{code,message}}.
 */
export async function registerSignerRoutes(
  app: FastifyInstance,
  signer: Signer,
  { token, keys, repairs }: SignerDoor,
): Promise<void> {
  const expected = sha256(Buffer.from(`Bearer ${token}`));
  const authenticate = async (request: FastifyRequest): Promise<void> => {
    const given = sha256(Buffer.from(request.headers.authorization ?? ''));
    if (!timingSafeEqual(given, expected)) throw new TriplineError('auth_invalid');
  };
  await app.register(async (scope) => {
    scope.addHook('onRequest', authenticate);
    scope.setErrorHandler(async (error, _request, reply) => answerError(error, reply));
    const options = { bodyLimit: MAX_BODY_BYTES, config: { public: true } };
    scope.post('/v1/signer/state', options, async (request) => {
      const { topic, partition } = parse(zPartition, request.body);
      return signer.state(topic, partition);
    });
    scope.post('/v1/signer/reserve', options, async (request) =>
      signer.reserve(parse<Manifest>(zManifest, request.body)),
    );
    scope.post('/v1/signer/commit', options, async (request) =>
      signer.commit(parse<Manifest>(zManifest, request.body)),
    );
    scope.post('/v1/signer/finding', options, async (request) => {
      await signer.report?.(parse(zFinding, request.body));
      return {};
    });
    scope.post('/v1/signer/loss', options, async (request) => {
      await signer.acceptLoss?.(parse(zLoss, request.body));
      return {};
    });
    scope.post('/v1/signer/repair/take', options, async () => {
      await repairs?.take();
      return {};
    });
    scope.post('/v1/signer/repair/done', options, async () => {
      await repairs?.done();
      return {};
    });
    registerRoot(scope, signer, options);
    if (keys !== undefined) registerKeys(scope, keys, options);
    scope.get('/v1/signer/heads', options, async () => signer.heads());
    scope.get('/v1/signer/key', options, async () => ({
      publicKey: Buffer.from(await signer.publicKey()).toString('base64'),
    }));
  });
}

const MAX_KEYS = 200_000;
const zNames = z.strictObject({ names: z.array(z.string().max(1024)).max(MAX_KEYS) });
const zNumbers = z.strictObject({ numbers: z.array(z.number().int().min(1)).max(MAX_KEYS) });

/** Keys of payloads, for processes that record or read them: whoever has the signer's token may read everything. */
function registerKeys(scope: FastifyInstance, keys: SubjectKeys, options: RouteShorthandOptions): void {
  const base64 = (key: Uint8Array): string => Buffer.from(key).toString('base64');
  scope.post('/v1/signer/keys/obtain', options, async (request) => {
    const obtained = await keys.obtain(parse(zNames, request.body).names);
    return { keys: [...obtained].map(([name, { number, key }]) => ({ name, number, key: base64(key) })) };
  });
  scope.post('/v1/signer/keys/read', options, async (request) => {
    const read = await keys.read(parse(zNumbers, request.body).numbers);
    return { keys: [...read].map(([number, key]) => ({ number, key: base64(key) })) };
  });
}

function registerRoot(scope: FastifyInstance, signer: Signer, options: RouteShorthandOptions): void {
  const root = (): RootSource => {
    if (signer.root === undefined) throw new TriplineError('not_ready', 'the root log is not open');
    return signer.root;
  };
  scope.post('/v1/signer/root/settle', options, async () => root().settle());
  scope.post('/v1/signer/root/read', options, async (request) => {
    const bytes = await root().read(parse(zPath, request.body).path);
    return { bytes: bytes === undefined ? null : Buffer.from(bytes).toString('base64') };
  });
  scope.post('/v1/signer/root/log', options, async (request) => ({
    log: (await root().logCheckpoint(parse(zLog, request.body).logId)) ?? null,
  }));
}

async function answerError(error: unknown, reply: FastifyReply): Promise<unknown> {
  const known =
    error instanceof TriplineError ? error : new TriplineError('internal', undefined, { cause: error });
  if (known.code === 'internal') reply.log.error({ err: error }, 'signer request failed');
  const { code, message, path, retryable } = known;
  return reply.status(known.status).send({ error: { code, message, path, retryable } });
}
