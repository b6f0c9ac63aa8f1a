/** Records of one request onto the bus. */
import { TOPICS } from '../../schemas/topics.ts';
import type { StepContext } from '../platform/step.ts';
import type { IngestOutcome, IngestTools, OutgoingRecord } from './step.ts';

/** Resolves when all records are durable. One send a partition; remembered as durable only once it is. */
export async function publish(
  context: Pick<StepContext, 'producer'>,
  tools: IngestTools,
  { tenant, outcome }: { tenant: string; outcome: Pick<IngestOutcome, 'records'> },
): Promise<void> {
  const byPartition = new Map<number, OutgoingRecord[]>();
  for (const record of outcome.records) {
    const records = byPartition.get(record.partition);
    if (records === undefined) byPartition.set(record.partition, [record]);
    else records.push(record);
  }
  await Promise.all(
    [...byPartition].map(async ([partition, records]) => {
      await context.producer.send(
        TOPICS.toolcalls.name,
        partition,
        records.map(({ message }) => message),
      );
      for (const { stream, firstSeq, fingerprints } of records)
        tools.memories.of(tenant, stream).markDurable(firstSeq, fingerprints);
    }),
  );
}
