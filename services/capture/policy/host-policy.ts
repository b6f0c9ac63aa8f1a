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
import { changeOnRecord, HostFile, type FileNews } from '../host-file.ts';
import { sha256Hex } from '../recorder/chain.ts';
import type { FileReading, Loaded } from '../watched-file.ts';

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

export class HostPolicy {
  readonly #settings: HostPolicySettings;
  readonly #file: HostFile<Policy>;

  constructor(settings: HostPolicySettings, log: CaptureLog) {
    this.#settings = settings;
    this.#file = new HostFile({
      ...settings,
      kind: 'policy',
      reader: readPolicyFile,
      log,
      logged: ({ id, version, mode }) => ({ id, version, mode }),
    });
  }

  /** Reads the file; before it has, and where it has faults, nothing is decided. Throws host_policy_invalid with every fault. */
  async load(): Promise<void> {
    const faults = await this.#file.load();
    if (faults.length === 0) return;
    throw new TriplineError('host_policy_invalid', `the policy has faults:\n  ${faults.join('\n  ')}`, {
      path: 'TRIPLINE_POLICY',
    });
  }

  /**
   * Tells what becomes of the file from now on; answers the way to end it. In the turn in which a change is told it holds, for
   * the next call of every connection.
   */
  subscribe(listener: PolicyListener): () => void {
    return this.#file.subscribe((news) => listener(this.#onRecord(news)));
  }

  #onRecord(news: FileNews<Policy>): PolicyNews {
    const previousMode = news.previous.value.mode;
    return { policy: this.identity, policyChange: { ...changeOnRecord(news), previousMode } };
  }

  /** It may decide. */
  get isLoaded(): boolean {
    return this.#file.loaded !== undefined;
  }

  get mode(): Policy['mode'] {
    return this.#policy().value.mode;
  }

  #policy(): Loaded<Policy> {
    const { loaded } = this.#file;
    if (loaded === undefined) throw new TriplineError('not_ready', 'the policy is not loaded');
    return loaded;
  }

  /** Id, version, hash and mode: what stream.open says. */
  get identity(): PolicyStamp {
    const { value: policy, hash } = this.#policy();
    return { id: policy.id, version: policy.version, hash, mode: policy.mode };
  }

  decide(question: HostQuestion): HostVerdict {
    const decision = decidePolicy(this.#policy().value, { ...question, ...this.#where() });
    const { effect, rule } = decision;
    const request = decision.effect === 'approve' ? { request: requestOf(decision.line) } : {};
    return { decision, stamp: { ...this.identity, effect, rule, ...request } };
  }

  /** The rule by which a tool is left out of tools/list; in mode enforce it is, else it would be. */
  hiddenBy(subject: HostSubject): string | undefined {
    return hiddenBy(this.#policy().value, { ...subject, ...this.#where() });
  }

  #where(): Pick<PolicySubject, 'environment' | 'task'> {
    const { environment, task } = this.#settings;
    return { environment, task };
  }
}

function requestOf({ requestTtlMs, waitMs, fourEyes }: ApprovalLine): NonNullable<PolicyStamp['request']> {
  return { ttlMs: requestTtlMs, waitMs, fourEyes };
}

export async function readPolicyFile(file: string, bytes: Uint8Array): Promise<FileReading<Policy>> {
  const { faultText, readPolicy } = await import('./read.ts');
  const found = readPolicy(bytes);
  if (found.kind === 'policy') return { kind: 'loaded', loaded: { value: found.policy, hash: found.hash } };
  return {
    kind: 'faulty',
    faults: found.faults.map((fault) => faultText(file, fault)),
    hash: sha256Hex(bytes),
  };
}
