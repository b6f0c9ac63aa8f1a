/** WS /v1/tail with reconnection. Rows are handed over in groups, so that a burst costs one render. */
import { readTailMessage } from './read.ts';
import type { TailRow } from './types.ts';

export type TailState = 'connecting' | 'open' | 'waiting' | 'denied';

export interface TailListener {
  /** The newest rows since the last time, oldest first, and how many came in all. */
  readonly onRows: (rows: readonly TailRow[], arrived: number) => void;
  /** Rows that the service left out because this page read too slowly. */
  readonly onDropped: (count: number) => void;
  readonly onState: (state: TailState) => void;
}

const FLUSH_INTERVAL_MS = 120;
const MAX_BUFFERED_ROWS = 500;
const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 15_000;
/** A browser hides the status of a refused upgrade: after so many failures in a row without an open, say so. */
const FAILURES_BEFORE_DENIED = 4;

/** Follows the tail until the returned function is called. */
export function followTail(token: string, listener: TailListener): () => void {
  let socket: WebSocket | null = null;
  let stopped = false;
  let failures = 0;
  let retry: ReturnType<typeof setTimeout> | undefined;
  const buffer = createBuffer(listener);
  const connect = (): void => {
    listener.onState('connecting');
    socket = new WebSocket(tailUrl(), ['tripline.v1', `bearer.${token}`]);
    socket.addEventListener('open', () => {
      failures = 0;
      listener.onState('open');
    });
    socket.addEventListener('message', (message) => buffer.take(message.data));
    socket.addEventListener('close', () => {
      if (stopped) return;
      failures += 1;
      listener.onState(failures >= FAILURES_BEFORE_DENIED ? 'denied' : 'waiting');
      retry = setTimeout(connect, Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1)));
    });
  };
  connect();
  return () => {
    stopped = true;
    clearTimeout(retry);
    buffer.stop();
    socket?.close();
  };
}

function tailUrl(): string {
  const url = new URL('/v1/tail', window.location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.hash = '';
  return url.toString();
}

let nextKey = 0;

function createBuffer(listener: TailListener): { take(data: unknown): void; stop(): void } {
  let rows: TailRow[] = [];
  let arrived = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const flush = (): void => {
    timer = undefined;
    const ready = rows;
    const total = arrived;
    rows = [];
    arrived = 0;
    listener.onRows(ready, total);
  };
  return {
    take(data) {
      nextKey += 1;
      const message = readTailMessage(parse(data), nextKey);
      switch (message.kind) {
        case 'row':
          rows.push(message.row);
          arrived += 1;
          if (rows.length > MAX_BUFFERED_ROWS) rows = rows.slice(-MAX_BUFFERED_ROWS);
          timer ??= setTimeout(flush, FLUSH_INTERVAL_MS);
          return;
        case 'dropped':
          listener.onDropped(message.count);
          return;
        case 'other':
          return;
      }
    },
    stop() {
      clearTimeout(timer);
    },
  };
}

function parse(data: unknown): unknown {
  if (typeof data !== 'string') return null;
  try {
    return JSON.parse(data) as unknown;
  } catch {
    return null;
  }
}
