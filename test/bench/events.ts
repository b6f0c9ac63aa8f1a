/** Distinct events as instrumented hosts send them: 32 lines a record, one stream a record, every fifth with text beyond ASCII. */
import { encodeEventRecord, partitionFor } from '../../schemas/bus/record.ts';
import type { BusMessage } from '../../services/platform/bus/port.ts';

export const LINES_PER_RECORD = 32;

export interface EventSource {
  readonly tenant: string;
  /** Makes streams and sessions differ between runs. */
  readonly run: number;
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

/** Line `seq` of stream `index`; intent and result in turn, about 1.1 KB. */
export function eventLine({ run }: EventSource, index: number, seq: number): string {
  const stream = hex(run, 8) + hex(index, 24);
  const intent = seq % 2 === 0;
  const body = intent
    ? {
        args: {
          url: `https://example.org/${index}/${seq}`,
          query: `${index % 5 === 0 ? 'überprüfe ' : 'look at '}${'x'.repeat((index * 37 + seq * 13) % 900)}`,
          options: { limit: seq, nested: [1, 2, { deep: true }] },
        },
        argsHash: hex(seq, 64),
        argsBytes: 500,
      }
    : {
        outcome: 'ok',
        durationMs: 12.5,
        result: { content: [{ type: 'text', text: 'y'.repeat((index * 53 + seq * 29) % 1100) }] },
        resultHash: hex(index, 64),
        resultBytes: 600,
      };
  return JSON.stringify({
    v: 1,
    kind: intent ? 'call.intent' : 'call.result',
    stream,
    seq,
    nonce: hex(index, 16) + hex(seq, 16),
    time: new Date(Date.UTC(2026, 10, 23, 12) + index * 1000 + seq).toISOString(),
    session: `session-${run}-${index}`,
    agent: `agent-${index % 7}`,
    principal: 'user@example.org',
    host: `host-${index % 3}`,
    callId: `call-${index}-${seq >> 1}`,
    traceId: hex(index + 1, 32),
    spanId: hex(seq + 1, 16),
    server: 'web',
    transport: 'stdio',
    tool: intent ? 'fetch_page' : 'search_docs',
    ...body,
  });
}

export interface BenchRecord {
  readonly partition: number;
  readonly message: BusMessage & { readonly value: Uint8Array };
  readonly events: number;
}

/** `count` records of LINES_PER_RECORD events each, spread over the partitions as ingest spreads them. */
export function benchRecords(source: EventSource, count: number, partitions: number): BenchRecord[] {
  return Array.from({ length: count }, (_, index) => {
    const lines = Array.from({ length: LINES_PER_RECORD }, (_line, seq) =>
      Buffer.from(eventLine(source, index, seq)),
    );
    const stream = hex(source.run, 8) + hex(index, 24);
    const session = `session-${source.run}-${index}`;
    const message = encodeEventRecord({ tenant: source.tenant, session, stream, firstSeq: 0, lines });
    return { partition: partitionFor(message.key as Uint8Array, partitions), message, events: lines.length };
  });
}
