/** Erasures and legal holds: in the process that holds the keys. */
import type { ErasableKeys } from '../../platform/payloads/keys.ts';
import type { StepContext } from '../../platform/step.ts';
import { Holds } from './holds.ts';
import { Intents } from './intents.ts';
import { RepairTurns } from './repair-turns.ts';
import { registerErasures } from './routes.ts';
import { ErasureRun, type Forgetting } from './run.ts';

export type { Forgetting } from './run.ts';

export interface Erasures {
  /** Takes up what an earlier life left, and what is asked for from now on. */
  begin(): void;
  stop(): Promise<void>;
  /** What repairs ask before they insert. */
  readonly repairs: RepairTurns;
}

/** Registers the routes. */
export function openErasures(
  context: StepContext,
  keys: ErasableKeys,
  forgetting: () => Forgetting,
): Erasures {
  const intents = new Intents(context.dataDir);
  const holds = new Holds(context.dataDir);
  const repairs = new RepairTurns(context.clock);
  const run = new ErasureRun({ context, keys, intents, holds, repairs, forgetting });
  registerErasures(context, { intents, holds, wake: () => run.wake() });
  return { begin: () => run.begin(), stop: () => run.stop(), repairs };
}
