/** ledger accept-loss: what an operator decides when records are gone from the bus. */
import { connect, type CommandContext } from '../command.ts';

export interface LossOptions {
  readonly topic: string;
  readonly partition: number;
  readonly fromOffset: number;
  readonly toOffset: number;
  readonly reason: string;
}

/** The service checks that they are gone; the decision is in the root log, and in the audit trail. */
export async function acceptLoss(context: CommandContext, loss: LossOptions): Promise<void> {
  const accepted = await connect(context).post('/v1/ledger/losses', loss);
  const { topic, partition, fromOffset, toOffset } = loss;
  context.output.item(
    accepted,
    () =>
      `${topic}/${partition}: offsets ${fromOffset} to ${toOffset - 1} are lost; record goes on behind them`,
  );
}
