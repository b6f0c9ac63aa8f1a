/** Liveness, readiness and metrics. */
import type { FastifyInstance } from 'fastify';
import type { Registry } from 'prom-client';
import { TriplineError } from '../../../schemas/errors.ts';
import type { RunningStep } from '../step.ts';
import { isLoopbackHost } from './access.ts';

export interface StatusDeps {
  readonly metrics: Registry;
  readonly steps: () => readonly RunningStep[];
}

/** GET /healthz (the process answers), /readyz (all steps work), /metrics (from loopback, or with a token that reads). */
export function registerStatusRoutes(http: FastifyInstance, { metrics, steps }: StatusDeps): void {
  http.get('/healthz', { config: { public: true } }, async () => ({ status: 'ok' }));
  http.get('/readyz', { config: { public: true } }, async (_request, reply) => {
    const found = steps().map((step) => ({ step: step.name, ...step.health() }));
    const ready = found.length > 0 && found.every((step) => step.ready);
    void reply.status(ready ? 200 : 503);
    return { ready, steps: found };
  });
  http.get('/metrics', { config: { public: true } }, async (request, reply) => {
    if (!isLoopbackHost(request.ip) && request.principal?.role !== 'admin')
      throw new TriplineError(request.principal === null ? 'auth_missing' : 'auth_forbidden');
    void reply.header('content-type', metrics.contentType);
    return await metrics.metrics();
  });
}
