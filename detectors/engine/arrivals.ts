/** Events at hand through an engine, in the order of their arrival: rule tests, `rules match`, `rules explain`. */
import type { Event } from '../../schemas/event/v1.ts';
import type { LabelMapping } from '../../schemas/labels/v1.ts';
import { classify, type ClassMappingLine } from '../classify/classify.ts';
import { destHost } from '../classify/dest-host.ts';
import type { Call } from './call.ts';
import type { Engine } from './engine.ts';
import { ParsedCall } from './parsed-call.ts';
import { effectiveTimeMs, parseTimeMs } from './time.ts';

export const DEFAULT_LATE_WAIT_MS = 5_000;

export interface Arrival {
  readonly event: Event;
  /** What the event says. */
  readonly timeMs: number;
  readonly appendMs: number;
  /** Undefined: as it is classified. */
  readonly toolClass?: string | undefined;
  /** Where it is on record; without it the events count from 0. */
  readonly at?: {
    readonly tenant: string;
    readonly topic: string;
    readonly partition: number;
    readonly offset: number;
    readonly line: number;
  };
}

/** What the operator's configuration says of tools and hosts. */
export interface Surroundings {
  readonly mappings: readonly ClassMappingLine[];
  readonly internalHosts: readonly string[];
  readonly labelMapping?: LabelMapping | undefined;
}
const PLAIN: Surroundings = { mappings: [], internalHosts: [] };

/** Long values in events at hand need no fingerprint that somebody else must be able to repeat. */
const keepText = (text: string): string => text;

/** Events of a file: each arrives when it says that it happened, or when the one before it did. */
export function arrivalsOf(events: readonly Event[]): Arrival[] {
  let appendMs = Number.NEGATIVE_INFINITY;
  return events.map((event) => {
    const timeMs = parseTimeMs(event.time);
    appendMs = Math.max(appendMs, timeMs);
    return { event, timeMs, appendMs };
  });
}

/** Runs all events; nothing is decided beyond the last one's append time. `see` gets each call before it is matched. */
export function feedArrivals(
  engine: Engine,
  arrivals: readonly Arrival[],
  surroundings: Surroundings = PLAIN,
  see?: (call: Call) => void,
): void {
  const previous = new Map<string, number>();
  const inOrder = arrivals
    .map((arrival, number) => ({ arrival, number }))
    .toSorted((a, b) => a.arrival.appendMs - b.arrival.appendMs || a.number - b.number);
  inOrder.forEach(({ arrival }, offset) => {
    engine.advance(arrival.appendMs);
    const { event } = arrival;
    const before = previous.get(event.stream) ?? Number.NEGATIVE_INFINITY;
    const timeMs = effectiveTimeMs(arrival.timeMs, arrival.appendMs, before);
    previous.set(event.stream, timeMs);
    const toolClass = arrival.toolClass ?? classify(event, surroundings.mappings).class;
    const at = arrival.at ?? { tenant: 'default', topic: 'events', partition: 0, offset, line: 0 };
    const host = (e: Partial<Event>): string => destHost(e, surroundings.internalHosts);
    const place = { ...at, timeMs, appendMs: engine.watermarkMs };
    const { labelMapping } = surroundings;
    const facts = { toolClass, destHost: host, sha256Hex: keepText, labelMapping };
    const call = new ParsedCall(event, place, facts);
    see?.(call);
    engine.process(call);
  });
}
