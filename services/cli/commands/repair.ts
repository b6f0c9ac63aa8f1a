/** ledger repair: rows that the tables lost, made again from the bus. */
import { z } from 'zod';
import { connect, type CommandContext } from '../command.ts';
import { EXIT } from '../output.ts';

export interface RepairOptions {
  readonly topic: string | undefined;
  readonly partition: number | undefined;
  readonly reason: string;
  readonly dryRun: boolean;
}

const zRows = z.object({
  topic: z.string(),
  partition: z.number(),
  log: z.string(),
  table: z.string(),
  rows: z.number(),
  indexes: z.string(),
});
const zAnswer = z.object({
  dryRun: z.boolean(),
  repaired: z.array(zRows),
  left: z.array(
    z.object({
      ...zRows.shape,
      reason: z.enum(['differs', 'erasure_unknown', 'gone_from_bus', 'not_proven']),
      at: z.number().nullable(),
    }),
  ),
});
type Left = z.infer<typeof zAnswer>['left'][number];

/** Exit 1 where something stays missing. */
export async function repairLedger(context: CommandContext, options: RepairOptions): Promise<number> {
  const answer = zAnswer.parse(await connect(context).post('/v1/ledger/repairs', options));
  context.output.item(answer, () => textOf(answer));
  return answer.left.length === 0 ? EXIT.done : EXIT.failed;
}

function textOf({ dryRun, repaired, left }: z.infer<typeof zAnswer>): string {
  const done = dryRun ? 'can be repaired' : 'repaired';
  const lines = [
    ...repaired.map((part) => `${done}: ${part.table} ${part.log} ${part.indexes} (${part.rows} rows)`),
    ...left.map(
      (part) => `missing: ${part.table} ${part.log} ${part.indexes} (${part.rows} rows): ${whyLeft(part)}`,
    ),
  ];
  return lines.length === 0 ? 'no row is missing' : lines.join('\n');
}

function whyLeft({ reason, at }: Left): string {
  switch (reason) {
    case 'gone_from_bus':
      return 'the bus does not hold these records any more; bring the rows from a backup of the store';
    case 'differs':
      return `what the bus holds for entry ${at} is not what stands there: keep everything, the row or the bus was altered`;
    case 'erasure_unknown':
      return 'entries of the audit trail are missing, so nobody knows whether these were erased; repair topic audit first';
    case 'not_proven':
      return `the chain to the signed head breaks at entry ${at}: keep everything, that row is missing or was altered`;
  }
}
