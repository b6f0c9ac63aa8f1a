/** Answers of the API → what the views show. */
import type {
  Alert,
  AlertAction,
  AlertCall,
  AlertDisposition,
  Call,
  CallPolicy,
  Control,
  Decision,
  Session,
  SessionSummary,
  Stream,
  TailRow,
} from './types.ts';
import { count, fieldsOf, inner, list, text, texts, time, type Fields } from './fields.ts';

export type TailMessage =
  | { readonly kind: 'row'; readonly row: TailRow }
  | { readonly kind: 'dropped'; readonly count: number }
  | { readonly kind: 'other' };

/** One message of WS /v1/tail. */
export function readTailMessage(data: unknown, key: number): TailMessage {
  const message = fieldsOf(data);
  if (message['type'] === 'dropped') return { kind: 'dropped', count: count(message, 'count') ?? 0 };
  const event = inner(message, 'event') ?? message;
  if (text(event, 'kind') === '') return { kind: 'other' };
  const alert = inner(event, 'alert');
  const merged: Fields = { ...event, ...derivedOf(message) };
  const shown = { title: text(alert ?? {}, 'title'), alertId: text(alert ?? {}, 'id') };
  return { kind: 'row', row: { ...readRow(merged), key, ...shown } };
}

/** Effective class and destination, which the service computes beside the event. */
function derivedOf(message: Fields): Fields {
  const derived = inner(message, 'derived') ?? message;
  const found: Record<string, string> = {};
  const toolClass = text(derived, 'effectiveClass', 'class');
  const destHost = text(derived, 'destHost', 'dest_host');
  if (toolClass !== '') found['class'] = toolClass;
  if (destHost !== '') found['destHost'] = destHost;
  return found;
}

function readRow(event: Fields): Omit<TailRow, 'alertId' | 'key' | 'title'> {
  return {
    time: time(event, 'time', 'effectiveTime'),
    kind: text(event, 'kind'),
    session: text(event, 'session'),
    agent: text(event, 'agent'),
    server: text(event, 'server'),
    tool: text(event, 'tool'),
    toolClass: text(event, 'class'),
    outcome: text(event, 'outcome'),
    verdict: text(event, 'verdict'),
    destHost: text(event, 'destHost'),
    eventId: `${text(event, 'stream')}-${text(event, 'seq')}`,
  };
}

export function readAlert(data: unknown): Alert {
  const row = fieldsOf(data);
  const alert: Fields = { ...row, ...inner(row, 'body', 'alert') };
  const calls = list(alert, 'calls').map(readAlertCall);
  return {
    id: text(alert, 'id', 'alertId'),
    time: time(alert, 'time', 'effectiveTime') || (calls.at(-1)?.time ?? ''),
    level: text(alert, 'level'),
    ruleId: text(alert, 'ruleId'),
    title: text(alert, 'title'),
    summary: text(alert, 'summary'),
    mode: text(alert, 'mode'),
    scope: text(alert, 'scope'),
    session: text(alert, 'session') || (calls.at(-1)?.session ?? ''),
    timeBasis: text(alert, 'timeBasis'),
    tags: texts(alert, 'tags'),
    calls,
    action: readAction(inner(alert, 'action')),
    disposition: readDisposition(inner(alert, 'disposition')),
  };
}

function readAction(action: Fields | null): AlertAction | null {
  if (action === null) return null;
  return { scope: text(action, 'scope'), target: text(action, 'target'), mode: text(action, 'mode') };
}

function readDisposition(said: Fields | null): AlertDisposition | null {
  if (said === null) return null;
  return {
    value: text(said, 'value'),
    reason: text(said, 'reason'),
    actor: text(said, 'actor'),
    time: time(said, 'time'),
  };
}

function readAlertCall(data: unknown): AlertCall {
  const call = fieldsOf(data);
  return {
    step: text(call, 'step'),
    eventId: text(call, 'eventId'),
    time: time(call, 'time'),
    session: text(call, 'session'),
    agent: text(call, 'agent'),
    callId: text(call, 'callId'),
    server: text(call, 'server'),
    tool: text(call, 'tool'),
    toolClass: text(call, 'class'),
    destHost: text(call, 'destHost'),
    traceId: text(call, 'traceId'),
  };
}

export function readSessionSummary(data: unknown): SessionSummary {
  const item = fieldsOf(data);
  const agents = texts(item, 'agents');
  return {
    session: text(item, 'session', 'id'),
    agents: agents.length > 0 ? agents : [text(item, 'agent')].filter((name) => name !== ''),
    calls: count(item, 'calls', 'callCount') ?? 0,
    refused: count(item, 'refused', 'refusedCalls') ?? 0,
    alerts: count(item, 'alerts', 'alertCount') ?? 0,
    firstTime: time(item, 'firstTime', 'startedAt', 'first'),
    lastTime: time(item, 'lastTime', 'endedAt', 'last'),
  };
}

export function readSession(data: unknown): Session {
  const found = fieldsOf(data);
  const calls = list(found, 'calls').map(readCall);
  const named = texts(found, 'agents');
  const agents = named.length > 0 ? named : [...new Set(calls.map((call) => call.agent))];
  return {
    session: text(found, 'session', 'id'),
    agents: agents.filter((agent) => agent !== ''),
    calls,
    alerts: list(found, 'alerts').map(readAlert),
    decisions: list(found, 'decisions').map(readDecision),
    streams: list(found, 'streams').map(readStream),
    isTruncated: found['truncated'] === true,
  };
}

function readStream(data: unknown): Stream {
  const item = fieldsOf(data);
  return {
    stream: text(item, 'stream'),
    entries: count(item, 'entries') ?? 0,
    signed: count(item, 'signed') ?? 0,
    keyIds: texts(item, 'keyIds'),
  };
}

function readCall(data: unknown): Call {
  const call = fieldsOf(data);
  const result = inner(call, 'result') ?? {};
  const all: Fields = { ...inner(call, 'intent'), ...result, ...call };
  return {
    stream: text(all, 'stream'),
    callId: text(all, 'callId'),
    intentId: text(all, 'intentId', 'intentEventId') || text(inner(call, 'intent') ?? {}, 'id', 'eventId'),
    resultId: text(all, 'resultId', 'resultEventId') || text(result, 'id', 'eventId'),
    time: time(all, 'time', 'effectiveTime'),
    agent: text(all, 'agent'),
    durationMs: count(all, 'durationMs'),
    resultBytes: count(all, 'resultBytes'),
    labels: texts(all, 'labels'),
    argsLabels: texts(all, 'argsLabels'),
    resultLabels: texts(all, 'resultLabels'),
    findings: texts(all, 'findings'),
    ...readCallTarget(all),
    ...readCallEvidence(all),
  };
}

function readCallTarget(call: Fields): Pick<Call, 'server' | 'tool' | 'toolClass' | 'outcome' | 'destHost'> {
  return {
    server: text(call, 'server'),
    tool: text(call, 'tool'),
    toolClass: text(call, 'class'),
    outcome: text(call, 'outcome'),
    destHost: text(call, 'destHost'),
  };
}

function readCallEvidence(
  call: Fields,
): Pick<
  Call,
  | 'traceId'
  | 'spanId'
  | 'trust'
  | 'verdict'
  | 'policy'
  | 'controlId'
  | 'approvalId'
  | 'argsHash'
  | 'resultHash'
> {
  return {
    traceId: text(call, 'traceId'),
    spanId: text(call, 'spanId'),
    trust: text(call, 'trust') || text(inner(call, 'trust') ?? {}, 'level'),
    verdict: text(call, 'verdict'),
    policy: readPolicy(inner(call, 'policy')),
    controlId: text(call, 'controlId'),
    approvalId: text(call, 'approvalId'),
    argsHash: text(call, 'argsHash'),
    resultHash: text(call, 'resultHash'),
  };
}

function readPolicy(policy: Fields | null): CallPolicy | null {
  if (policy === null) return null;
  return {
    id: text(policy, 'id'),
    version: text(policy, 'version'),
    mode: text(policy, 'mode'),
    effect: text(policy, 'effect'),
    rule: text(policy, 'rule'),
    hash: text(policy, 'hash'),
  };
}

function readDecision(data: unknown): Decision {
  const row = fieldsOf(data);
  const decision: Fields = { ...row, ...inner(row, 'decision') };
  return {
    eventId: text(decision, 'eventId', 'id'),
    time: time(decision, 'time', 'effectiveTime'),
    callId: text(decision, 'callId'),
    promptHash: text(decision, 'promptHash'),
    rationale: text(decision, 'rationale'),
    model: text(decision, 'model'),
  };
}

export function readControl(data: unknown): Control {
  const item = fieldsOf(data);
  const control = inner(item, 'control') ?? item;
  return {
    id: text(control, 'id'),
    version: count(control, 'version') ?? 0,
    tenant: text(control, 'tenant'),
    scope: text(control, 'scope'),
    target: text(control, 'target'),
    mode: text(control, 'mode'),
    state: text(control, 'state'),
    reason: text(control, 'reason'),
    issuedBy: text(control, 'issuedBy'),
    issuedAt: time(control, 'issuedAt'),
    expiresAt: time(control, 'expiresAt'),
    alertId: text(control, 'alertId'),
  };
}
