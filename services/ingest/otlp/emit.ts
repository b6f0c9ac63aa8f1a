/** Calls whose owner is known → events, through the same door as any other. */
import { keepRefused } from '../dead-letters.ts';
import { publish } from '../publish.ts';
import { ingest, type IngestTools } from '../step.ts';
import type { StepContext } from '../../platform/step.ts';
import type { Owner } from './belong.ts';
import { eventLines } from './event-lines.ts';
import type { SeenCall } from './seen-call.ts';

export interface OwnedCall {
  readonly seen: SeenCall;
  readonly owner: Owner;
}

export interface Sender {
  readonly tenant: string;
  readonly origin: string;
}

export type EmitContext = Pick<StepContext, 'bus' | 'producer' | 'clock' | 'randomBytes'>;

const LF = Buffer.from('\n');

/** Resolves when every event is durable on the bus; answers how many lines were refused (they are in dead letters then). */
export async function emitCalls(
  context: EmitContext,
  tools: IngestTools,
  sender: Sender,
  calls: readonly OwnedCall[],
): Promise<number> {
  if (calls.length === 0) return 0;
  const lines = calls.flatMap(({ seen, owner }) => eventLines(sender.tenant, seen, owner, tools.sha256));
  const body = Buffer.concat(lines.flatMap((line) => [line, LF]));
  const outcome = ingest({ tenant: sender.tenant, body, form: 'ndjson', strict: false }, tools);
  await Promise.all([
    publish(context, tools, { tenant: sender.tenant, outcome }),
    keepRefused(context, sender, outcome.rejected),
  ]);
  return outcome.rejected.length;
}
