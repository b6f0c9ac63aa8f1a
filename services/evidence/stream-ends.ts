/**
 * Ends of streams: one that was opened sends heartbeats until it closes, and its close says how many events it had. An
 * open end that has been silent for three heartbeats when its log went on, or a close that counts more than there is,
 * means events that never came. Pure; time is that of the log, never a clock.
 */
import type { BundleRows, LedgerColumns } from './bundle.ts';
import { fromBase64 } from './bytes.ts';
import { ENTRY_TYPES } from './entry.ts';
import { readLedgerLine } from './lines.ts';

/** A stream sends one at least so often (services/capture). */
export const HEARTBEAT_MS = 30_000;
export const SILENT_AFTER_MS = 3 * HEARTBEAT_MS;

export interface StreamEnd {
  readonly stream: string;
  readonly session: string;
  /** First sequence that is missing. */
  readonly nextSeq: number;
  /** Exclusive, where the close told; null where the stream fell silent. */
  readonly count: number | null;
  /** Append time of its last entry. */
  readonly lastMs: number;
}

interface OpenStream {
  session: string;
  nextSeq: number;
  lastMs: number;
  count: number | undefined;
}

/** Memory: one small object a stream that was opened and has not closed as it should. */
export class StreamEnds {
  readonly #open = new Map<string, OpenStream>();
  #newestMs = 0;

  accept(rows: BundleRows, row: LedgerColumns): void {
    this.#newestMs = Math.max(this.#newestMs, row.append_ms);
    const known = this.#open.get(row.stream_id);
    const state = known ?? (row.type === ENTRY_TYPES.streamOpen ? opened(row) : undefined);
    if (state === undefined || row.type === ENTRY_TYPES.gap) return;
    state.nextSeq = Math.max(state.nextSeq, row.seq + 1);
    state.lastMs = row.append_ms;
    if (row.type !== ENTRY_TYPES.streamClose) {
      this.#open.set(row.stream_id, state);
      return;
    }
    const count = closingCount(rows, row);
    if (count === undefined || count <= state.nextSeq) this.#open.delete(row.stream_id);
    else this.#open.set(row.stream_id, { ...state, count });
  }

  /** Streams whose end is missing. */
  *open(): Generator<StreamEnd> {
    for (const [stream, { session, nextSeq, lastMs, count }] of this.#open) {
      if (count !== undefined) yield { stream, session, nextSeq, count, lastMs };
      else if (this.#newestMs - lastMs > SILENT_AFTER_MS)
        yield { stream, session, nextSeq, count: null, lastMs };
    }
  }
}

function opened(row: LedgerColumns): OpenStream {
  return { session: row.session_id, nextSeq: 0, lastMs: row.append_ms, count: undefined };
}

/** Undefined where the close names none, or its bytes are gone. */
function closingCount(rows: BundleRows, row: LedgerColumns): number | undefined {
  const bytes = fromBase64(rows.payloads[0]?.bytes ?? '');
  const read = bytes === undefined ? undefined : readLedgerLine(row.topic, bytes);
  return read?.kind === 'event' ? read.event.streamState?.count : undefined;
}
