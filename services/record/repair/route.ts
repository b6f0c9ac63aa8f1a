/** POST /v1/ledger/repairs: an operator has rows that the tables lost made again from the bus. */
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { TriplineError } from '../../../schemas/errors.ts';
import { LEDGER_TOPICS, TOPICS } from '../../../schemas/topics.ts';
import { classMappingVersion } from '../../evidence/projection.ts';
import { ALL_TENANTS, principalOf } from '../../platform/http/principal.ts';
import { ed25519Verify, sha256 } from '../../platform/ledger/crypto.ts';
import type { HeadSource } from '../../platform/ledger/heads.ts';
import type { StepContext } from '../../platform/step.ts';
import type { RepairTurns } from '../ports.ts';
import { Turns } from '../turns.ts';
import type { SignedPartition } from './holes.ts';
import { planRepair, type LeftRows, type PartitionPlan, type RepairPorts, type RowsOf } from './repair.ts';

const zRepair = z.strictObject({
  /** Absent: all that are signed. */
  topic: z.enum(LEDGER_TOPICS).optional(),
  partition: z.number().int().min(0).max(65_535).optional(),
  reason: z.string().trim().min(1).max(256),
  /** Says what would be done. */
  dryRun: z.boolean().default(false),
});

export interface RepairAnswer {
  readonly dryRun: boolean;
  readonly repaired: readonly RowsOf[];
  readonly left: readonly LeftRows[];
}

const MAX_DETAIL = 2048;

/**
 * Admins of all tenants alone: a partition holds records of many. Without a signer nothing could be proven. `erasures`: of
 * the process that erases; undefined where none does.
 */
export function registerRepairRoute(
  context: StepContext,
  signer: Pick<HeadSource, 'heads'> | undefined,
  erasures: RepairTurns | undefined,
): void {
  const http = context.http.withTypeProvider<ZodTypeProvider>();
  // One after the other: two that insert the same rows would leave twins.
  const turns = new Turns();
  http.route({
    method: 'POST',
    url: '/v1/ledger/repairs',
    config: { roles: ['admin'] },
    schema: {
      summary: 'Makes rows that are missing again from the bus, where the signed heads prove them; on record',
      body: zRepair,
    },
    handler: async (request) => {
      const principal = principalOf(request);
      if (principal.tenant !== ALL_TENANTS) throw new TriplineError('auth_forbidden');
      if (signer === undefined) throw new TriplineError('not_ready', 'no signer can be asked');
      return await turns.run(async () => {
        try {
          if (!request.body.dryRun) await erasures?.take();
          return await repair({ ...context, turns: erasures }, signer, { ...request.body, ...principal });
        } finally {
          if (!request.body.dryRun) await erasures?.done();
        }
      });
    },
  });
}

const AUDIT = TOPICS.audit.name;

/** Rows that may say what was erased. */
const isBehindErasure = ({ table }: RowsOf): boolean => table === 'ledger' || table === 'payloads';

/** Where topic audit is not repaired along, it must be whole: it says what must not come back. */
async function hidesErasures(
  signer: Pick<HeadSource, 'heads'>,
  wish: Wish,
  plan: (at: SignedPartition) => Promise<PartitionPlan>,
): Promise<boolean> {
  if (wish.topic === undefined && wish.partition === undefined) return false;
  for (const at of await partitionsOf(signer, { ...wish, topic: AUDIT, partition: undefined })) {
    const { repairable, left } = await plan(at);
    if ([...repairable, ...left].some(isBehindErasure)) return true;
  }
  return false;
}

type Wish = z.infer<typeof zRepair> & { readonly id: string; readonly role: string };

async function repair(
  context: StepContext & Pick<RepairPorts, 'turns'>,
  signer: Pick<HeadSource, 'heads'>,
  wish: Wish,
): Promise<RepairAnswer> {
  const repaired: RowsOf[] = [];
  const left: LeftRows[] = [];
  const { bus, store, keys, turns } = context;
  const ports = { bus, store, keys, turns };
  const settings = settingsOf(context);
  let onlyEntries = await hidesErasures(signer, wish, (at) =>
    planRepair(ports, settings, { at, onlyEntries: false }),
  );
  for (const at of await partitionsOf(signer, wish)) {
    const plan = await planRepair(ports, settings, { at, onlyEntries: onlyEntries && at.topic !== AUDIT });
    if (!wish.dryRun && plan.repairable.length > 0) {
      // Before any row comes back: a crash leaves a decision without its rows, never rows without a decision.
      await record(context, wish, { at, plan });
      await plan.apply();
    }
    repaired.push(...plan.repairable);
    left.push(...plan.left);
    onlyEntries ||= at.topic === AUDIT && plan.left.some(isBehindErasure);
  }
  return { dryRun: wish.dryRun, repaired, left };
}

/** The audit trail first: it says what was erased, and what was erased must not come back. */
async function partitionsOf(signer: Pick<HeadSource, 'heads'>, wish: Wish): Promise<SignedPartition[]> {
  const isMeant = ({ topic, partition }: SignedPartition): boolean =>
    (wish.topic ?? topic) === topic && (wish.partition ?? partition) === partition;
  const rank = ({ topic }: SignedPartition): number => (topic === AUDIT ? 0 : 1);
  const signed: readonly SignedPartition[] = await signer.heads();
  return signed.filter(isMeant).toSorted((a, b) => rank(a) - rank(b));
}

function settingsOf({ config }: StepContext) {
  const { deployment, classify } = config;
  return { deployment, mapping: classMappingVersion(classify, sha256), sha256, ed25519Verify };
}

async function record(
  { audit }: StepContext,
  { id: actor, role, reason }: Wish,
  { at: { topic, partition }, plan }: { readonly at: SignedPartition; readonly plan: PartitionPlan },
): Promise<void> {
  const rows = plan.repairable.reduce((sum, part) => sum + part.rows, 0);
  const what = plan.repairable.map((part) => `${part.table} ${part.log} ${part.indexes}`).join('; ');
  await audit.record('default', {
    action: 'evidence.repair',
    actor,
    role,
    target: `${topic}/${partition}`,
    reason,
    outcome: 'ok',
    details: { rows, what: what.slice(0, MAX_DETAIL), left: plan.left.length },
  });
}
