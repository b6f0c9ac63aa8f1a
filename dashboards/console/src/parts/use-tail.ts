/** The live tail as React state: the newest rows, bounded, kept while the person looks at another view. */
import { useCallback, useEffect, useRef, useState } from 'react';
import { followTail, type TailState } from '../api/tail.ts';
import type { TailRow } from '../api/types.ts';

export const MAX_TAIL_ROWS = 300;

export interface Tail {
  /** Newest first, at most MAX_TAIL_ROWS. */
  readonly rows: readonly TailRow[];
  readonly state: TailState;
  readonly isPaused: boolean;
  /** Rows that came while paused; shown when the person goes on. */
  readonly waiting: number;
  /** Rows that the service left out because this page was too slow. */
  readonly dropped: number;
  /** All rows seen since the page was opened. */
  readonly seen: number;
  /** Grows with every alert and every acknowledged kill switch in the tail, paused or not. */
  readonly news: number;
  /** Grows with every call that asks for an approval or uses one up, paused or not. */
  readonly asks: number;
  readonly togglePause: () => void;
  readonly clear: () => void;
}

interface Held {
  readonly rows: readonly TailRow[];
  readonly held: readonly TailRow[];
  /** Counts also what the bound on `held` pushed out. */
  readonly waiting: number;
  readonly seen: number;
  readonly news: number;
  readonly asks: number;
}

/** Kinds after which lists of alerts and controls are read again. */
const NEWS: ReadonlySet<string> = new Set(['alert', 'control.ack']);
const NOTHING: Held = { rows: [], held: [], waiting: 0, seen: 0, news: 0, asks: 0 };

const concernsApprovals = ({ kind, verdict }: TailRow): boolean =>
  kind === 'approval' || (kind === 'call.intent' && verdict === 'approval_required');

export function useTail(token: string): Tail {
  const [held, setHeld] = useState<Held>(NOTHING);
  const [state, setState] = useState<TailState>('connecting');
  const [dropped, setDropped] = useState(0);
  const [isPaused, setPaused] = useState(false);
  const paused = useRef(false);
  useEffect(
    () =>
      followTail(token, {
        onRows: (rows, total) => setHeld((last) => take(last, { rows, total }, paused.current)),
        onDropped: (count) => setDropped((last) => last + count),
        onState: setState,
      }),
    [token],
  );
  const togglePause = useCallback(() => {
    paused.current = !paused.current;
    setPaused(paused.current);
    if (!paused.current) setHeld(release);
  }, []);
  const clear = useCallback(
    () => setHeld((last) => ({ ...NOTHING, seen: last.seen, news: last.news, asks: last.asks })),
    [],
  );
  return {
    rows: held.rows,
    state,
    isPaused,
    waiting: held.waiting,
    dropped,
    seen: held.seen,
    news: held.news,
    asks: held.asks,
    togglePause,
    clear,
  };
}

interface Arrived {
  /** Oldest first. */
  readonly rows: readonly TailRow[];
  readonly total: number;
}

function take(last: Held, arrived: Arrived, isPaused: boolean): Held {
  const seen = last.seen + arrived.total;
  const news = last.news + arrived.rows.filter((row) => NEWS.has(row.kind)).length;
  const asks = last.asks + arrived.rows.filter(concernsApprovals).length;
  if (isPaused) {
    const held = [...last.held, ...arrived.rows].slice(-MAX_TAIL_ROWS);
    return { rows: last.rows, held, waiting: last.waiting + arrived.total, seen, news, asks };
  }
  return { ...last, rows: newest(arrived.rows, last.rows), seen, news, asks };
}

/** Shows what was held back. */
function release(last: Held): Held {
  return { ...last, rows: newest(last.held, last.rows), held: [], waiting: 0 };
}

/** `arrived` is oldest first, `shown` newest first. */
function newest(arrived: readonly TailRow[], shown: readonly TailRow[]): readonly TailRow[] {
  return [...arrived.toReversed(), ...shown].slice(0, MAX_TAIL_ROWS);
}
