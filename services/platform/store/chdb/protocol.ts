/** Messages between the adapter and the engine's process. Buffers stay out of it: inserts travel as files. */
import type { SqlParameter } from '../port.ts';

export interface EngineOptions {
  readonly dir: string;
  readonly database: string;
  readonly maxMemoryBytes: number;
  readonly queryTimeoutMs: number;
  readonly readers: number;
  readonly streams: number;
}

/** Chunks are text, or bytes. */
export type StreamFormat = 'JSONEachRow' | 'RowBinary';

export type Params = Readonly<Record<string, SqlParameter>>;

export type EngineRequest =
  | { readonly op: 'open'; readonly id: number; readonly options: EngineOptions }
  | {
      readonly op: 'query';
      readonly id: number;
      readonly sql: string;
      readonly params: Params;
      /** Bytes come as one chunk, text as the reply. */
      readonly format: StreamFormat;
    }
  | {
      readonly op: 'stream';
      readonly id: number;
      readonly sql: string;
      readonly params: Params;
      readonly format: StreamFormat;
    }
  /** One more chunk of a stream, please; or no more at all. */
  | { readonly op: 'pull'; readonly id: number }
  | { readonly op: 'cancel'; readonly id: number }
  /** By the writer session: DDL, INSERT FROM INFILE. */
  | { readonly op: 'command'; readonly id: number; readonly sql: string }
  /** Ends a running query or stream. */
  | { readonly op: 'kill'; readonly id: number }
  | { readonly op: 'close'; readonly id: number };

export type EngineReply =
  | { readonly id: number; readonly kind: 'done'; readonly text: string }
  | { readonly id: number; readonly kind: 'chunk'; readonly chunk: string | Uint8Array }
  | {
      readonly id: number;
      readonly kind: 'failed';
      readonly clickhouseCode: number;
      readonly message: string;
    }
  /** Another process has the data directory open. */
  | { readonly id: number; readonly kind: 'locked' }
  /** Package chdb is not installed. */
  | { readonly id: number; readonly kind: 'missing'; readonly message: string };
