/**
 * One batch of alerts: kills first, since calls are in flight, then the outbox, then the offset. A crash anywhere repeats
 * the batch: the control's id and the outbox's key come from the alert, so nothing is done twice.
 */
import type { Logger } from 'pino';
import type { AlertLine } from '../../schemas/alert/v1.ts';
import { isTriplineError, type TriplineError } from '../../schemas/errors.ts';
import { HEADERS } from '../../schemas/topics.ts';
import type { BatchContext, BusBatch, BusRecord } from '../platform/bus/port.ts';
import type { Clock } from '../platform/clock.ts';
import type { ControlIssuer } from '../platform/controls/issuer.ts';
import type { AuditTrail } from '../platform/step.ts';
import { readAlertLines } from './alert-line.ts';
import type { RespondMetrics } from './metrics.ts';
import type { Outbox, OutboxEntry } from './outbox.ts';
import { planResponse, type KillPlan, type ResponseSettings, type RuleKill } from './step.ts';

export interface AlertLoopOptions {
  readonly settings: ResponseSettings;
  readonly issuer: ControlIssuer;
  readonly outbox: Outbox;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly metrics: RespondMetrics;
  readonly log: Logger;
  /** Called after new entries are durable. */
  readonly onQueued: () => void;
}

/** A destination that is down for days must not fill the memory: what is over this is given up, counted and on record. */
export const MAX_PENDING_PER_DESTINATION = 20_000;
const MAX_ENTRIES_PER_PUT = 64;

/** Handler of the consumer group of topic alerts. Throws the bus's errors: then the batch comes again. */
export function createAlertLoop(
  options: AlertLoopOptions,
): (batch: BusBatch, context: BatchContext) => Promise<void> {
  return async (batch, context) => {
    const queued = new Map<string, OutboxEntry>();
    for (const record of batch.records)
      for (const entry of await respondToRecord(options, record, context))
        queued.set(`${entry.destination}\0${entry.subject}`, entry);
    const entries = [...queued.values()];
    for (let start = 0; start < entries.length; start += MAX_ENTRIES_PER_PUT) {
      await context.heartbeat();
      const slice = entries.slice(start, start + MAX_ENTRIES_PER_PUT);
      await Promise.all(slice.map((entry) => options.outbox.put([entry])));
    }
    if (entries.length > 0) options.onQueued();
    const last = batch.records.at(-1);
    if (last !== undefined) await context.commit(last.offset + 1);
  };
}

async function respondToRecord(
  options: AlertLoopOptions,
  record: BusRecord,
  context: BatchContext,
): Promise<readonly OutboxEntry[]> {
  const tenant = record.headers[HEADERS.tenant];
  const entries: OutboxEntry[] = [];
  for (const outcome of readAlertLines(record.value, record.headers)) {
    if (outcome.kind === 'unreadable' || tenant === undefined) {
      options.metrics.alerts.inc({ outcome: 'unreadable' });
      options.log.error({ partition: record.partition, offset: record.offset }, 'alert not readable');
      continue;
    }
    options.metrics.alerts.inc({ outcome: 'read' });
    const nowMs = options.clock.nowMs();
    const position = { tenant, appendMs: record.appendMs, nowMs };
    const plan = planResponse(outcome.line.alert, position, options.settings);
    await actOnKill(options, { plan: plan.kill, line: outcome.line, tenant }, context);
    for (const name of plan.deliverTo)
      if (options.outbox.get(name, outcome.line.alert.id) === undefined)
        entries.push(newEntry(options, { name, line: outcome.line, record, tenant }));
  }
  return entries;
}

interface KillRequest {
  readonly plan: KillPlan;
  readonly line: AlertLine;
  readonly tenant: string;
}

async function actOnKill(
  options: AlertLoopOptions,
  request: KillRequest,
  context: BatchContext,
): Promise<void> {
  const { plan, line } = request;
  if (plan.kind === 'none') return;
  if (plan.kind === 'refused') {
    options.metrics.ruleKills.inc({ outcome: plan.reason });
    options.log.warn({ alertId: line.alert.id, reason: plan.reason }, 'kill of a rule not set');
    return;
  }
  await context.heartbeat();
  try {
    await setControl(options.issuer, plan.kill, request);
    options.metrics.ruleKills.inc({ outcome: plan.kill.mode });
  } catch (error) {
    if (!isRequestFault(error)) throw error;
    // The rule asks for what cannot be (a target that is no name): coming again would not help, so it is put on record.
    options.metrics.ruleKills.inc({ outcome: 'failed' });
    options.log.error({ err: error, alertId: line.alert.id }, 'kill of a rule not set');
    await options.audit.record(request.tenant, {
      action: 'control.set',
      actor: SYSTEM_ACTOR,
      role: SYSTEM_ROLE,
      target: plan.kill.controlId,
      outcome: 'failed',
      details: { alertId: line.alert.id, code: error.code },
    });
  }
}

/** Actor and role of what respond does by itself. */
export const SYSTEM_ACTOR = 'system:respond';
const SYSTEM_ROLE = 'responder';

function isRequestFault(error: unknown): error is TriplineError {
  return (
    isTriplineError(error, 'control_invalid') ||
    isTriplineError(error, 'auth_forbidden') ||
    isTriplineError(error, 'conflict')
  );
}

async function setControl(issuer: ControlIssuer, kill: RuleKill, request: KillRequest): Promise<void> {
  const { controlId, scope, target, mode, ttlMs, reason } = kill;
  await issuer.set(
    {
      id: controlId,
      tenant: request.tenant,
      scope,
      target,
      mode,
      ttlMs,
      reason,
      alertId: request.line.alert.id,
    },
    { id: SYSTEM_ACTOR, tenant: request.tenant, role: SYSTEM_ROLE },
  );
}

interface NewDelivery {
  readonly name: string;
  readonly line: AlertLine;
  readonly record: BusRecord;
  readonly tenant: string;
}

function newEntry(options: AlertLoopOptions, { name, line, record, tenant }: NewDelivery): OutboxEntry {
  const nowMs = options.clock.nowMs();
  const entry = {
    v: 1,
    destination: name,
    subject: line.alert.id,
    tenant,
    partition: record.partition,
    attempts: 0,
    nextAttemptMs: nowMs,
    updatedMs: nowMs,
    responseStatus: null,
    reason: null,
  } as const;
  if (options.outbox.pendingCount(name) >= MAX_PENDING_PER_DESTINATION) {
    options.metrics.dead.inc({ destination: name, reason: 'outbox_full' });
    return { ...entry, state: 'dead', reason: 'outbox_full' };
  }
  // Serialised once: every try sends, and signs, the same bytes. `timestamp` is the effective time of the completing event.
  const body = JSON.stringify({ type: 'alert.fired', timestamp: line.time, data: line.alert });
  return { ...entry, state: 'pending', body };
}
