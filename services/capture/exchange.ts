/** One request on the wire that is on record, until its one result is: a tool call, or another message of MCP. */
import type { CallDecision } from '../../schemas/control/decide.ts';
import type { PolicyStamp } from '../../schemas/event/v1.ts';
import type { EventDraft } from './draft.ts';
import type { Direction } from './message.ts';
import type { PolicyAnswer } from './policy/call-policy.ts';
import type { ToolDefinition } from './registry.ts';
import type { CallSpan } from './spans.ts';

/** What controls and policy say of it. */
export interface Verdict {
  readonly verdict: string;
  readonly controlId: string | undefined;
  readonly policy?: PolicyStamp | undefined;
  readonly approvalId?: string | undefined;
}

export interface CallAbout extends Verdict {
  readonly kind: 'call';
  readonly tool: string;
  readonly class: string;
  readonly span: CallSpan;
  readonly parentSpanId: string | undefined;
  readonly decisionId: string | undefined;
  /** As listed when the call left: what the answer is held against. */
  readonly definition: ToolDefinition | undefined;
}

export interface MessageAbout extends Partial<Verdict> {
  readonly kind: 'message';
  readonly method: string;
  readonly traceId: string | undefined;
  readonly parentSpanId: string | undefined;
  /** Of the call that a task came from. */
  readonly tool: string | undefined;
  readonly class: string | undefined;
  /** Its bodies hold what a person typed, or where they were sent: neither is on record. */
  readonly hidesBodies: boolean;
  /** A stream of notifications and no question: it is not answered for as long as it is wanted. */
  readonly isSubscription: boolean;
}

export interface Progress {
  count: number;
  last?: number;
  total?: number;
}

export interface Exchange {
  readonly key: string;
  readonly direction: Direction;
  readonly callId: string;
  readonly logicalCallId: string;
  /** Monotonic ms. */
  readonly startedAtMs: number;
  about: CallAbout | MessageAbout;
  /** What MCP says of it (schemas/event/v1.ts zMcp); on both of its events. */
  readonly mcp: Readonly<Record<string, unknown>>;
  /** Names its progress notifications. */
  readonly progressKey: string | undefined;
  readonly progress: Progress;
  /** Its request, held back until its answer shows that it is worth a place on record (polls). */
  heldBack: EventDraft | undefined;
  /** Hosts that its arguments name, where trust in its result depends on them. */
  readonly hosts: readonly string[];
  /** What came of holding it back; stands in its result. */
  hold: Readonly<Record<string, unknown>> | undefined;
  /** A result is on record (cancelled, timeout): a later answer is evidence of it, not a second result. */
  ended: boolean;
}

/** Ids of one direction are a number space of their own. */
export function pendingKey(direction: Direction, idKey: string): string {
  return `${direction} ${idKey}`;
}

/** An answer and a progress notification travel against their request. */
export function against(direction: Direction): Direction {
  return direction === 'to_client' ? 'to_server' : 'to_client';
}

export function senderOf(direction: Direction): 'client' | 'server' {
  return direction === 'to_server' ? 'client' : 'server';
}

/** The verdict on record: the policy's where it says more than the controls do. */
export function verdictOf(decision: CallDecision, answer?: PolicyAnswer): Verdict {
  const controls = verdictOfControls(decision);
  if (answer === undefined) return controls;
  const { policy, approvalId } = answer;
  const own = answer.kind === 'wait' ? 'approval_required' : answer.verdict;
  return { ...controls, policy, approvalId, verdict: own === 'allow' ? controls.verdict : own };
}

function verdictOfControls(decision: CallDecision): Verdict {
  switch (decision.kind) {
    case 'allow':
      return { verdict: 'allow', controlId: undefined };
    case 'shadow':
      return { verdict: 'shadow_refuse', controlId: decision.control.id };
    case 'refuse':
      return { verdict: 'refuse', controlId: decision.control.id };
  }
}
