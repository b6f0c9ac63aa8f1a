/** The policy of this host: read once at its start, held against every call of its connections. */
import { readFileSync } from 'node:fs';
import { TriplineError } from '../../../schemas/errors.ts';
import type { PolicyStamp } from '../../../schemas/event/v1.ts';
import {
  decidePolicy,
  hiddenBy,
  type PolicyDecision,
  type PolicyQuestion,
  type PolicySubject,
} from '../../../schemas/policy/decide.ts';
import type { ApprovalLine, Policy } from '../../../schemas/policy/v1.ts';

export interface HostPolicySettings {
  readonly file: string;
  readonly environment: string | undefined;
  readonly task: string | undefined;
}

/** What the host knows of a call; environment and task are the policy's to add. */
export type HostQuestion = Omit<PolicyQuestion, 'environment' | 'task'>;
export type HostSubject = Omit<PolicySubject, 'environment' | 'task'>;

export interface HostVerdict {
  readonly decision: PolicyDecision;
  readonly stamp: PolicyStamp;
}

export class HostPolicy {
  readonly #settings: HostPolicySettings;
  #loaded: { readonly policy: Policy; readonly hash: string } | undefined;

  constructor(settings: HostPolicySettings) {
    this.#settings = settings;
  }

  /** Reads the file; before it has, and where it has faults, nothing is decided. Throws host_policy_invalid with every fault. */
  async load(): Promise<void> {
    if (this.#loaded !== undefined) return;
    const { file } = this.#settings;
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(file);
    } catch (cause) {
      throw new TriplineError('host_policy_invalid', `${file} cannot be read`, {
        path: 'TRIPLINE_POLICY',
        cause,
      });
    }
    const { faultText, readPolicy } = await import('./read.ts');
    const reading = readPolicy(bytes);
    if (reading.kind === 'faults') {
      const faults = reading.faults.map((fault) => faultText(file, fault)).join('\n  ');
      throw new TriplineError('host_policy_invalid', `the policy has faults:\n  ${faults}`, {
        path: 'TRIPLINE_POLICY',
      });
    }
    const { policy, hash } = reading;
    this.#loaded = { policy, hash };
  }

  /** It may decide. */
  get isLoaded(): boolean {
    return this.#loaded !== undefined;
  }

  get mode(): Policy['mode'] {
    return this.#policy().policy.mode;
  }

  #policy(): { readonly policy: Policy; readonly hash: string } {
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
