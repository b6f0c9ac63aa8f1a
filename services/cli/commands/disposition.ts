/** disposition: says what an alert was found to be. */
import { connect, type CommandContext } from '../command.ts';
import { visible } from '../output.ts';

export interface DispositionOptions {
  readonly disposition: string;
  readonly reason: string;
  readonly tenant: string | undefined;
}

interface Answer {
  readonly id: string;
  readonly ruleId: string;
  readonly disposition: { readonly value: string };
}

/** Sends it and prints the answer: it is on record then. */
export async function setDisposition(
  context: CommandContext,
  id: string,
  { disposition, reason, tenant }: DispositionOptions,
): Promise<void> {
  const query = tenant === undefined ? '' : `?tenant=${encodeURIComponent(tenant)}`;
  const path = `/v1/alerts/${encodeURIComponent(id)}/disposition${query}`;
  const answer = (await connect(context).post(path, { disposition, reason })) as Answer;
  context.output.item(
    answer,
    () => `alert ${visible(answer.id)} of ${visible(answer.ruleId)}: ${visible(answer.disposition.value)}`,
  );
}
