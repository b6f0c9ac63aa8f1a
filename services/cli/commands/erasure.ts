/** erase and hold: what is taken from the record by right, and what may not be. */
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { TriplineError } from '../../../schemas/errors.ts';
import { connect, type CommandContext } from '../command.ts';
import { EXIT, visible } from '../output.ts';

export interface SubjectOptions {
  readonly principal: string | undefined;
  readonly session: string | undefined;
  readonly tenant: string | undefined;
  readonly reason: string;
}

const LOOK_EVERY_MS = 250;
const zAccepted = z.object({ id: z.string() });
const zState = z.object({
  id: z.string(),
  phase: z.enum(['requested', 'listed', 'recorded', 'finished']),
  outcome: z.enum(['erased', 'held']).optional(),
  entries: z.number().optional(),
  busUntilMs: z.number().nullish(),
});

const queryOf = (tenant: string | undefined): string =>
  tenant === undefined ? '' : `?tenant=${encodeURIComponent(tenant)}`;

/** Asks for it and waits until nothing is left; interrupted, the service goes on by itself. */
export async function erase(context: CommandContext, options: SubjectOptions): Promise<number> {
  const client = connect(context);
  const { id } = zAccepted.parse(
    await client.post(`/v1/erasures${queryOf(options.tenant)}`, subjectOf(options, false)),
  );
  context.output.note(`erasure ${id} is written down`);
  let phase = '';
  for (;;) {
    const state = zState.parse(await client.get(`/v1/erasures/${encodeURIComponent(id)}`));
    if (state.phase !== phase) context.output.note(state.phase);
    phase = state.phase;
    if (state.phase === 'finished') return finished(context, state);
    await sleep(LOOK_EVERY_MS, undefined, { signal: context.io.signal });
  }
}

function finished(context: CommandContext, state: z.infer<typeof zState>): number {
  const { id, outcome, entries = 0, busUntilMs } = state;
  if (outcome === 'held') throw new TriplineError('legal_hold', 'a hold was added meanwhile');
  context.output.item(state, () => {
    const until =
      typeof busUntilMs === 'number'
        ? `; topics of the cluster may hold it until ${new Date(busUntilMs).toISOString()}`
        : '';
    return `erasure ${visible(id)}: ${entries} entries${until}`;
  });
  return EXIT.done;
}

/** Of one principal or session; `isTenant` takes neither for all of a tenant. */
function subjectOf({ principal, session, reason }: SubjectOptions, isTenant: boolean) {
  if (principal !== undefined && session === undefined) return { principal, reason };
  if (session !== undefined && principal === undefined) return { session, reason };
  if (isTenant && principal === undefined) return { kind: 'tenant', reason };
  throw new TriplineError('usage', 'name either --principal or --session');
}

export async function addHold(context: CommandContext, options: SubjectOptions): Promise<void> {
  const isTenant = options.tenant !== undefined;
  const held = await connect(context).post(
    `/v1/holds${queryOf(options.tenant)}`,
    subjectOf(options, isTenant),
  );
  const { id } = zAccepted.parse(held);
  context.output.item(held, () => `hold ${visible(id)}`);
}

export async function listHolds(context: CommandContext): Promise<void> {
  const answer = await connect(context).get('/v1/holds');
  const { items } = z.object({ items: z.array(z.record(z.string(), z.string())) }).parse(answer);
  for (const item of items) {
    const text = ['id', 'tenant', 'kind', 'name', 'since', 'reason']
      .flatMap((name) => (item[name] === undefined ? [] : [visible(item[name])]))
      .join('  ');
    context.output.item(item, () => text);
  }
}

export async function releaseHold(context: CommandContext, id: string, reason: string): Promise<void> {
  const released = await connect(context).post(`/v1/holds/${encodeURIComponent(id)}/release`, { reason });
  context.output.item(released, () => `hold ${visible(id)} released`);
}
