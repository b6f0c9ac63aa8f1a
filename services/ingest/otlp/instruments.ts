/** Figures of OTLP ingest. */
import { Counter, Gauge, type Registry } from 'prom-client';

export type Signal = 'traces' | 'logs';
/** `other`: no tool call, kept only as long as it may name a call's agent. */
export const ITEM_OUTCOMES = ['call', 'waiting', 'nested', 'recorded', 'other', 'refused'] as const;
export type ItemOutcome = (typeof ITEM_OUTCOMES)[number];
/** Why a call stopped waiting. `waited` and `full`: with what was known by then. */
export type Release = 'resolved' | 'waited' | 'full' | 'stopping';

export interface OtlpInstruments {
  readonly items: Counter<'signal' | 'outcome'>;
  readonly released: Counter<'reason'>;
}

export function createInstruments(metrics: Registry, waiting: () => number): OtlpInstruments {
  const gauge: Gauge = new Gauge({
    name: 'tripline_otlp_waiting_calls',
    help: 'Calls that wait for the spans above them.',
    registers: [metrics],
    collect: () => gauge.set(waiting()),
  });
  return {
    items: new Counter({
      name: 'tripline_otlp_items_total',
      help: 'Spans and log records at the door, by what became of them.',
      labelNames: ['signal', 'outcome'],
      registers: [metrics],
    }),
    released: new Counter({
      name: 'tripline_otlp_released_total',
      help: 'Calls that waited for the spans above them, by why they stopped.',
      labelNames: ['reason'],
      registers: [metrics],
    }),
  };
}
