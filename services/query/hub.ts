/** One reader of the bus for all live tails of the process: a line is read once, then offered to every subscriber. */
import { classify, destHost } from '../../detectors/classify/index.ts';
import { readRecordHeaders, splitLines } from '../../schemas/bus/record.ts';
import { TOPICS } from '../../schemas/topics.ts';
import { readLedgerLine, type LedgerLine } from '../evidence/lines.ts';
import type { BusConsumer, BusRecord } from '../platform/bus/port.ts';
import type { StepContext } from '../platform/step.ts';

export interface TailMessage {
  readonly type: 'event';
  readonly tenant: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly line: number;
  readonly appendTime: string;
  readonly event: Readonly<Record<string, unknown>>;
  readonly derived: { readonly class?: string; readonly destHost?: string };
}

export type TailListener = (message: TailMessage) => void;

export interface TailHub {
  /** Resolves when every record appended from now on will be offered. */
  start(): Promise<void>;
  /** Answers the function that ends it. */
  subscribe(listener: TailListener): () => void;
  stop(): Promise<void>;
}

const TAILED = [TOPICS.toolcalls.name, TOPICS.alerts.name, TOPICS.audit.name];

export function createTailHub(context: StepContext): TailHub {
  const listeners = new Set<TailListener>();
  let starting: Promise<BusConsumer> | undefined;
  const offer = (record: BusRecord): void => {
    for (const message of messagesOf(record, context)) for (const listener of listeners) listener(message);
  };
  const open = (): Promise<BusConsumer> =>
    context.bus.tail({
      topics: TAILED,
      from: 'latest',
      // Nobody listens: nothing is parsed.
      onRecords: async (records) => {
        if (listeners.size > 0) for (const record of records) offer(record);
      },
      onError: (error) => context.log.warn({ err: error }, 'live tail'),
    });
  return {
    start: async () => {
      starting ??= open();
      try {
        await starting;
      } catch (error) {
        starting = undefined;
        throw error;
      }
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    stop: async () => {
      listeners.clear();
      await (await starting)?.stop();
    },
  };
}

/** Lines of a record that can be read; the others are findings of the ledger and no news of a session. */
function* messagesOf(record: BusRecord, { config }: StepContext): Generator<TailMessage> {
  const headers = readRecordHeaders(record.headers);
  if (headers.kind !== 'events' || record.value === null) return;
  let line = -1;
  for (const bytes of splitLines(record.value)) {
    line += 1;
    const read = readLedgerLine(record.topic, bytes);
    if (read.kind === 'rejected') continue;
    yield {
      type: 'event',
      tenant: headers.tenant,
      topic: record.topic,
      partition: record.partition,
      offset: record.offset,
      line,
      appendTime: new Date(record.appendMs).toISOString(),
      event: { ...read.event },
      derived: derivedOf(read, config.classify),
    };
  }
}

function derivedOf(
  read: Exclude<LedgerLine, { kind: 'rejected' }>,
  settings: StepContext['config']['classify'],
): TailMessage['derived'] {
  if (read.kind !== 'event' || read.event.tool === undefined) return {};
  const found = { class: classify(read.event, settings.mappings).class };
  const host = read.event.args === undefined ? '' : destHost(read.event, settings.internalHosts);
  return host === '' ? found : { ...found, destHost: host };
}
