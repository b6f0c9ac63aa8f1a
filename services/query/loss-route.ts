/** POST /v1/ledger/losses: an operator decides that record goes on behind records that are gone from the bus for good. */
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { TriplineError } from '../../schemas/errors.ts';
import { LEDGER_TOPICS } from '../../schemas/topics.ts';
import type { Bus, TopicPartition } from '../platform/bus/port.ts';
import { ALL_TENANTS, principalOf } from '../platform/http/principal.ts';
import type { HeadSource } from '../platform/ledger/heads.ts';
import type { StepContext } from '../platform/step.ts';

const zOffset = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const zLoss = z.strictObject({
  topic: z.enum(LEDGER_TOPICS),
  partition: z.number().int().min(0).max(65_535),
  /** Where the signer stands, and the first record that is there again: told by the alarm, and checked. */
  fromOffset: zOffset,
  toOffset: zOffset,
  reason: z.string().trim().min(1).max(256),
});

/** The part of the signer that a loss needs. */
export interface LossSigner extends HeadSource {
  acceptLoss?(loss: z.infer<typeof zLoss> & { readonly actor: string }): Promise<void>;
}

/** Admins of all tenants alone: a partition holds records of many. */
export function registerLossRoute(context: StepContext, signer: LossSigner | undefined): void {
  const http = context.http.withTypeProvider<ZodTypeProvider>();
  http.route({
    method: 'POST',
    url: '/v1/ledger/losses',
    config: { roles: ['admin'] },
    schema: { summary: 'Lets record go on behind records that are gone; on record', body: zLoss },
    handler: async (request) => {
      const { id: actor, role, tenant } = principalOf(request);
      if (tenant !== ALL_TENANTS) throw new TriplineError('auth_forbidden');
      if (signer?.acceptLoss === undefined) throw new TriplineError('not_ready', 'no signer can be asked');
      const loss = request.body;
      await expectGone(context.bus, loss);
      await signer.acceptLoss({ ...loss, actor });
      const { topic, partition, fromOffset, toOffset, reason } = loss;
      await context.audit.record('default', {
        action: 'evidence.accept_loss',
        actor,
        role,
        target: `${topic}/${partition}`,
        reason,
        outcome: 'ok',
        details: { fromOffset, toOffset },
      });
      return { ...loss, actor };
    },
  });
}

/** Nobody may leave out what is there. Throws conflict where the hole is another one. */
async function expectGone(bus: Bus, loss: z.infer<typeof zLoss>): Promise<void> {
  const there = await firstFrom(bus, loss, loss.fromOffset);
  if (there !== loss.toOffset)
    throw new TriplineError('conflict', `the first record there is ${there ?? 'none'}`, { path: 'toOffset' });
}

/** Offset of the first record at or behind `from`; undefined for none. */
async function firstFrom(bus: Bus, at: TopicPartition, from: number): Promise<number | undefined> {
  const { topic, partition } = at;
  const bounds = (await bus.offsets(topic)).find((one) => one.partition === partition);
  if (bounds === undefined) return undefined;
  const start = Math.max(from, bounds.earliest);
  for await (const records of bus.read({ topic, partition, from: start }))
    for (const record of records) return record.offset;
  return undefined;
}
