/** What respond does about one alert: pure. The loop acts on the plan. */
import type { AlertBody, Level } from '../../schemas/alert/v1.ts';
import { LEVELS } from '../../schemas/alert/v1.ts';
import type { DestinationConfig } from '../../schemas/config/v1.ts';
import type { ControlMode } from '../../schemas/control/v1.ts';

export interface ResponseSettings {
  readonly destinations: readonly Pick<DestinationConfig, 'name' | 'tenant' | 'minLevel'>[];
  readonly allowRuleKills: boolean;
}

export interface RuleKill {
  /** Derived from the alert, so that an alert that is read twice asks for the same control. */
  readonly controlId: string;
  readonly scope: 'tool' | 'class' | 'server' | 'agent' | 'session' | 'tenant';
  readonly target: string;
  readonly mode: ControlMode;
  /** From the alert's append time on: an alert that is read late does not kill anew. */
  readonly ttlMs: number;
  readonly reason: string;
}

/** Why a rule's kill was not set. */
export type KillRefusal = 'rule_not_enforced' | 'time_basis' | 'not_allowed' | 'global_scope' | 'expired';

export type KillPlan =
  | { readonly kind: 'none' }
  | { readonly kind: 'refused'; readonly reason: KillRefusal }
  | { readonly kind: 'set'; readonly kill: RuleKill };

export interface ResponsePlan {
  /** Names of the destinations that are told. */
  readonly deliverTo: readonly string[];
  readonly kill: KillPlan;
}

/** What the bus says of an alert's record, and the time at which it is read (Unix ms). */
export interface AlertPosition {
  readonly tenant: string;
  readonly appendMs: number;
  readonly nowMs: number;
}

/** The plan for an alert. Rules in mode off or shadow page nobody and kill nothing: their alerts are only stored. */
export function planResponse(
  alert: AlertBody,
  position: AlertPosition,
  settings: ResponseSettings,
): ResponsePlan {
  if (alert.mode === 'off' || alert.mode === 'shadow') return { deliverTo: [], kill: { kind: 'none' } };
  const deliverTo = settings.destinations
    .filter((destination) => destination.tenant === position.tenant)
    .filter((destination) => rank(alert.level) >= rank(destination.minLevel))
    .map((destination) => destination.name);
  return { deliverTo, kill: planKill(alert, position, settings.allowRuleKills) };
}

function planKill(alert: AlertBody, position: AlertPosition, isAllowed: boolean): KillPlan {
  const { action } = alert;
  if (action === undefined) return { kind: 'none' };
  if (!isAllowed) return { kind: 'refused', reason: 'not_allowed' };
  if (alert.mode !== 'enforce') return { kind: 'refused', reason: 'rule_not_enforced' };
  // Held only by append time: a clock was wrong or back-dated, so a person decides.
  if (alert.timeBasis !== 'event') return { kind: 'refused', reason: 'time_basis' };
  if (action.scope === 'global') return { kind: 'refused', reason: 'global_scope' };
  const ttlMs = position.appendMs + action.ttlMs - position.nowMs;
  if (ttlMs < MIN_KILL_MS) return { kind: 'refused', reason: 'expired' };
  return {
    kind: 'set',
    kill: {
      controlId: `rule-${alert.id}`,
      scope: action.scope,
      target: action.target,
      mode: action.mode,
      ttlMs,
      reason: cut(`rule ${alert.ruleId}: ${alert.title}`),
    },
  };
}

const MAX_REASON_LENGTH = 1024;
/** Shorter controls are not issued. */
const MIN_KILL_MS = 1000;

/** Never cuts a character in two: a lone surrogate would not survive UTF-8. */
function cut(text: string): string {
  return text.length <= MAX_REASON_LENGTH
    ? text
    : text.slice(0, MAX_REASON_LENGTH).replace(/[\uD800-\uDBFF]$/, '');
}

function rank(level: Level): number {
  return LEVELS.indexOf(level);
}
