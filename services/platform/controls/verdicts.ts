/**
 * Verdicts on held calls, from their topic to the hosts that wait: read from its end on, since a verdict that is late is
 * worth nothing. A stream is known by its tenant and id, so that nobody hears of another tenant's calls.
 */
import type { Logger } from 'pino';
import { FORMAT_VERDICT, HEADERS, TOPICS } from '../../../schemas/topics.ts';
import { zVerdict, type Verdict } from '../../../schemas/verdict/v1.ts';
import type { Bus, BusRecord } from '../bus/port.ts';

export type VerdictListener = (verdict: Verdict) => void;

export interface Verdicts {
  /** Answers the way to end it. */
  subscribe(tenant: string, stream: string, listener: VerdictListener): () => void;
  close(): Promise<void>;
}

const MAX_VALUE_BYTES = 4 * 1024;

export async function openVerdicts(options: { readonly bus: Bus; readonly log: Logger }): Promise<Verdicts> {
  const listeners = new Map<string, Set<VerdictListener>>();
  const tail = await options.bus.tail({
    topics: [TOPICS.verdicts.name],
    from: 'latest',
    onRecords: (records) => {
      for (const record of records) hand(record, listeners);
      return Promise.resolve();
    },
    onError: (error) => options.log.warn({ err: error }, 'reading topic verdicts'),
  });
  return {
    subscribe(tenant, stream, listener) {
      const key = keyOf(tenant, stream);
      const own = listeners.get(key) ?? new Set();
      listeners.set(key, own.add(listener));
      return () => {
        own.delete(listener);
        if (own.size === 0 && listeners.get(key) === own) listeners.delete(key);
      };
    },
    close: () => tail.stop(),
  };
}

const keyOf = (tenant: string, stream: string): string => `${tenant}\0${stream}`;

function hand(record: BusRecord, listeners: ReadonlyMap<string, ReadonlySet<VerdictListener>>): void {
  if (listeners.size === 0) return;
  const verdict = decodeVerdict(record);
  if (verdict === undefined) return;
  const own = listeners.get(keyOf(record.headers[HEADERS.tenant] ?? '', verdict.stream));
  for (const listener of own ?? []) listener(verdict);
}

function decodeVerdict({ value, headers }: BusRecord): Verdict | undefined {
  if (value === null || value.length > MAX_VALUE_BYTES) return undefined;
  if (headers[HEADERS.format] !== FORMAT_VERDICT) return undefined;
  try {
    return zVerdict.parse(JSON.parse(Buffer.from(value).toString('utf8')));
  } catch {
    return undefined;
  }
}
