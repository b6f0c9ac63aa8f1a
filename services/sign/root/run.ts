/** Runs the root log beside the signer: epochs, cosigning, the copy; metrics and alarms of what goes wrong. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { Counter, Gauge } from 'prom-client';
import { isTriplineError, TriplineError } from '../../../schemas/errors.ts';
import { parsePolicy, type Policy } from '../../evidence/tlog/policy.ts';
import { expandHome } from '../../platform/config/load.ts';
import { readSecret } from '../../platform/config/secrets.ts';
import { nodeCrypto, sha256 } from '../../platform/ledger/crypto.ts';
import type { StepContext, StepHealth } from '../../platform/step.ts';
import type { LocalSigner } from '../local-signer.ts';
import { waitMs } from './back-off.ts';
import { Cosigner, type Fork } from './cosigner.ts';
import { diskFiles, type RootFiles } from './files.ts';
import { RootLog } from './root-log.ts';
import { s3Files } from './s3-files.ts';
import { Stamper } from './stamper.ts';

/** Below the signer's directory. */
export const ROOT_LOG_DIR = 'root-log';
/** What a stop still waits for witnesses; the next start asks them again. */
const STOP_COSIGN_MS = 3000;
/** What a stop still waits for a bucket; the next start goes on where the copy stopped. */
const STOP_COPY_MS = 5000;

export interface RootRun {
  health(): StepHealth;
  stop(): Promise<void>;
}

/** Throws config_invalid for a policy that cannot be read. A root log that diverges is an alarm: recording goes on. */
export async function runRootLog(
  context: StepContext,
  signer: LocalSigner,
  options: { readonly readOnly: boolean },
): Promise<RootRun> {
  const run = new Runner(context, signer, options.readOnly);
  await run.start();
  return run;
}

function readPolicy(file: string): Policy {
  const at = 'rootLog.policyFile';
  let text: string;
  try {
    text = readFileSync(expandHome(file), 'latin1');
  } catch (cause) {
    throw new TriplineError('config_invalid', `${at}: ${file} cannot be read`, { path: at, cause });
  }
  try {
    return parsePolicy(text, sha256);
  } catch (cause) {
    if (!isTriplineError(cause)) throw cause;
    throw new TriplineError('config_invalid', `${at}: ${cause.message}`, { path: at, cause });
  }
}

class Runner implements RootRun {
  readonly #context: StepContext;
  readonly #signer: LocalSigner;
  readonly #readOnly: boolean;
  readonly #stop = new AbortController();
  readonly #witnessStop = new AbortController();
  readonly #copyStop = new AbortController();
  readonly #metrics: RootMetrics;
  readonly #copies: readonly { readonly part: string; readonly files: RootFiles }[];
  readonly #cosigner: Cosigner | undefined;
  readonly #files: RootFiles;
  readonly #loops: Promise<void>[] = [];
  /** By part: the code of the fault that it stands at. */
  readonly #faults = new Map<string, string>();
  #root: RootLog | undefined;

  constructor(context: StepContext, signer: LocalSigner, readOnly: boolean) {
    const { policyFile, witnessTimeoutMs } = context.config.rootLog;
    this.#context = context;
    this.#signer = signer;
    this.#readOnly = readOnly;
    this.#metrics = rootMetrics(context);
    this.#files = diskFiles(path.join(context.dataDir, ROOT_LOG_DIR));
    this.#copies = readOnly ? [] : copiesOf(context, this.#copyStop.signal);
    this.#cosigner =
      policyFile === undefined || readOnly
        ? undefined
        : new Cosigner({
            policy: readPolicy(policyFile),
            crypto: nodeCrypto,
            timeoutMs: witnessTimeoutMs,
            files: this.#files,
            log: context.log,
            signal: this.#witnessStop.signal,
            onFork: (fork) => this.#onFork(fork),
            onAnswer: (witness, outcome) => this.#metrics.answers.inc({ witness, outcome }),
          });
  }

  async start(): Promise<void> {
    const { config, clock } = this.#context;
    const open = async (): Promise<void> => {
      this.#root = await RootLog.open({
        deployment: config.deployment,
        ledger: this.#signer.rootLedger,
        files: this.#files,
        clock,
        cosigner: this.#cosigner,
        readOnly: this.#readOnly,
      });
    };
    await this.#attempt('root log', open);
    const root = this.#root;
    if (root === undefined) return;
    this.#signer.root = root;
    this.#measure(root);
    if (this.#readOnly) return;
    this.#signer.onCommitted(() => root.moved());
    const { epochMs, cosignEveryMs, timestamp } = config.rootLog;
    if (timestamp !== undefined) {
      const { url, timeoutMs, everyMs } = timestamp;
      const stamper = new Stamper({ url, timeoutMs, signal: this.#stop.signal });
      this.#loops.push(this.#asking('time stamps', everyMs, () => this.#stamp(root, stamper)));
    }
    this.#loops.push(
      this.#every(epochMs, () => this.#attempt('root log', () => root.epoch())),
      this.#every(cosignEveryMs, () => this.#witness(root)),
      ...this.#copies.map(({ part, files }) =>
        this.#asking(part, cosignEveryMs, () => this.#copy(root, part, files)),
      ),
    );
  }

  health(): StepHealth {
    const detail = [
      ...[...this.#faults].map(([part, code]) => `${part}: ${code}`),
      ...(this.#cosigner?.forks() ?? []).map((name) => `witness ${name} holds another history`),
    ];
    return { ready: !this.#faults.has('root log'), detail: detail.join(', ').slice(0, 256) };
  }

  /** One last epoch, and a short try to have it cosigned. */
  async stop(): Promise<void> {
    this.#stop.abort();
    const copyTimer = setTimeout(() => this.#copyStop.abort(), STOP_COPY_MS);
    await Promise.all(this.#loops);
    const root = this.#root;
    if (root !== undefined && !this.#readOnly) {
      await this.#attempt('root log', () => root.epoch());
      const timer = setTimeout(() => this.#witnessStop.abort(), STOP_COSIGN_MS);
      await this.#witness(root);
      clearTimeout(timer);
      // One try each: the next start goes on where it stopped.
      for (const { part, files } of this.#copies)
        await this.#attempt(part, () => this.#copy(root, part, files));
    }
    clearTimeout(copyTimer);
    this.#witnessStop.abort();
    this.#signer.root = undefined;
  }

  /** Asks again while the newest checkpoint has not met the policy. */
  async #witness(root: RootLog): Promise<void> {
    const { size, cosigned } = root.sizes();
    if (this.#cosigner !== undefined && cosigned < size) {
      await this.#attempt('witnesses', async () => {
        await root.cosign();
        const now = root.sizes();
        if (now.cosigned > cosigned) this.#metrics.cosignedAt.set(this.#context.clock.nowMs() / 1000);
      });
    }
    this.#measure(root);
  }

  async #stamp(root: RootLog, stamper: Stamper): Promise<void> {
    const newest = await root.noteToStamp();
    if (newest === undefined) return;
    const isNew = await stamper.stamp(newest, this.#files);
    if (isNew) this.#metrics.stampedAt.set(this.#context.clock.nowMs() / 1000);
  }

  async #copy(root: RootLog, part: string, files: RootFiles): Promise<void> {
    this.#metrics.copiedSize.set({ part }, await root.copyTo(files));
  }

  async #onFork({ witness, status, size, file }: Fork): Promise<void> {
    this.#metrics.forks.inc();
    const detail = `witness ${witness} status ${status} size ${size} ${file}`.slice(0, 512);
    await this.#signer.rootLedger.addFinding({ code: 'witness_fork', topic: '', partition: 0, detail });
    this.#root?.moved();
    // The audit trail is the bus's, which may be away for long: nothing of the root log waits for it. The finding and the
    // kept file tell all the same.
    void this.#attempt('audit of a fork', () =>
      this.#context.audit.record('default', {
        action: 'evidence.fork',
        actor: 'system:sign',
        role: 'system',
        outcome: 'failed',
        target: witness.slice(0, 512),
        details: { status, size, file },
      }),
    );
  }

  #measure(root: RootLog): void {
    const { size, cosigned } = root.sizes();
    this.#metrics.size.set(size);
    this.#metrics.cosignedSize.set(cosigned);
  }

  async #every(ms: number, act: () => Promise<unknown>): Promise<void> {
    const { clock } = this.#context;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await clock.sleep(ms, signal);
      if (!signal.aborted) await act();
    }
  }

  /** As `#every`, of what asks others: after a fault it is asked sooner, and then ever less often. */
  async #asking(part: string, everyMs: number, act: () => Promise<void>): Promise<void> {
    let failures = 0;
    const { clock } = this.#context;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await clock.sleep(waitMs(everyMs, failures), signal);
      if (signal.aborted) return;
      failures = (await this.#attempt(part, act)) ? 0 : failures + 1;
    }
  }

  /** True where it worked. A fault is logged when it begins, and stands in health until the part works again. */
  async #attempt(part: string, act: () => Promise<void>): Promise<boolean> {
    try {
      await act();
      if (this.#faults.delete(part)) this.#context.log.info({ part }, 'the root log works again');
      return true;
    } catch (error) {
      const code = isTriplineError(error) ? error.code : 'internal';
      if (this.#faults.get(part) !== code)
        this.#context.log.error({ err: error, part }, 'the root log is at fault');
      this.#faults.set(part, code);
      this.#metrics.faults.inc({ part, code });
      return false;
    }
  }
}

/** A folder, a bucket, or both. */
function copiesOf(
  { config, clock }: StepContext,
  signal: AbortSignal,
): { readonly part: string; readonly files: RootFiles }[] {
  const { copyDir, copyS3 } = config.rootLog;
  const copies = [];
  if (copyDir !== undefined) copies.push({ part: 'copy', files: diskFiles(expandHome(copyDir)) });
  if (copyS3 !== undefined) {
    const secretAccessKey = readSecret(copyS3.secretAccessKey, 'rootLog.copyS3.secretAccessKey');
    const { retention } = copyS3;
    copies.push({
      part: 'copy in a bucket',
      files: s3Files({ ...copyS3, secretAccessKey, retention, signal }, clock),
    });
  }
  return copies;
}

type RootMetrics = ReturnType<typeof rootMetrics>;

function rootMetrics({ metrics }: StepContext) {
  const registers = [metrics];
  const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers });
  return {
    size: gauge('tripline_root_log_size', 'Leaves of the root log.'),
    cosignedSize: gauge(
      'tripline_root_log_cosigned_size',
      'Leaves under the newest checkpoint that met the policy.',
    ),
    cosignedAt: gauge(
      'tripline_root_log_cosigned_seconds',
      'Unix time when a checkpoint last met the policy.',
    ),
    copiedSize: new Gauge({
      name: 'tripline_root_log_copied_size',
      help: 'Leaves that a second copy holds, with a checkpoint over them.',
      labelNames: ['part'],
      registers,
    }),
    faults: new Counter({
      name: 'tripline_root_log_faults_total',
      help: 'Attempts of parts of the root log that failed, by the code of the fault.',
      labelNames: ['part', 'code'],
      registers,
    }),
    stampedAt: gauge('tripline_root_log_stamped_seconds', 'Unix time when a time stamp was last taken.'),
    forks: new Counter({
      name: 'tripline_root_log_forks_total',
      help: 'Witnesses that were found to hold another history.',
      registers,
    }),
    answers: new Counter({
      name: 'tripline_witness_answers_total',
      help: 'Answers of witnesses.',
      labelNames: ['witness', 'outcome'],
      registers,
    }),
  };
}
