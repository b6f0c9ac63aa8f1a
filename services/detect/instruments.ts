/** Metrics of the step. */
import { Counter, Gauge, Histogram } from 'prom-client';
import type { StepContext } from '../platform/step.ts';

export interface Instruments {
  readonly events: Counter;
  readonly alerts: Counter<'rule' | 'level'>;
  readonly evictions: Counter;
  readonly latency: Histogram;
  readonly states: Gauge<'stage' | 'partition'>;
}

export function instruments(context: StepContext): Instruments {
  const registers = [context.metrics];
  return {
    events: new Counter({ name: 'tripline_detect_events_total', help: 'Events examined', registers }),
    alerts: new Counter({
      name: 'tripline_detect_alerts_total',
      help: 'Alerts published, repeats included',
      labelNames: ['rule', 'level'],
      registers,
    }),
    evictions: new Counter({
      name: 'tripline_detect_evictions_total',
      help: 'State given up for lack of room; each may have cost a match',
      registers,
    }),
    latency: new Histogram({
      name: 'tripline_detect_alert_latency_seconds',
      help: 'From append of the completing event to durable alert',
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10],
      registers,
    }),
    states: new Gauge({
      name: 'tripline_detect_states',
      help: 'States held',
      labelNames: ['stage', 'partition'],
      registers,
    }),
  };
}
