/** Order inside the streams of a log: every type that the ledger gives an entry is derived again. */
import { ENTRY_TYPES } from './entry.ts';

interface Hole {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

interface StreamOrder {
  nextSeq: number;
  /** Seq of a GAP entry whose next entry has not come yet. */
  announced: number | undefined;
  holes: Hole[];
  effectiveMs: number;
}

export interface OrderedEntry {
  readonly type: number;
  readonly stream: string;
  readonly seq: number;
}

/** Memory is one small object a stream of the log, and one a hole. */
export class StreamOrders {
  readonly #streams = new Map<string, StreamOrder>();

  /** False when the entry cannot stand here. */
  accept(entry: OrderedEntry): boolean {
    const order = this.#order(entry.stream);
    switch (entry.type) {
      case ENTRY_TYPES.gap:
        if (entry.seq !== order.nextSeq || order.announced !== undefined) return false;
        order.announced = entry.seq;
        return true;
      case ENTRY_TYPES.late:
        return fillHole(order, entry.seq);
      case ENTRY_TYPES.equivocation:
        return order.announced === undefined && isEntered(order, entry.seq);
      case ENTRY_TYPES.deadLetter:
        return isEntered(order, entry.seq) || fillHole(order, entry.seq) || advance(order, entry.seq);
      default:
        return advance(order, entry.seq);
    }
  }

  effectiveMs(stream: string): number {
    return this.#order(stream).effectiveMs;
  }

  setEffectiveMs(stream: string, effectiveMs: number): void {
    this.#order(stream).effectiveMs = effectiveMs;
  }

  *holes(): Generator<{ readonly stream: string; readonly firstSeq: number; readonly lastSeq: number }> {
    for (const [stream, order] of this.#streams) {
      for (const hole of order.holes) yield { stream, firstSeq: hole.from, lastSeq: hole.to - 1 };
    }
  }

  #order(stream: string): StreamOrder {
    let order = this.#streams.get(stream);
    if (order === undefined) {
      order = { nextSeq: 0, announced: undefined, holes: [], effectiveMs: Number.NEGATIVE_INFINITY };
      this.#streams.set(stream, order);
    }
    return order;
  }
}

function advance(order: StreamOrder, seq: number): boolean {
  if (seq < order.nextSeq) return false;
  const skips = seq > order.nextSeq;
  if (skips !== (order.announced !== undefined)) return false;
  if (skips) order.holes.push({ from: order.nextSeq, to: seq });
  order.announced = undefined;
  order.nextSeq = seq + 1;
  return true;
}

function isEntered(order: StreamOrder, seq: number): boolean {
  return seq < order.nextSeq && !order.holes.some((hole) => seq >= hole.from && seq < hole.to);
}

function fillHole(order: StreamOrder, seq: number): boolean {
  const at = order.holes.findIndex((hole) => seq >= hole.from && seq < hole.to);
  const hole = order.holes[at];
  if (hole === undefined || order.announced !== undefined) return false;
  const left = { from: hole.from, to: seq };
  const right = { from: seq + 1, to: hole.to };
  order.holes.splice(at, 1, ...[left, right].filter((part) => part.to > part.from));
  return true;
}
