/**
 * Which control decides about a call: pure, with no I/O, so that a host's refusal, the service's answer and a test are one
 * function. All names in a call are attacker-controlled: they are compared for equality and never interpreted.
 */
import type { Control } from './v1.ts';

/** What of a call a control may name. `tenant` is absent where the host does not know it: its channel only brings controls of its own tenant. */
export interface ControlledCall {
  readonly tenant?: string | undefined;
  readonly agent: string;
  readonly session: string;
  readonly server?: string | undefined;
  readonly tool: string;
  /** Tool class (detectors/classify). */
  readonly class: string;
}

export type CallDecision =
  | { readonly kind: 'allow' }
  /** The call goes out; that it would have been refused is recorded. */
  | { readonly kind: 'shadow'; readonly control: Control }
  | { readonly kind: 'refuse'; readonly control: Control };

/** Broadest scope first: of several controls that match, the one that stops most is named in the refusal. */
const SCOPE_RANK = {
  global: 0,
  tenant: 1,
  session: 2,
  agent: 3,
  server: 4,
  class: 5,
  tool: 6,
} as const satisfies Record<Control['scope'], number>;

/**
 * True from the set of a control up to, not including, `expiresAt`. The issue time is not looked at: a host whose clock
 * is slow must not wait with a kill.
 */
export function isInForce(control: Control, nowMs: number): boolean {
  if (control.state !== 'set') return false;
  const expiresMs = Date.parse(control.expiresAt);
  // An expiry that is no date cannot come from our issuer (verify refuses it); a kill switch then stays closed.
  return Number.isNaN(expiresMs) || nowMs < expiresMs;
}

/** True when the control's tenant, scope and target cover the call, whatever its state, mode and expiry. */
export function coversCall(control: Control, call: ControlledCall): boolean {
  return coversTenant(control, call.tenant) && COVERS_TARGET[control.scope](control, call);
}

function coversTenant(control: Control, tenant: string | undefined): boolean {
  if (control.tenant === '*') return control.scope === 'global';
  return tenant === undefined || control.tenant === tenant;
}

const COVERS_TARGET: Readonly<Record<Control['scope'], (control: Control, call: ControlledCall) => boolean>> =
  {
    global: () => true,
    tenant: (control) => control.target === '*' || control.target === control.tenant,
    session: (control, call) => control.target === call.session,
    agent: (control, call) => control.target === call.agent,
    server: (control, call) => control.target === call.server,
    class: (control, call) => control.target === call.class,
    tool: (control, call) => coversTool(control.target, call),
  };

/** `tool` on any server, or `server/tool`. A tool may have a slash in its own name: both readings of the target stop. */
function coversTool(target: string, call: ControlledCall): boolean {
  if (target === call.tool) return true;
  return call.server !== undefined && target === `${call.server}/${call.tool}`;
}

/** Negative when `left` is the stronger: enforce before shadow, broad before narrow, later expiry, then the smaller id. */
export function compareStrength(left: Control, right: Control): number {
  if (left.mode !== right.mode) return left.mode === 'enforce' ? -1 : 1;
  if (left.scope !== right.scope) return SCOPE_RANK[left.scope] - SCOPE_RANK[right.scope];
  // RFC 3339 in UTC with milliseconds: the text order is the time order.
  if (left.expiresAt !== right.expiresAt) return left.expiresAt > right.expiresAt ? -1 : 1;
  if (left.id === right.id) return right.version - left.version;
  return left.id < right.id ? -1 : 1;
}

/**
 * Decides about one call. The answer does not depend on the order of `controls`: of those in force that cover the call
 * the strongest decides. `nowMs` is Unix ms of the caller's clock.
 */
export function decideCall(controls: readonly Control[], call: ControlledCall, nowMs: number): CallDecision {
  let strongest: Control | undefined;
  for (const control of controls) {
    if (!isInForce(control, nowMs) || !coversCall(control, call)) continue;
    if (strongest === undefined || compareStrength(control, strongest) < 0) strongest = control;
  }
  if (strongest === undefined) return { kind: 'allow' };
  return strongest.mode === 'enforce'
    ? { kind: 'refuse', control: strongest }
    : { kind: 'shadow', control: strongest };
}
