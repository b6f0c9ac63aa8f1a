/** The door with real parts: embedded bus, chdb, record and sign beside ingest and query. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { zConfig } from '../../../schemas/config/v1.ts';
import { TOPICS } from '../../../schemas/topics.ts';
import { registerReload } from '../../../services/detect/main.ts';
import { startIngest } from '../../../services/ingest/main.ts';
import { registerApprovalRoutes } from '../../../services/platform/approvals/routes.ts';
import { createAuditTrail } from '../../../services/platform/audit/trail.ts';
import { openEmbeddedBus } from '../../../services/platform/bus/embedded/bus.ts';
import { systemClock } from '../../../services/platform/clock.ts';
import { openControls } from '../../../services/platform/controls/open.ts';
import {
  registerControlReadRoutes,
  registerControlWriteRoutes,
} from '../../../services/platform/controls/routes.ts';
import { buildHttp } from '../../../services/platform/http/build.ts';
import type { RunningStep, StepContext } from '../../../services/platform/step.ts';
import { openKeyStore } from '../../../services/platform/payloads/key-store.ts';
import { openStore } from '../../../services/platform/store/open.ts';
import { createMetrics } from '../../../services/platform/telemetry/metrics.ts';
import { startQuery } from '../../../services/query/main.ts';
import { openErasures } from '../../../services/sign/erasure/main.ts';

export const TOKENS = {
  producerA: 'producer-of-a',
  analystA: 'analyst-of-a',
  responderA: 'responder-of-a',
  auditorA: 'auditor-of-a',
  adminA: 'admin-of-a',
  analystB: 'analyst-of-b',
  producerB: 'producer-of-b',
  responderB: 'responder-of-b',
  auditorB: 'auditor-of-b',
  adminB: 'admin-of-b',
  adminAll: 'admin-of-all',
  auditorAll: 'auditor-of-all',
} as const;

const KEYS = [
  { id: 'producerA', tenant: 'a', role: 'producer' },
  { id: 'analystA', tenant: 'a', role: 'analyst' },
  { id: 'responderA', tenant: 'a', role: 'responder' },
  { id: 'auditorA', tenant: 'a', role: 'auditor' },
  { id: 'adminA', tenant: 'a', role: 'admin' },
  { id: 'analystB', tenant: 'b', role: 'analyst' },
  { id: 'producerB', tenant: 'b', role: 'producer' },
  { id: 'responderB', tenant: 'b', role: 'responder' },
  { id: 'auditorB', tenant: 'b', role: 'auditor' },
  { id: 'adminB', tenant: 'b', role: 'admin' },
  { id: 'adminAll', tenant: '*', role: 'admin' },
  { id: 'auditorAll', tenant: '*', role: 'auditor' },
] as const;

export interface Service {
  readonly http: FastifyInstance;
  readonly context: StepContext;
  stop(): Promise<void>;
}

export async function startService(): Promise<Service> {
  const dataDir = mkdtempSync(join(tmpdir(), 'tripline-door-'));
  const config = zConfig.parse({
    auth: { keys: KEYS.map((key) => ({ ...key, token: { value: TOKENS[key.id] } })), localTokens: false },
    log: { level: 'silent' },
  });
  const log = pino({ level: 'silent' });
  const metrics = createMetrics();
  const clock = systemClock;
  const bus = await openEmbeddedBus({ dir: join(dataDir, 'bus'), clock, maxQueuedBytes: 64_000_000 });
  await bus.ensureTopics(Object.values(TOPICS), 4);
  const producer = await bus.producer();
  const store = await openStore(config, dataDir, log);
  const audit = createAuditTrail({ bus, producer, clock, randomBytes });
  const steps: RunningStep[] = [];
  const http = await buildHttp({ config, dataDir, randomBytes, log, metrics, steps: () => steps });
  const context: StepContext = {
    config,
    dataDir,
    clock,
    randomBytes,
    log,
    metrics,
    bus,
    producer,
    store,
    audit,
    http,
  };
  const controls = await openControls(context);
  registerControlReadRoutes(context, controls);
  registerControlWriteRoutes(context, controls.issuer);
  registerApprovalRoutes(context, controls);
  const keys = openKeyStore(dataDir, randomBytes);
  const erasures = openErasures(context, keys, () => ({}));
  const none = { added: [], removed: [], changed: [], adjusted: [], kept: [], faults: [] };
  registerReload(context, { reload: async () => ({ ...none, rules: 0 }) });
  steps.push(await startIngest(context), await startQuery(context));
  await http.listen({ host: '127.0.0.1', port: 0 });
  return {
    http,
    context,
    stop: async () => {
      await http.close();
      for (const step of steps) await step.stop();
      await erasures.stop();
      await keys.close();
      await controls.close();
      await producer.close();
      await bus.close();
      await store.close();
      rmSync(dataDir, { recursive: true });
    },
  };
}
