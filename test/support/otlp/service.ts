/** A service that takes OTLP, with real parts, and what it has on record. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { zConfig } from '../../../schemas/config/v1.ts';
import { startService, type Service } from '../../../services/cli/service.ts';
import type { TraceRequest } from './build.ts';

export interface RecordedEvent {
  readonly id: string;
  readonly kind: string;
  readonly session: string;
  readonly agent: string;
  readonly callId: string;
  readonly tool: string;
  readonly outcome?: string;
  readonly labels?: readonly string[];
  readonly traceId?: string;
  readonly spanId?: string;
  readonly findings?: readonly string[];
}

export interface OtlpService {
  readonly service: Service;
  readonly token: string;
  post(
    body: TraceRequest | Buffer | string,
    headers?: Readonly<Record<string, string>>,
    path?: string,
  ): Promise<Response>;
  /** Events on record, once there are `atLeast` of them. */
  events(atLeast: number): Promise<readonly RecordedEvent[]>;
  stop(): Promise<void>;
}

export interface OtlpSettings {
  readonly dataDir: string;
  readonly otlp?: Readonly<Record<string, unknown>>;
  readonly http?: Readonly<Record<string, unknown>>;
}

const WITHIN_MS = 20_000;

export async function startOtlpService({
  dataDir,
  otlp = {},
  http = {},
}: OtlpSettings): Promise<OtlpService> {
  const config = zConfig.parse({ dataDir, http: { port: 0, ...http }, otlp, log: { level: 'silent' } });
  const steps = ['ingest', 'record', 'sign', 'query', 'respond'] as const;
  const service = await startService({ config, steps, log: pino({ level: 'silent' }), announce: true });
  const tokenOf = (file: string): string => readFileSync(join(dataDir, file), 'utf8').trim();
  const token = tokenOf('producer.token');
  const admin = tokenOf('admin.token');
  const read = async (): Promise<readonly RecordedEvent[]> => {
    const answer = await fetch(`${service.url}/v1/events?limit=1000`, {
      headers: { authorization: `Bearer ${admin}` },
    });
    return ((await answer.json()) as { items: readonly RecordedEvent[] }).items;
  };
  return {
    service,
    token,
    post: (body, headers = {}, path = '/v1/traces') =>
      fetch((service.otlpUrl ?? service.url) + path, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
        body: Buffer.isBuffer(body)
          ? new Uint8Array(body)
          : typeof body === 'string'
            ? body
            : JSON.stringify(body),
      }),
    events: async (atLeast) => {
      const deadline = performance.now() + WITHIN_MS;
      for (;;) {
        const events = await read();
        if (events.length >= atLeast || performance.now() > deadline) return events;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    },
    stop: () => service.stop(),
  };
}
