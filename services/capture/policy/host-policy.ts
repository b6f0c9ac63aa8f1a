/** The policy of this host: held against every call of its connections, and read again where its file changes. */
import { TriplineError } from '../../../schemas/errors.ts';
import type { PolicyChange, PolicyStamp } from '../../../schemas/event/v1.ts';
import {
  decidePolicy,
  hiddenBy,
  type PolicyDecision,
  type PolicyQuestion,
  type PolicySubject,
} from '../../../schemas/policy/decide.ts';
import type { ApprovalLine, Policy } from '../../../schemas/policy/v1.ts';
import type { CaptureLog } from '../log.ts';
import { PolicyFile, type FileReading, type LoadedPolicy } from './policy-file.ts';

export interface HostPolicySettings {
  readonly file: string;
  readonly environment: string | undefined;
  readonly task: string | undefined;
  /** How often the file is looked at, ms; every second by default. */
  readonly lookIntervalMs?: number;
}

/** What the host knows of a call; environment and task are the policy's to add. */
export type HostQuestion = Omit<PolicyQuestion, 'environment' | 'task'>;
export type HostSubject = Omit<PolicySubject, 'environment' | 'task'>;

export interface HostVerdict {
  readonly decision: PolicyDecision;
  readonly stamp: PolicyStamp;
}

/** For the record of each connection: what is in force, and what became of the file. */
export interface PolicyNews {
  readonly policy: PolicyStamp;
  readonly policyChange: PolicyChange;
}

export type PolicyListener = (news: PolicyNews) => void;

const LOOK_INTERVAL_MS = 1_000;
/** On record; the host's log has them all. */
const MAX_FAULTS_ON_RECORD = 8;
const MAX_FAULT_CHARACTERS = 512;

export class HostPolicy {
  readonly #settings: HostPolicySettings;
  readonly #file: PolicyFile;
  readonly #log: CaptureLog;
  readonly #listeners = new Set<PolicyListener>();
  #loaded: LoadedPolicy | undefined;
  #timer: NodeJS.Timeout | undefined;
  #wasRejected = false;

  constructor(settings: HostPolicySettings, log: CaptureLog) {
    this.#settings = settings;
    this.#file = new PolicyFile(settings.file);
    this.#log = log;
  }

  /** Reads the file; before it has, and where it has faults, nothing is decided. Throws host_policy_invalid with every fault. */
  async load(): Promise<void> {
    if (this.#loaded !== undefined) return;
    const found = await this.#file.read();
    if (found.kind === 'policy') {
      this.#loaded = found.loaded;
      return;
    }
    throw new TriplineError('host_policy_invalid', `the policy has faults:\n  ${found.faults.join('\n  ')}`, {
      path: 'TRIPLINE_POLICY',
    });
  }

  /**
   * Tells what becomes of the file from now on; answers the way to end it. While anybody listens it is looked at every second.
   * In the turn in which a change is told it holds, for the next call of every connection.
   */
  subscribe(listener: PolicyListener): () => void {
    this.#listeners.add(listener);
    this.#timer ??= this.#lookLater();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      clearTimeout(this.#timer);
      this.#timer = undefined;
    };
  }

  #lookLater(): NodeJS.Timeout {
    const timer = setTimeout(() => void this.#look(), this.#settings.lookIntervalMs ?? LOOK_INTERVAL_MS);
    return timer.unref();
  }

  async #look(): Promise<void> {
    const found = await this.#file.look().catch((error: unknown) => {
      this.#log('error', 'policy_not_looked_at', { message: String(error) });
      return undefined;
    });
    // Nobody listens any more, or somebody began to anew.
    if (this.#listeners.size === 0) return;
    if (found !== undefined) this.#take(found);
    this.#timer = this.#lookLater();
  }

  #take(found: FileReading): void {
    const { hash: previousHash, policy: before } = this.#policy();
    const previous = { previousHash, previousMode: before.mode };
    if (found.kind === 'faulty') {
      const { faults, hash } = found;
      this.#wasRejected = true;
      const all = faults.join('\n');
      this.#log('error', 'policy_not_taken', {
        file: this.#settings.file,
        inForce: previousHash,
        faults: all,
      });
      const shown = faults
        .slice(0, MAX_FAULTS_ON_RECORD)
        .map((fault) => fault.slice(0, MAX_FAULT_CHARACTERS));
      const offered = hash === undefined ? {} : { hash };
      return this.#tell({ state: 'rejected', ...previous, ...offered, faults: shown });
    }
    // The very same again is no news, unless it was told that it had gone.
    if (found.loaded.hash === previousHash && !this.#wasRejected) return;
    this.#wasRejected = false;
    this.#loaded = found.loaded;
    const { id, version, hash, mode } = this.identity;
    this.#log('warn', 'policy_changed', { id, version, mode, hash, previousHash });
    this.#tell({ state: 'applied', ...previous, hash });
  }

  #tell(policyChange: PolicyChange): void {
    for (const listener of this.#listeners) listener({ policy: this.identity, policyChange });
  }

  /** It may decide. */
  get isLoaded(): boolean {
    return this.#loaded !== undefined;
  }

  get mode(): Policy['mode'] {
    return this.#policy().policy.mode;
  }

  #policy(): LoadedPolicy {
    if (this.#loaded === undefined) throw new TriplineError('not_ready', 'the policy is not loaded');
    return this.#loaded;
  }

  /** Id, version, hash and mode: what stream.open says. */
  get identity(): PolicyStamp {
    const { policy, hash } = this.#policy();
    return { id: policy.id, version: policy.version, hash, mode: policy.mode };
  }

  decide(question: HostQuestion): HostVerdict {
    const decision = decidePolicy(this.#policy().policy, { ...question, ...this.#where() });
    const { effect, rule } = decision;
    const request = decision.effect === 'approve' ? { request: requestOf(decision.line) } : {};
    return { decision, stamp: { ...this.identity, effect, rule, ...request } };
  }

  /** The rule by which a tool is left out of tools/list; in mode enforce it is, else it would be. */
  hiddenBy(subject: HostSubject): string | undefined {
    return hiddenBy(this.#policy().policy, { ...subject, ...this.#where() });
  }

  #where(): Pick<PolicySubject, 'environment' | 'task'> {
    const { environment, task } = this.#settings;
    return { environment, task };
  }
}

function requestOf({ requestTtlMs, waitMs, fourEyes }: ApprovalLine): NonNullable<PolicyStamp['request']> {
  return { ttlMs: requestTtlMs, waitMs, fourEyes };
}
