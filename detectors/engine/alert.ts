/** Findings of the matcher → alert bodies with deterministic ids, and the line that travels on the bus. */
import type { AlertBody, AlertLine, CallReference } from '../../schemas/alert/v1.ts';
import { eventId } from '../../schemas/event/v1.ts';
import type { CompiledRule, RuleAction } from '../compile/rule.ts';
import { keyByName, type Degraded, type Finding, type Match } from './finding.ts';
import { chainOf } from './prefixes.ts';

/** SHA-256 of bytes, 32 bytes. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

const ALERT_DOMAIN = 'tripline/alert/v1\0';
/** Built-in rule: the detector had to give something up, a chain may have been missed. */
export const COVERAGE_RULE_ID = 'tripline.coverage-degraded';
/** Its version takes the place of a semantic hash: 32 zero bytes but the last. */
const COVERAGE_RULE_HASH = `${'0'.repeat(63)}1`;
const encoder = new TextEncoder();

export function toHex(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}

/**
 * Alert id, 64 hex digits: SHA-256 of the domain and of each part with its length in 32 bits, big-endian. Parts are
 * UTF-8: tenant, rule id, semantic rule hash (hex), key (JSON list of its values), id of the completing event.
 */
export function alertId(parts: readonly string[], sha256: Sha256): string {
  const encoded = parts.map((part) => encoder.encode(part));
  const domain = encoder.encode(ALERT_DOMAIN);
  const bytes = new Uint8Array(domain.length + encoded.reduce((sum, part) => sum + 4 + part.length, 0));
  const view = new DataView(bytes.buffer);
  bytes.set(domain);
  let at = domain.length;
  for (const part of encoded) {
    view.setUint32(at, part.length);
    bytes.set(part, at + 4);
    at += 4 + part.length;
  }
  return toHex(sha256(bytes));
}

/** Text from events stands in alerts as a value, cut to a length that a screen holds. */
const clip = (text: string, length: number): string =>
  text.length <= length ? text : `${text.slice(0, length - 1)}…`;

const TARGETS: Readonly<Record<string, (call: CallReference, tenant: string) => string | undefined>> = {
  session: (call) => call.session,
  session_id: (call) => call.session,
  agent: (call) => call.agent,
  agent_id: (call) => call.agent,
  server: (call) => call.server,
  'tool.server': (call) => call.server,
  'tool.name': (call) => call.tool,
  'tool.class': (call) => call.class,
  '*': (_, tenant) => tenant,
};

function actionOf(action: RuleAction, call: CallReference, tenant: string): AlertBody['action'] {
  const target = TARGETS[action.target]?.(call, tenant);
  if (target === undefined) return undefined;
  return { type: 'kill', scope: action.scope, target, mode: action.mode, ttlMs: action.ttlMs };
}

function summaryOf(rule: CompiledRule, calls: readonly CallReference[]): string {
  const chain = calls.map((call) => {
    const name = clip(call.tool ?? call.step, 64);
    return call.destHost === undefined ? name : `${name} (${clip(call.destHost, 64)})`;
  });
  return clip(`${rule.title}: ${chain.join(' → ')}`, 2048);
}

/**
 * What the id is made of. An alert by append time has an id of its own: where a late event confirms it by event time,
 * that is a second alert, which may ask for a kill. Else whoever can delay an event would have the first, harmless one
 * told and so escape the kill.
 */
function idParts(match: Match, last: CallReference): string[] {
  const { rule, completed } = match;
  const parts = [match.tenant, rule.id, rule.hash, match.keyText, completingEvent(last)];
  return completed.timeBasis === 'event' ? parts : [...parts, 'append'];
}

/** An alert that completes another is the event with the id that its own line has: one call may complete several alerts. */
function completingEvent({ alert, eventId: callEvent }: CallReference): string {
  return alert === undefined ? callEvent : eventId(alert.slice(0, 32), 0);
}

function matchBody(match: Match, sha256: Sha256): AlertBody {
  const { rule, completed } = match;
  const calls = chainOf(completed.last).map(({ step, entry }) => ({
    step: rule.steps[step]?.name ?? 'step',
    ...entry.reference,
  }));
  const last = calls.at(-1) as CallReference;
  // Only a rule that the operator put in force asks for a kill, and never on append time alone: that order is one
  // that whoever delays events can make.
  const mode = match.exception === undefined ? rule.mode : 'shadow';
  const mayAct = mode === 'enforce' && completed.timeBasis === 'event' && rule.action !== undefined;
  const action = mayAct && rule.action !== undefined ? actionOf(rule.action, last, match.tenant) : undefined;
  return {
    id: alertId(idParts(match, last), sha256),
    ruleId: rule.id,
    ruleHash: rule.hash,
    title: rule.title,
    level: rule.level,
    mode,
    tags: [...rule.tags],
    scope: rule.scope,
    key: keyByName(match),
    timeBasis: completed.timeBasis,
    calls,
    ...(action === undefined ? {} : { action }),
    ...(match.exception === undefined ? {} : { exception: match.exception }),
    ...(completed.measured === undefined ? {} : { measured: completed.measured }),
    summary: summaryOf(rule, calls),
  };
}

const REASONS: Readonly<Record<Degraded['reason'], string>> = {
  states_evicted: 'the budget of states is spent',
  prefixes_evicted: 'one key holds more runs than the limit',
  events_evicted: 'one key holds more events than the limit',
  late_unrepaired: 'an event came too late to be put in its place',
  values_left_out: 'a body holds more values than are compared',
};

function degradedBody(degraded: Degraded, sha256: Sha256): AlertBody {
  const { ruleId, tenant, reason, entry } = degraded;
  const key = JSON.stringify([ruleId, reason]);
  return {
    id: alertId([tenant, COVERAGE_RULE_ID, COVERAGE_RULE_HASH, key, entry.reference.eventId], sha256),
    ruleId: COVERAGE_RULE_ID,
    ruleHash: COVERAGE_RULE_HASH,
    title: 'Detection gave something up: a chain may have been missed',
    level: 'medium',
    mode: 'alert',
    tags: ['coverage'],
    scope: 'tenant',
    key: { rule: ruleId, reason },
    timeBasis: 'append',
    calls: [{ step: 'event', ...entry.reference }],
    summary: `Rule ${ruleId}: ${REASONS[reason]}`,
  };
}

/** The body of an alert; equal for equal findings, whenever and wherever it is made. */
export function alertBody(finding: Finding, sha256: Sha256): AlertBody {
  switch (finding.kind) {
    case 'match':
      return matchBody(finding, sha256);
    case 'degraded':
      return degradedBody(finding, sha256);
  }
}

/** The alert's line: a stream of its own, no wall clock, so that a second publication is the same bytes. */
export function alertLine(body: AlertBody): AlertLine {
  const last = body.calls.at(-1) as CallReference;
  return {
    v: 1,
    kind: 'alert',
    stream: body.id.slice(0, 32),
    seq: 0,
    nonce: body.id.slice(32),
    time: last.time,
    session: last.session,
    agent: last.agent,
    alert: body,
  };
}

/** Second part of the record key: the session, or the key's values where a rule joins sessions. */
export function alertEntity(body: AlertBody): string {
  if (body.scope === 'session') return (body.calls.at(-1) as CallReference).session;
  return clip(Object.values(body.key).join('/') || body.ruleId, 256);
}
