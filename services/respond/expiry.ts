/** The end of a control by its clock is on record too: one audit event a version. */
import type { Clock } from '../platform/clock.ts';
import type { ControlBoard, HeldControl } from '../platform/controls/board.ts';
import { controlDetails } from '../platform/controls/settlement.ts';
import type { AuditTrail } from '../platform/step.ts';
import type { Outbox } from './outbox.ts';

export interface ExpiryOptions {
  readonly board: ControlBoard;
  readonly outbox: Outbox;
  readonly audit: AuditTrail;
  readonly clock: Clock;
  readonly actor: string;
}

/** Name under which the marks stand in the outbox; no destination has a colon and a dot of ours. */
export const EXPIRY_MARK = 'audit:control.expire';
/** Marks are kept as the entries of one partition, whose owner writes them. */
export const EXPIRY_PARTITION = 0;

/**
 * Records every expired control that has no mark yet; answers how many. The event is durable before its mark: a crash
 * between the two repeats the event, it is never missed.
 */
export async function recordExpired(options: ExpiryOptions): Promise<number> {
  const nowMs = options.clock.nowMs();
  const expired = options.board.list().filter((held) => isExpired(held, nowMs) && !isMarked(options, held));
  for (const held of expired) await recordOne(options, held);
  return expired.length;
}

function isExpired({ control }: HeldControl, nowMs: number): boolean {
  return control.state === 'set' && nowMs >= Date.parse(control.expiresAt);
}

function isMarked({ outbox }: ExpiryOptions, held: HeldControl): boolean {
  return outbox.get(EXPIRY_MARK, subjectOf(held)) !== undefined;
}

async function recordOne(options: ExpiryOptions, held: HeldControl): Promise<void> {
  const { control } = held;
  await options.audit.record(control.tenant, {
    action: 'control.expire',
    actor: options.actor,
    role: 'responder',
    target: control.id,
    outcome: 'ok',
    details: controlDetails(control),
  });
  const nowMs = options.clock.nowMs();
  await options.outbox.put([
    {
      v: 1,
      destination: EXPIRY_MARK,
      subject: subjectOf(held),
      tenant: control.tenant,
      partition: EXPIRY_PARTITION,
      state: 'delivered',
      attempts: 0,
      nextAttemptMs: nowMs,
      updatedMs: nowMs,
      responseStatus: null,
      reason: null,
    },
  ]);
}

function subjectOf({ control }: HeldControl): string {
  return `${control.id}@${control.version}`;
}
