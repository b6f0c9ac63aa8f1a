/** The registry of all metrics of one process. */
import { collectDefaultMetrics, Registry } from 'prom-client';

/** A registry of its own (not the library's global one), with the process's own figures. */
export function createMetrics(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'tripline_' });
  return registry;
}
