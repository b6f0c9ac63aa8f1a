/** Follows the live tail for the demo: prints calls as they arrive and counts them. */
import { WebSocket } from 'ws';
import type { Endpoint } from '../client.ts';
import { eventLine } from './story.ts';

type Item = Readonly<Record<string, unknown>>;

export interface Follow {
  readonly counts: { intents: number; results: number };
  /** Every call.result so far, whole. */
  readonly results: readonly Item[];
  /** From now on events are counted and not printed. */
  hush(): void;
  /** Resolves when nothing new arrived for 400 ms. */
  settled(): Promise<void>;
  close(): void;
}

const QUIET_MS = 400;

export async function followEvents(endpoint: Endpoint, print: (line: string) => void): Promise<Follow> {
  const counts = { intents: 0, results: 0 };
  const results: Item[] = [];
  let lastMs = performance.now();
  let hushed = false;
  const socket = new WebSocket(`${endpoint.url.replace(/^http/, 'ws')}/v1/tail`, {
    headers: { authorization: `Bearer ${endpoint.token ?? ''}` },
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('open', () => resolve());
    socket.once('error', reject);
  });
  socket.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString('utf8')) as Item;
    const event = { ...(message['event'] as Item | undefined), ...(message['derived'] as Item | undefined) };
    if (event['kind'] === 'call.intent') counts.intents += 1;
    if (event['kind'] === 'call.result') {
      counts.results += 1;
      results.push(event);
    }
    lastMs = performance.now();
    if (!hushed) print(eventLine(event));
  });
  return {
    counts,
    results,
    hush: () => {
      hushed = true;
    },
    settled: async () => {
      while (performance.now() - lastMs < QUIET_MS) await new Promise((resolve) => setTimeout(resolve, 50));
    },
    close: () => socket.close(),
  };
}
