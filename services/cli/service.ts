/**
 * The composition root: one process with any subset of the steps. Started in the order in which they depend on each
 * other, stopped in the opposite one. `data_dir_locked` where another process uses the data directory.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import type { Config, Step } from '../../schemas/config/v1.ts';
import { TriplineError } from '../../schemas/errors.ts';
import { TOPICS } from '../../schemas/topics.ts';
import { registerReload, startDetect, type Reloads, type RunningDetect } from '../detect/main.ts';
import { startIngest, type RunningIngest } from '../ingest/main.ts';
import { openOtlpListener } from '../ingest/otlp/listener.ts';
import { createAuditTrail } from '../platform/audit/trail.ts';
import { openBus } from '../platform/bus/open.ts';
import { systemClock } from '../platform/clock.ts';
import { CONTROL_PUBLIC_KEY_FILE } from '../platform/controls/key.ts';
import { readSecret } from '../platform/config/secrets.ts';
import { makeDirectory } from '../platform/directory.ts';
import { buildHttp } from '../platform/http/build.ts';
import { httpKeys } from '../platform/payloads/http-keys.ts';
import { openKeyStore } from '../platform/payloads/key-store.ts';
import type { ErasableKeys } from '../platform/payloads/keys.ts';
import type { RunningStep, StepContext } from '../platform/step.ts';
import { openStore } from '../platform/store/open.ts';
import { createMetrics } from '../platform/telemetry/metrics.ts';
import { startQuery } from '../query/main.ts';
import { httpSigner, registerRepairRoute, startRecord, type Signer } from '../record/main.ts';
import { startRespond } from '../respond/main.ts';
import { openErasures as openErasureStep, type Erasures } from '../sign/erasure/main.ts';
import { startVerify, type RunningVerify } from '../verify/main.ts';
import { openLocalSigner, startSign, type LocalSigner } from '../sign/main.ts';
import { registerControlReader } from './control-reader.ts';

export interface ServiceOptions {
  readonly config: Config;
  readonly steps: readonly Step[];
  readonly log: Logger;
  /** Commands that only read leave no trace of a running service. */
  readonly announce: boolean;
  /** The rules' part of the configuration as its file has it now, for a reload. */
  readonly readRules?: () => Config['rules'];
}

export interface Service {
  readonly url: string;
  /** Where OTLP exporters are served beside `url`; undefined without such a listener. */
  readonly otlpUrl: string | undefined;
  readonly dataDir: string;
  /** Reads the rules again; undefined where this process runs no step detect. */
  readonly rules: Reloads | undefined;
  /** Idempotent. */
  stop(): Promise<void>;
}

/** A part that takes longer than this to close is left behind. */
const CLOSE_DEADLINE_MS = 8000;

type Closer = () => Promise<void> | void;

/** Starts the steps and listens; everything that was opened is closed again when a part fails to start. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const closers: Closer[] = [];
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopping ??= closeAll(closers, options.log));
  try {
    return { ...(await open(options, closers)), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function closeAll(closers: Closer[], log: Logger): Promise<void> {
  for (let close = closers.pop(); close !== undefined; close = closers.pop()) {
    try {
      await within(CLOSE_DEADLINE_MS, close);
    } catch (error) {
      log.error({ err: error }, 'closing'); // What is left is closed all the same.
    }
  }
}

/** Rejects when `work` takes too long: a broker or store that is gone must not keep a process from ending. A start recovers from any end. */
async function within(deadlineMs: number, work: Closer): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`a part did not close within ${deadlineMs} ms`)), deadlineMs);
  });
  try {
    await Promise.race([work(), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function open(options: ServiceOptions, closers: Closer[]): Promise<Omit<Service, 'stop'>> {
  const { config, log } = options;
  const dataDir = config.dataDir;
  makeDirectory(dataDir);
  chmodSync(dataDir, 0o700);
  const running: RunningStep[] = [];
  const context = await openContext(options, running, closers);
  const rules = await startSteps(context, options, { running, closers });
  await context.http.listen({ host: config.http.host, port: config.http.port });
  const { port } = context.http.server.address() as AddressInfo;
  const host = config.http.host.includes(':') ? `[${config.http.host}]` : config.http.host;
  const url = `http://${host === '0.0.0.0' ? '127.0.0.1' : host}:${port}`;
  const otlpUrl = await openOtlp(context, options, closers);
  if (options.announce) closers.push(announce(dataDir, url));
  log.info({ url, otlpUrl, steps: options.steps }, 'ready');
  return { url, otlpUrl, dataDir, rules };
}

async function openOtlp(
  { http }: StepContext,
  { config, steps, announce: serves, log }: ServiceOptions,
  closers: Closer[],
): Promise<string | undefined> {
  const { enabled, listen } = config.otlp;
  if (!serves || !enabled || !listen || !steps.includes('ingest')) return undefined;
  const listener = await openOtlpListener(http, config, log);
  if (listener !== undefined) closers.push(() => listener.close());
  return listener?.url;
}

/** run.json tells commands of the same user where the service is. */
function announce(dataDir: string, url: string): Closer {
  const path = join(dataDir, 'run.json');
  writeFileSync(path, `${JSON.stringify({ url, pid: process.pid, startedAt: new Date().toISOString() })}\n`, {
    mode: 0o600,
  });
  return () => rmSync(path, { force: true });
}

async function openContext(
  options: ServiceOptions,
  running: RunningStep[],
  closers: Closer[],
): Promise<ServiceContext> {
  const { config, log } = options;
  const { dataDir } = config;
  const clock = systemClock;
  const metrics = createMetrics();
  const bus = await openBus(config, dataDir, clock, log);
  closers.push(() => bus.close());
  await bus.ensureTopics(Object.values(TOPICS), config.bus.partitions);
  const producer = await bus.producer();
  closers.push(() => producer.close());
  const store = await openStore(config, dataDir, log);
  closers.push(() => store.close());
  const keys = openKeys(options, closers);
  const audit = createAuditTrail({ bus, producer, clock, randomBytes });
  const http = await buildHttp({ config, dataDir, randomBytes, log, metrics, steps: () => running });
  closers.push(() => http.close());
  return { config, dataDir, clock, randomBytes, log, metrics, bus, producer, store, audit, ...keys, http };
}

/** Only the process that holds the keys can destroy them. */
interface ServiceContext extends StepContext {
  readonly erasableKeys?: ErasableKeys;
}

/** The keys are where the signer is: in this process, or asked of the one that holds them. */
function openKeys(
  { config, steps }: ServiceOptions,
  closers: Closer[],
): Pick<ServiceContext, 'keys' | 'erasableKeys'> {
  if (steps.includes('sign')) {
    const keys = openKeyStore(config.dataDir, randomBytes);
    closers.push(() => keys.close());
    return { keys, erasableKeys: keys };
  }
  const { url, token } = config.signer;
  if (url === 'local' || token === undefined) return {};
  return { keys: httpKeys({ url, token: readSecret(token, 'signer.token') }) };
}

interface Started {
  readonly running: RunningStep[];
  readonly closers: Closer[];
}

interface EvidenceParts {
  readonly local: LocalSigner | undefined;
  readonly keep: (step: RunningStep) => void;
  /** Of the erasures of this process. */
  readonly repairs: Erasures['repairs'] | undefined;
}

/** Steps that go by what the signer has signed. */
async function startEvidence(
  context: ServiceContext,
  options: ServiceOptions,
  { local, keep, repairs }: EvidenceParts,
): Promise<void> {
  if (local !== undefined)
    keep(
      await startSign(context, local, { ...signToken(context.config), readOnly: !options.announce, repairs }),
    );
  const verify = options.steps.includes('verify') ? openVerify(context, local) : undefined;
  if (verify !== undefined) keep(verify);
  if (!options.steps.includes('query')) return;
  const heads = headsOf(context.config, local);
  keep(await startQuery(context, heads, verify));
  registerRepairRoute(context, heads, repairs ?? heads?.repairs);
}

async function startSteps(
  context: ServiceContext,
  options: ServiceOptions,
  started: Started,
): Promise<Reloads | undefined> {
  const wants = (step: Step): boolean => options.steps.includes(step);
  const keep = (step: RunningStep): void => {
    started.running.push(step);
    started.closers.push(() => step.stop());
  };
  const local = wants('sign') ? await openSigner(context, started.closers) : undefined;
  const forgetting: { detect?: RunningDetect; ingest?: RunningIngest } = {};
  const erasures = options.announce ? openErasures(context, forgetting) : undefined;
  await startEvidence(context, options, { local, keep, repairs: erasures?.repairs });
  if (wants('respond')) keep(await startRespond(context));
  else if (servesControls(context, wants)) await registerControlReader(context, started.closers);
  if (wants('ingest')) keep((forgetting.ingest = await startIngest(context)));
  if (wants('record')) keep(await startRecord(context, local ?? remoteSigner(context.config)));
  if (wants('detect')) forgetting.detect = await startRules(context, options, keep);
  beginErasures(erasures, started);
  return forgetting.detect;
}

/** Once all is there that may have to forget. */
function beginErasures(erasures: Erasures | undefined, { closers }: Started): void {
  if (erasures === undefined) return;
  closers.push(() => erasures.stop());
  erasures.begin();
}

function openErasures(
  context: ServiceContext,
  parts: { readonly detect?: RunningDetect; readonly ingest?: RunningIngest },
): Erasures | undefined {
  const { erasableKeys } = context;
  if (erasableKeys === undefined) return undefined;
  return openErasureStep(context, erasableKeys, () => {
    const { detect, ingest } = parts;
    return {
      ...(detect === undefined ? {} : { detect: (drop) => detect.forget(drop) }),
      ...(ingest === undefined ? {} : { waiting: () => ingest.renewFiles() }),
    };
  });
}

async function startRules(
  context: StepContext,
  { readRules }: ServiceOptions,
  keep: (step: RunningStep) => void,
): Promise<RunningDetect> {
  const detect = await startDetect(context, readRules === undefined ? {} : { readRules });
  keep(detect);
  registerReload(context, detect);
  return detect;
}

async function openSigner(context: StepContext, closers: Closer[]): Promise<LocalSigner> {
  const signer = await openLocalSigner({ dir: context.dataDir, clock: context.clock, exclusive: true });
  closers.push(() => signer.close());
  return signer;
}

function openVerify(context: StepContext, local: LocalSigner | undefined): RunningVerify {
  return startVerify(context, local ?? remoteSigner(context.config));
}

function signToken(config: Config): { readonly token?: string } {
  const { token } = config.signer;
  return token === undefined ? {} : { token: readSecret(token, 'signer.token') };
}

/** Hosts always need the controls; reading alone works without their public key, and then serves none. */
function servesControls({ dataDir }: StepContext, wants: (step: Step) => boolean): boolean {
  return wants('ingest') || (wants('query') && existsSync(join(dataDir, CONTROL_PUBLIC_KEY_FILE)));
}

/** Heads as the signer knows them are worth more than those of a table that somebody may have shortened. */
function headsOf(config: Config, local: LocalSigner | undefined): Signer | undefined {
  if (local !== undefined) return local;
  return config.signer.url === 'local' || config.signer.token === undefined
    ? undefined
    : remoteSigner(config);
}

function remoteSigner(config: Config): Signer {
  const { url, token } = config.signer;
  if (url === 'local' || token === undefined)
    throw new TriplineError(
      'config_invalid',
      'step record without step sign needs signer.url and signer.token',
      { path: 'signer' },
    );
  return httpSigner({ url, token: readSecret(token, 'signer.token') });
}
