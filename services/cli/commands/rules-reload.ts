/** rules reload: the running service reads its rules again. */
import { z } from 'zod';
import { TriplineError } from '../../../schemas/errors.ts';
import { connect, type CommandContext } from '../command.ts';
import { EXIT } from '../output.ts';

const zIds = z.array(z.string());
const zReloaded = z.object({
  added: zIds,
  removed: zIds,
  changed: zIds,
  adjusted: zIds,
  kept: zIds,
  rules: z.number(),
  faults: z.array(
    z.object({ path: z.string(), line: z.number(), at: z.string(), message: z.string(), hint: z.string() }),
  ),
});
type Reloaded = z.infer<typeof zReloaded>;

/** Prints what changed; exit 1 where a file has faults (the sound rules run all the same). */
export async function reloadRules(context: CommandContext): Promise<number> {
  const answer = zReloaded.safeParse(await connect(context).post('/v1/rules/reload', {}));
  if (!answer.success) throw new TriplineError('internal', 'the service answered something else');
  context.output.item(answer.data, () => reloadedText(answer.data));
  return answer.data.faults.length === 0 ? EXIT.done : EXIT.failed;
}

function reloadedText(reloaded: Reloaded): string {
  const lists = (['added', 'removed', 'changed', 'adjusted', 'kept'] as const).flatMap((name) =>
    reloaded[name].length === 0 ? [] : [`${name.padEnd(8)}  ${reloaded[name].join(', ')}`],
  );
  const faults = reloaded.faults.map(
    ({ path, line, at, message, hint }) => `FAULT ${path}:${line}: ${at}: ${message} (${hint})`,
  );
  const none = lists.length === 0 ? ['nothing has changed'] : [];
  return [...lists, ...none, ...faults, `${reloaded.rules} rules run`].join('\n');
}
