/**
 * What a host's policy and a person's approval make of one call: its verdict on record, and in mode enforce whether it leaves.
 * Kill switches come before it, holding for detection after.
 */
import type { ApprovalDecision } from '../../../schemas/approval/v1.ts';
import { NO_ARGS_HASH } from '../../../schemas/approval/v1.ts';
import type { Control } from '../../../schemas/control/v1.ts';
import type { PolicyStamp } from '../../../schemas/event/v1.ts';
import type { ApprovalLine } from '../../../schemas/policy/v1.ts';
import { hostControl } from '../controls/host-control.ts';
import type { EventDraft } from '../draft.ts';
import type { CaptureLog } from '../log.ts';
import type { RefusalDetail } from '../refusal.ts';
import type { ApprovalDesk, Asked } from './desk.ts';
import type { HostPolicy, HostQuestion } from './host-policy.ts';

/** The arguments as a person can be shown them. */
export interface ShownArgs {
  /** SHA-256 of the exact bytes of the arguments on record; undefined where there are none. */
  readonly hash: string | undefined;
  /** They stand in the event whole, and no other arguments would look the same. */
  readonly isShowable: boolean;
}

export interface PolicyCall extends Omit<HostQuestion, 'agent' | 'server'> {
  /** Worked out where an approval is asked for, and once. */
  readonly shown: () => ShownArgs;
}

interface Judged {
  readonly policy: PolicyStamp;
  readonly approvalId?: string;
}

export interface Refused extends Judged {
  readonly kind: 'refuse';
  readonly verdict: 'refuse' | 'approval_required';
  readonly control: Control;
  readonly detail: RefusalDetail;
  /** On record behind its result: the denial that its sender has just been told of. */
  readonly after: readonly EventDraft[];
}

export type PolicyAnswer =
  | (Judged & {
      readonly kind: 'pass';
      readonly verdict: 'allow' | 'shadow_refuse' | 'warn_refuse';
      /** On record before the intent: the approval that it uses up. */
      readonly before: readonly EventDraft[];
    })
  | Refused
  /** It waits for its approval. */
  | (Judged & { readonly kind: 'wait'; readonly approvalId: string; readonly waitMs: number });

/** What became of a call that waited for its approval. */
export type ApprovalEnd =
  | { readonly kind: 'granted'; readonly approvalId: string; readonly before: readonly EventDraft[] }
  | { readonly kind: 'refused'; readonly refused: Refused };

export interface CallPolicyOptions {
  readonly policy: HostPolicy;
  readonly desk: ApprovalDesk;
  readonly agent: string;
  readonly server: string;
  readonly transport: string;
  /** On whose behalf the agent acts. */
  readonly principal: string | undefined;
  readonly nowMs: () => number;
  readonly log: CaptureLog;
}

export class CallPolicy {
  readonly #options: CallPolicyOptions;
  /** Denials that are on record in this stream. */
  readonly #told = new Set<string>();

  constructor(options: CallPolicyOptions) {
    this.#options = options;
  }

  /** What is refused does not leave. */
  get isEnforced(): boolean {
    return this.#options.policy.mode === 'enforce';
  }

  /** The rule by which a tool is hidden, and whether it really is. */
  hidden(
    tool: string,
    toolClass: string,
  ): { readonly rule: string; readonly isRemoved: boolean } | undefined {
    const { policy, agent, server } = this.#options;
    const rule = policy.hiddenBy({ agent, server, tool, class: toolClass });
    return rule === undefined ? undefined : { rule, isRemoved: this.isEnforced };
  }

  decide(call: PolicyCall): PolicyAnswer {
    const { policy, agent, server } = this.#options;
    const { decision, stamp } = policy.decide({ ...call, agent, server });
    if (decision.effect === 'allow') return { kind: 'pass', verdict: 'allow', policy: stamp, before: [] };
    if (!this.isEnforced) return this.#letGo(call, stamp);
    return decision.effect === 'refuse'
      ? this.#refuse(call, { stamp, reason: decision.reason, code: 'policy_refused' })
      : this.#approve(call, stamp, decision.line);
  }

  #letGo({ tool }: PolicyCall, stamp: PolicyStamp): PolicyAnswer {
    const isWarning = stamp.mode === 'warn';
    if (isWarning) {
      const { id, version, rule = '', effect = '' } = stamp;
      this.#options.log('warn', 'policy_would_refuse', { policy: id, version, rule, effect, tool });
    }
    return { kind: 'pass', verdict: isWarning ? 'warn_refuse' : 'shadow_refuse', policy: stamp, before: [] };
  }

  #approve(call: PolicyCall, stamp: PolicyStamp, line: ApprovalLine): PolicyAnswer {
    const { principal } = this.#options;
    const refusal = (reason: string): Refused =>
      this.#refuse(call, { stamp, reason, code: 'policy_refused' });
    if (!call.shown().isShowable)
      return refusal('It needs an approval, and its arguments cannot be shown to anybody.');
    if (line.fourEyes && principal === undefined)
      return refusal(
        'It needs an approval of somebody else, and this host does not say for whom the agent acts.',
      );
    const asked = this.#options.desk.ask(this.#questionOf(call, line));
    if (asked.kind === 'pending' && line.waitMs > 0)
      return { kind: 'wait', policy: stamp, approvalId: asked.id, waitMs: line.waitMs };
    return this.#answered(call, stamp, asked);
  }

  #questionOf(call: PolicyCall, line: Pick<ApprovalLine, 'requestTtlMs' | 'fourEyes'>) {
    const { agent, server, principal } = this.#options;
    return {
      agent,
      server,
      tool: call.tool,
      argsHash: call.shown().hash ?? NO_ARGS_HASH,
      ttlMs: line.requestTtlMs,
      notBy: line.fourEyes ? principal : undefined,
    };
  }

  #answered(call: PolicyCall, stamp: PolicyStamp, asked: Asked): Exclude<PolicyAnswer, { kind: 'wait' }> {
    const code = 'approval_required';
    switch (asked.kind) {
      case 'granted': {
        const { decision } = asked;
        const before = [this.#approvalDraft(decision)];
        const granted: PolicyStamp = { ...stamp, effect: 'allow' };
        return { kind: 'pass', verdict: 'allow', policy: granted, approvalId: decision.id, before };
      }
      case 'denied': {
        const { id, by, reason } = asked.decision;
        const after = this.#told.has(id) ? [] : [this.#approvalDraft(asked.decision)];
        this.#told.add(id);
        const denied = {
          stamp,
          reason: `${by} denied it: ${reason}`,
          code: 'policy_refused',
          approvalId: id,
        } as const;
        return { ...this.#refuse(call, denied), after };
      }
      case 'pending': {
        const reason = 'It needs an approval: repeat the very same call once it is granted.';
        return this.#refuse(call, { stamp, reason, code, approvalId: asked.id });
      }
      case 'failed':
        return this.#refuse(call, {
          stamp,
          reason: 'It needs an approval, and none can be asked for.',
          code,
        });
    }
  }

  /** Waits for the answer to a request that `decide` named, and takes it where there is one. */
  async wait(
    call: PolicyCall,
    { policy: stamp, approvalId, waitMs }: Extract<PolicyAnswer, { kind: 'wait' }>,
  ): Promise<ApprovalEnd> {
    const { desk } = this.#options;
    await desk.wait(approvalId, waitMs);
    const { request } = stamp;
    const line = { requestTtlMs: request?.ttlMs ?? 0, fourEyes: request?.fourEyes ?? true };
    // Nothing new is asked: no intent would name it.
    const asked = desk.known(this.#questionOf(call, line)) ?? { kind: 'pending', id: approvalId };
    const answered = this.#answered(call, stamp, asked);
    if (answered.kind === 'refuse') return { kind: 'refused', refused: answered };
    return { kind: 'granted', approvalId: answered.approvalId ?? approvalId, before: answered.before };
  }

  #refuse(
    { tool }: PolicyCall,
    of: {
      readonly stamp: PolicyStamp;
      readonly reason: string;
      readonly code: 'policy_refused' | 'approval_required';
      readonly approvalId?: string;
    },
  ): Refused {
    const { stamp, reason, code, approvalId } = of;
    const id = code === 'policy_refused' ? 'policy' : 'approval';
    const named = approvalId === undefined ? {} : { approvalId };
    return {
      kind: 'refuse',
      verdict: code === 'policy_refused' ? 'refuse' : 'approval_required',
      policy: stamp,
      ...named,
      control: hostControl({ id, tool, reason, nowMs: this.#options.nowMs(), forMs: 0 }),
      detail: { code, policy: { id: stamp.id, version: stamp.version, rule: stamp.rule ?? '' }, ...named },
      after: [],
    };
  }

  #approvalDraft(decision: ApprovalDecision): EventDraft {
    const { id, verdict, by, reason, argsHash, expiresAt, server, tool } = decision;
    return {
      kind: 'approval',
      timeMs: this.#options.nowMs(),
      fields: {
        approvalId: id,
        server,
        transport: this.#options.transport,
        tool,
        approval: { verdict, by, reason, resource: `${server}/${tool}`.slice(0, 256), argsHash, expiresAt },
      },
    };
  }
}
