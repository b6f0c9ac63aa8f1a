/** How a step of the way is started and stopped. `up` builds one context and starts the steps that it was asked for. */
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Config, Step } from '../../schemas/config/v1.ts';
import type { AuditBody } from '../../schemas/audit/v1.ts';
import type { Bus, BusProducer } from './bus/port.ts';
import type { Clock } from './clock.ts';
import type { SubjectKeys } from './payloads/keys.ts';
import type { Store } from './store/port.ts';

/** Cryptographic randomness as an argument; tests pass a seeded one. */
export type RandomBytes = (length: number) => Uint8Array;

/** Writes to the audit topic, in the event envelope; resolves when durable. */
export interface AuditTrail {
  record(tenant: string, body: AuditBody): Promise<void>;
}

export interface StepContext {
  readonly config: Config;
  /** Absolute; exists; ours alone (mode 0700). */
  readonly dataDir: string;
  readonly clock: Clock;
  readonly randomBytes: RandomBytes;
  readonly log: Logger;
  readonly metrics: Registry;
  readonly bus: Bus;
  readonly producer: BusProducer;
  readonly store: Store;
  readonly audit: AuditTrail;
  /** Keys of payloads, where this process has the signer or may ask it; record without them writes in the clear. */
  readonly keys?: SubjectKeys | undefined;
  /** Routes are registered on it before it listens; services/platform/http built it with authentication. */
  readonly http: FastifyInstance;
}

export interface StepHealth {
  readonly ready: boolean;
  /** One short line for /readyz; no secrets. */
  readonly detail: string;
}

export interface RunningStep {
  readonly name: Step;
  health(): StepHealth;
  /** Ends after running work; idempotent. */
  stop(): Promise<void>;
}

export type StartStep = (context: StepContext) => Promise<RunningStep>;
