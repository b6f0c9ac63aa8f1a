/** What the two threads of a tap say to each other beside the lines in their common memory (recorder/shared-lines.ts). */
import type { Direction } from '../message.ts';
import type { JournalPlace } from '../recorder/line-appender.ts';
import type { Environment } from '../settings.ts';
import type { TapArguments } from './options.ts';

/** What the recording thread begins with. */
export interface RecordThreadData {
  readonly kind: 'tripline-record-thread';
  readonly memory: SharedArrayBuffer;
  readonly tap: TapArguments;
  readonly env: Environment;
  readonly hostPid: number;
}

export type ToRecordThread =
  /** What becomes of this line? It waits. */
  | { readonly kind: 'pass'; readonly id: number; readonly direction: Direction; readonly line: Uint8Array }
  /** There are lines to be put on record. */
  | { readonly kind: 'lines' }
  /** The connection is over. */
  | { readonly kind: 'close' };

export type FromRecordThread =
  /** Nothing can be put on record; `isConfiguration`: since the host is not configured as it should be. */
  | { readonly kind: 'failed'; readonly message: string; readonly isConfiguration: boolean }
  /** Lines may come. */
  | { readonly kind: 'ready' }
  | { readonly kind: 'journal'; readonly place: JournalPlace }
  | {
      readonly kind: 'passed';
      readonly id: number;
      /** `same`: the bytes as they came. */
      readonly forward: Uint8Array | 'same' | undefined;
      readonly answers: readonly string[];
      /** More is said of this line when its calls are judged; the others need not wait for it. */
      readonly isHeld: boolean;
    }
  | { readonly kind: 'closed' };
