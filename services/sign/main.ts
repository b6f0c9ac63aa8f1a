/** Step sign: keeps the signer open, publishes signed heads to `checkpoints`, serves other processes. */
import type { RunningStep, StepContext } from '../platform/step.ts';
import type { RepairTurns } from '../record/ports.ts';
import { publishCheckpoints } from './checkpoints.ts';
import { registerSignerRoutes } from './http-routes.ts';
import type { LocalSigner } from './local-signer.ts';
import { runRootLog } from './root/run.ts';

export { rotateLogKey } from './rotate.ts';
export {
  openLocalSigner,
  openSignerState,
  type LocalSigner,
  type LocalSignerOptions,
} from './local-signer.ts';

/** How long to wait before a failed write of checkpoints is repeated. */
const RETRY_MS = 1_000;

export interface SignOptions {
  /** Serve the signer over HTTP to processes that know this token; without it only this process signs. */
  readonly token?: string;
  readonly repairs?: RepairTurns | undefined;
  /** A command that only reads: nothing is appended to the root log. */
  readonly readOnly?: boolean;
}

/** Starts the step over an open signer, which the caller closes after `stop`. */
export async function startSign(
  context: StepContext,
  signer: LocalSigner,
  options: SignOptions = {},
): Promise<RunningStep> {
  const { token, repairs } = options;
  if (token !== undefined)
    await registerSignerRoutes(context.http, signer, { token, keys: context.keys, repairs });
  const publisher = new CheckpointPublisher(context, signer);
  signer.onCommitted(() => publisher.wake());
  publisher.wake();
  const root = await runRootLog(context, signer, { readOnly: options.readOnly === true });
  return {
    name: 'sign',
    health: () => {
      const { ready, detail } = root.health();
      const behind = publisher.behind ? ['checkpoints behind'] : [];
      return { ready, detail: [...behind, ...(detail === '' ? [] : [detail])].join(', ') || 'signing' };
    },
    stop: async () => {
      await root.stop();
      await publisher.stop();
    },
  };
}

/** One write at a time; what could not be written stays in the signer's state and is written later. */
class CheckpointPublisher {
  behind = false;
  readonly #context: StepContext;
  readonly #signer: LocalSigner;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #waiting = false;

  constructor(context: StepContext, signer: LocalSigner) {
    this.#context = context;
    this.#signer = signer;
  }

  wake(): void {
    if (this.#waiting || this.#stop.signal.aborted) return;
    this.#waiting = true;
    this.#running = this.#running.then(() => this.#drain());
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #drain(): Promise<void> {
    this.#waiting = false;
    try {
      while ((await publishCheckpoints(this.#context.store, this.#signer)) > 0);
      this.behind = false;
    } catch (error) {
      this.behind = true;
      this.#context.log.warn({ err: error }, 'signed heads could not be written to checkpoints');
      await this.#context.clock.sleep(RETRY_MS, this.#stop.signal);
      this.wake();
    }
  }
}
