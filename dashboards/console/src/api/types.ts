/** What the views work with. Every string may hold text that an attacker chose: views show it through `Untrusted`. */
import type { Disposition } from '../../../../schemas/alert/disposition.ts';
import type { ControlScope, Level } from '../../../../schemas/alert/v1.ts';
import type { ControlMode } from '../../../../schemas/control/v1.ts';

/** Accepted by the compiler only while it names every scope of schemas/alert/v1.ts. */
export const SCOPES: Readonly<Record<ControlScope, string>> = {
  tool: 'One tool, on any server, or on one as server/tool',
  class: 'Every tool of a class, such as external_post',
  server: 'Every tool of one MCP server',
  agent: 'Every call of one agent',
  session: 'Every call of one session',
  tenant: 'Every call of your tenant',
  global: 'Every call of every tenant (role admin)',
};
export const MODES: Readonly<Record<ControlMode, string>> = {
  enforce: 'Refuse the calls',
  shadow: 'Let them pass and record that they would be refused',
};
export const LEVEL_RANK: Readonly<Record<Level, number>> = {
  informational: 0,
  low: 1,
  medium: 2,
  high: 3,
  critical: 4,
};
export const DISPOSITIONS: Readonly<Record<Disposition, string>> = {
  true_positive: 'It happened as the rule describes, and it was a threat',
  benign_true_positive: 'It happened as the rule describes, and it was expected or allowed',
  false_positive: 'It is not what the rule describes: its logic or its data is wrong',
  undetermined: 'Looked into; what is known does not decide it',
};
export type DispositionValue = Disposition;
export type Scope = ControlScope;
export type Mode = ControlMode;

export interface TailRow {
  /** Unique on this page; rows are made faster than ids can be trusted. */
  readonly key: number;
  readonly time: string;
  readonly kind: string;
  readonly session: string;
  readonly agent: string;
  readonly server: string;
  readonly tool: string;
  readonly toolClass: string;
  readonly outcome: string;
  readonly verdict: string;
  readonly destHost: string;
  /** `<stream>-<seq>`. */
  readonly eventId: string;
  /** Of an alert; '' otherwise. */
  readonly alertId: string;
  readonly title: string;
}

export interface AlertCall {
  readonly step: string;
  readonly eventId: string;
  readonly time: string;
  readonly session: string;
  readonly agent: string;
  readonly callId: string;
  readonly server: string;
  readonly tool: string;
  readonly toolClass: string;
  readonly destHost: string;
  readonly traceId: string;
}

export interface AlertAction {
  readonly scope: string;
  readonly target: string;
  readonly mode: string;
}

export interface AlertDisposition {
  readonly value: string;
  readonly reason: string;
  readonly actor: string;
  readonly time: string;
}

export interface DispositionDraft {
  readonly disposition: DispositionValue;
  readonly reason: string;
}

export interface Alert {
  readonly id: string;
  readonly time: string;
  readonly level: string;
  readonly ruleId: string;
  readonly title: string;
  readonly summary: string;
  readonly mode: string;
  readonly scope: string;
  readonly session: string;
  readonly timeBasis: string;
  readonly tags: readonly string[];
  readonly calls: readonly AlertCall[];
  readonly action: AlertAction | null;
  /** null while nobody has said anything. */
  readonly disposition: AlertDisposition | null;
}

export interface SessionSummary {
  readonly session: string;
  readonly agents: readonly string[];
  readonly calls: number;
  readonly refused: number;
  readonly alerts: number;
  readonly firstTime: string;
  readonly lastTime: string;
}

/** Which policy of the host decided, by which of its lines, and what it says whatever its mode. */
export interface CallPolicy {
  readonly id: string;
  readonly version: string;
  readonly mode: string;
  readonly effect: string;
  readonly rule: string;
  readonly hash: string;
}

export interface Call {
  readonly stream: string;
  readonly callId: string;
  readonly intentId: string;
  readonly resultId: string;
  readonly time: string;
  readonly agent: string;
  readonly server: string;
  readonly tool: string;
  readonly toolClass: string;
  readonly outcome: string;
  /** null while no result is on record. */
  readonly durationMs: number | null;
  readonly destHost: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly trust: string;
  readonly verdict: string;
  readonly policy: CallPolicy | null;
  readonly controlId: string;
  readonly approvalId: string;
  readonly argsHash: string;
  readonly resultHash: string;
  readonly resultBytes: number | null;
  /** All of them; beside them those of the arguments and of the result alone. */
  readonly argsLabels: readonly string[];
  readonly resultLabels: readonly string[];
  readonly labels: readonly string[];
  readonly findings: readonly string[];
}

export interface Decision {
  readonly eventId: string;
  readonly time: string;
  readonly callId: string;
  readonly promptHash: string;
  readonly rationale: string;
  readonly model: string;
}

/** A writer of the session's events. */
export interface Stream {
  readonly stream: string;
  readonly entries: number;
  /** Of them, those under a signature of the host's own key. */
  readonly signed: number;
  readonly keyIds: readonly string[];
}

export interface Session {
  readonly session: string;
  readonly agents: readonly string[];
  readonly calls: readonly Call[];
  readonly alerts: readonly Alert[];
  readonly decisions: readonly Decision[];
  readonly streams: readonly Stream[];
  /** The session has more events than the service puts in one answer. */
  readonly isTruncated: boolean;
}

export interface LedgerLog {
  readonly logId: string;
  readonly tenant: string;
  readonly topic: string;
  readonly partition: number;
  /** Rows in the store; those beyond `size` wait for their signature. */
  readonly entries: number;
  /** Entries that say that something was missing, late, doubled or unreadable; '' for none. */
  readonly findings: string;
  /** Entries under the newest signed head. */
  readonly size: number;
  readonly root: string;
  readonly signedAt: string;
  /** Records on the bus that are not in the ledger yet; null where the service does not say. */
  readonly lag: number | null;
}

export interface Ledger {
  readonly logs: readonly LedgerLog[];
  readonly lag: number | null;
  readonly keyIds: readonly string[];
}

export interface Control {
  readonly id: string;
  readonly version: number;
  readonly tenant: string;
  readonly scope: string;
  readonly target: string;
  readonly mode: string;
  readonly state: string;
  readonly reason: string;
  readonly issuedBy: string;
  readonly issuedAt: string;
  readonly expiresAt: string;
  readonly alertId: string;
}

export interface ControlDraft {
  readonly scope: Scope;
  readonly target?: string;
  readonly mode: Mode;
  readonly ttlMs: number;
  readonly reason: string;
}

export interface Approval {
  readonly id: string;
  readonly state: string;
  readonly tenant: string;
  readonly session: string;
  readonly agent: string;
  /** For whom the agent acts, as its host says; '' where it does not. */
  readonly principal: string;
  readonly host: string;
  readonly server: string;
  readonly tool: string;
  readonly toolClass: string;
  readonly policy: string;
  /** Exact text; null where the call has none. */
  readonly args: string | null;
  readonly argsHash: string;
  readonly isAltered: boolean;
  readonly isFourEyes: boolean;
  /** Why whoever looks cannot grant it; `role`: nor refuse it. '' where nothing is in the way. */
  readonly obstacle: string;
  readonly requestedAt: string;
  readonly answerableUntil: string;
  readonly eventId: string;
  readonly decision: ApprovalAnswer | null;
}

export interface ApprovalAnswer {
  readonly verdict: string;
  readonly by: string;
  readonly reason: string;
  readonly issuedAt: string;
  readonly expiresAt: string;
}

export interface Approvals {
  readonly items: readonly Approval[];
  /** There are older ones that are not in `items`. */
  readonly hasMore: boolean;
  readonly asker: { readonly id: string; readonly role: string; readonly mayAnswer: boolean };
}

export type ApprovalVerdict = 'grant' | 'deny';
