/** What an operator sees of respond in /metrics. Labels are the operator's own names and closed sets, never text of events. */
import { Counter, Gauge, type Registry } from 'prom-client';

export interface RespondMetrics {
  readonly attempts: Counter<'destination' | 'outcome'>;
  readonly dead: Counter<'destination' | 'reason'>;
  readonly pending: Gauge<'destination'>;
  readonly ruleKills: Counter<'outcome'>;
  readonly alerts: Counter<'outcome'>;
}

export function createRespondMetrics(registry: Registry): RespondMetrics {
  const registers = [registry];
  return {
    attempts: new Counter({
      name: 'tripline_respond_delivery_attempts_total',
      help: 'Tries to deliver an alert, by how they ended.',
      labelNames: ['destination', 'outcome'],
      registers,
    }),
    dead: new Counter({
      name: 'tripline_respond_dead_deliveries_total',
      help: 'Deliveries that were given up.',
      labelNames: ['destination', 'reason'],
      registers,
    }),
    pending: new Gauge({
      name: 'tripline_respond_pending_deliveries',
      help: 'Deliveries waiting for a try.',
      labelNames: ['destination'],
      registers,
    }),
    ruleKills: new Counter({
      name: 'tripline_respond_rule_kills_total',
      help: 'Kills that rules asked for, by what became of them.',
      labelNames: ['outcome'],
      registers,
    }),
    alerts: new Counter({
      name: 'tripline_respond_alerts_total',
      help: 'Alert records read from the bus.',
      labelNames: ['outcome'],
      registers,
    }),
  };
}
