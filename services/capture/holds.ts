/**
 * Calls that are held back until detection has judged their intents: which ones, and what their hosts are told. A call
 * that is refused so never reaches its server: the one that completes the chain is stopped, not the next.
 */
import type { Control } from '../../schemas/control/v1.ts';
import type { ToolClass } from '../../schemas/event/v1.ts';
import type { Verdict } from '../../schemas/verdict/v1.ts';
import { hostControl } from './controls/host-control.ts';
import type { Exchange } from './exchange.ts';
import type { WireMessage } from './message.ts';
import type { ApprovalEnd } from './policy/call-policy.ts';

export interface HoldSettings {
  readonly classes: ReadonlySet<ToolClass>;
  /** How long a call waits at most, ms. */
  readonly budgetMs: number;
  /** What a call meets whose verdict has not come by then, or cannot come. */
  readonly onTimeout: 'open' | 'closed';
}

/** What came of waiting. */
export type Ruling =
  | { readonly kind: 'verdict'; readonly verdict: Verdict['verdict']; readonly ruleId: string | undefined }
  | { readonly kind: 'timeout' };

export interface HeldCall {
  readonly call: Exchange;
  readonly message: WireMessage;
  /** Of its intent among the drafts of its line. */
  readonly draft: number;
  /** It waits for the verdict of detection. */
  readonly isHeld: boolean;
  /** It waits for a person's answer: resolves when that is there, or will not come in time. */
  readonly approved: (() => Promise<ApprovalEnd>) | undefined;
}

/** What came of the wait of one call. */
export interface Settled {
  readonly held: Held | undefined;
  readonly approval: ApprovalEnd | undefined;
}

export interface Held {
  /** For field `hold` of the call's result. */
  readonly field: Readonly<Record<string, unknown>>;
  readonly refused: boolean;
}

export function heldBy(ruling: Ruling, settings: HoldSettings, waitedMs: number): Held {
  const { budgetMs, onTimeout } = settings;
  const waited = { budgetMs, waitedMs: Math.round(waitedMs * 1000) / 1000 };
  if (ruling.kind === 'timeout') {
    const verdict = onTimeout === 'closed' ? 'timeout_closed' : 'timeout_open';
    return { field: { ...waited, verdict }, refused: onTimeout === 'closed' };
  }
  const { verdict, ruleId } = ruling;
  const field = { ...waited, verdict, ...(ruleId === undefined ? {} : { ruleId }) };
  return { field, refused: verdict === 'refuse' };
}

/** The refusal of one call, in the form of a control that ends with it. */
export function holdRefusal(held: Held, { tool }: { readonly tool: string }, nowMs: number): Control {
  const { ruleId } = held.field;
  const reason =
    typeof ruleId === 'string'
      ? `This call completes rule ${ruleId}.`
      : 'The call was held back, no verdict came in time, and this host is set to refuse then.';
  return hostControl({ id: 'hold', tool, reason, nowMs, forMs: 0 });
}
