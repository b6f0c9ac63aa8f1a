/** Events in EQL's order: time, then tie-breaker (missing ones last), then place in the file. */
import { EqlError } from './error.ts';
import { order, readPath, type EventObject, type Value } from './values.ts';

export interface EventFields {
  readonly id: string;
  readonly category: string;
  readonly timestamp: string;
  readonly tiebreaker?: string | undefined;
}

/** A moment: ms since 1970, and what is left of it in ns. */
export interface Moment {
  readonly ms: number;
  readonly restNs: number;
}

export interface OrderedEvent {
  readonly event: EventObject;
  readonly id: string | number;
  readonly categories: readonly string[];
  readonly moment: Moment;
  /** Place in EQL's order: later events have higher ones. */
  readonly rank: number;
}

export const compareMoments = (left: Moment, right: Moment): number =>
  left.ms - right.ms || left.restNs - right.restNs;

/** Is `to` more than `spanMs` after `from`? The span itself is inside. */
export function exceeds(from: Moment, to: Moment, spanMs: number): boolean {
  const differenceMs = to.ms - from.ms;
  return differenceMs > spanMs || (differenceMs === spanMs && to.restNs > from.restNs);
}

const FILETIME_EPOCH_MS = 11_644_473_600_000;
/** A number up to here is ms since 1970; above come µs, then Windows FILETIME (100 ns since 1601), then ns. */
const LARGEST_MS = 1e14;
const LARGEST_US = 1e16;
const LARGEST_FILETIME = 1e18;

function momentOfNumber(value: number): Moment {
  const size = Math.abs(value);
  if (size < LARGEST_MS)
    return { ms: Math.floor(value), restNs: Math.round((value - Math.floor(value)) * 1e6) };
  if (size < LARGEST_US) return scaled(value, 1000, 0);
  if (size < LARGEST_FILETIME) return scaled(value, 10_000, FILETIME_EPOCH_MS);
  return scaled(value, 1_000_000, 0);
}

function scaled(value: number, perMs: number, epochMs: number): Moment {
  const wholeMs = Math.floor(value / perMs);
  return { ms: wholeMs - epochMs, restNs: Math.round((value - wholeMs * perMs) * (1_000_000 / perMs)) };
}

/** RFC 3339 with up to nine digits of a second; more than ms is kept. */
function momentOfText(text: string): Moment | undefined {
  if (/^-?\d+(\.\d+)?$/.test(text)) return momentOfNumber(Number(text));
  const digits = /\.(\d{1,9})\d*/.exec(text)?.[1]?.padEnd(9, '0');
  const ms = Date.parse(digits === undefined ? text : text.replace(/\.\d+/, `.${digits.slice(0, 3)}`));
  return Number.isNaN(ms) ? undefined : { ms, restNs: digits === undefined ? 0 : Number(digits.slice(3)) };
}

function momentOf(value: Value): Moment | undefined {
  if (typeof value === 'number') return momentOfNumber(value);
  return typeof value === 'string' ? momentOfText(value) : undefined;
}

/** Fields of the command line are names as they stand, dots part them. */
const pathOf = (field: string): readonly string[] => field.split('.');

interface Read extends Omit<OrderedEvent, 'rank'> {
  readonly tiebreaker: Value;
  readonly place: number;
}

function readEvent(event: EventObject, place: number, fields: EventFields): Read {
  const moment = momentOf(readPath(event, pathOf(fields.timestamp)));
  if (moment === undefined) throw new EqlError(`event ${place + 1} has no time in ${fields.timestamp}`, 0);
  const id = readPath(event, pathOf(fields.id));
  const category = readPath(event, pathOf(fields.category));
  return {
    event,
    id: typeof id === 'string' || typeof id === 'number' ? id : place,
    categories: (Array.isArray(category) ? category : [category]).filter((one) => typeof one === 'string'),
    moment,
    tiebreaker: fields.tiebreaker === undefined ? null : readPath(event, pathOf(fields.tiebreaker)),
    place,
  };
}

function compareTiebreakers(left: Value, right: Value): number {
  if (left === null || right === null) return Number(left === null) - Number(right === null);
  return order(left, right) ?? 0;
}

/** Events in order. Throws EqlError for one without a time. */
export function orderEvents(events: readonly EventObject[], fields: EventFields): OrderedEvent[] {
  return events
    .map((event, place) => readEvent(event, place, fields))
    .toSorted(
      (a, b) =>
        compareMoments(a.moment, b.moment) ||
        compareTiebreakers(a.tiebreaker, b.tiebreaker) ||
        a.place - b.place,
    )
    .map(({ event, id, categories, moment }, rank) => ({ event, id, categories, moment, rank }));
}
